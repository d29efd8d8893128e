package oauthtest_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// fakeTB replaces a *testing.T and records what a test reports.
type fakeTB struct {
	testing.TB // nil: only the methods below are used

	mu       sync.Mutex
	reports  []string
	logs     []string
	cleanups []func()
}

func (n *fakeTB) Helper()                  {}
func (n *fakeTB) Context() context.Context { return context.Background() }
func (n *fakeTB) Cleanup(f func())         { n.cleanups = append(n.cleanups, f) }

func (n *fakeTB) Logf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logs = append(n.logs, fmt.Sprintf(format, args...))
}

func (n *fakeTB) Errorf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reports = append(n.reports, fmt.Sprintf(format, args...))
}

func (n *fakeTB) Fatalf(format string, args ...any) {
	n.Errorf(format, args...)
	runtime.Goexit()
}

// play runs a test as go test does, and returns what it reports.
func play(test func(t testing.TB)) *fakeTB {
	n := &fakeTB{}
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
