package oauthtest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// notebook replaces a *testing.T and records what a test reports.
type notebook struct {
	testing.TB // nil: only the methods below are used

	mu       sync.Mutex
	reports  []string
	logs     []string
	cleanups []func()
}

func (n *notebook) Helper()                  {}
func (n *notebook) Context() context.Context { return context.Background() }
func (n *notebook) Cleanup(f func())         { n.cleanups = append(n.cleanups, f) }

func (n *notebook) Logf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logs = append(n.logs, fmt.Sprintf(format, args...))
}

func (n *notebook) Errorf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reports = append(n.reports, fmt.Sprintf(format, args...))
}

func (n *notebook) Fatalf(format string, args ...any) {
	n.Errorf(format, args...)
	runtime.Goexit()
}

// play runs a test as go test does, and returns what it reports.
func play(test func(t testing.TB)) *notebook {
	n := &notebook{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(n)
	}()
	<-done
	for _, f := range n.cleanups {
		f()
	}
	return n
}

// run runs a test and prints the result, for Examples.
func run(test func(t testing.TB)) {
	reports := play(test).reports
	if len(reports) == 0 {
		fmt.Println("PASS")
		return
	}
	fmt.Println("FAIL")
	fmt.Println(strings.Join(reports, "\n"))
}
