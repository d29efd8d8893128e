// Command serve provides the servers that tests share, for a script that runs
// more than one test binary: those that run on this machine, else throw-away
// ones, which end with the script.
//
//	serve -for $$ >file
//
// It prints an assignment for the shell for each server and then "ready", or
// "missing" and a Debian package for each that tests need and is not installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func main() {
	script := flag.Int("for", 0, "end with the process of this `number`; 0: only when told")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer servers.Close()
	if find(ctx) {
		fmt.Println("ready")
		outlive(ctx, *script)
	}
}

// find prints where the servers are, and reports whether all of them are there.
func find(ctx context.Context) bool {
	complete := true
	for _, s := range []struct {
		variable string
		get      func(context.Context) (string, error)
		pkg      string
	}{
		{"LATCHKEY_TEST_POSTGRES", servers.Postgres, "postgresql"},
		{"LATCHKEY_TEST_MARIADB", servers.MariaDB, "mariadb-server"},
		{"LATCHKEY_TEST_REDIS", servers.Redis, "redis-server"},
	} {
		name, err := s.get(ctx)
		switch {
		case err == nil:
			fmt.Printf("export %s='%s'\n", s.variable, name)
		case errors.Is(err, servers.ErrNone):
			fmt.Println("missing", s.pkg)
			complete = false
		default:
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.pkg, err)
			complete = false
		}
	}
	for _, pkg := range servers.Missing() {
		fmt.Println("missing", pkg)
		complete = false
	}
	return complete
}

// outlive returns when it is told to, or when the script has ended.
func outlive(ctx context.Context, script int) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if script > 0 && !alive(script) {
				return
			}
		}
	}
}
