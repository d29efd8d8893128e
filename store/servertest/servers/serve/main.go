// Command serve provides servers for a script that runs several test binaries: those
// that run on this machine, or else temporary ones, which end with the script.
//
//	serve -for $$ >file
//
// It prints a shell assignment for each server and then "ready". If Debian packages are
// missing, it prints "missing" and the name of the package instead, for each.
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
	script := flag.Int("for", 0, "end when the process with this `number` ends; 0: only on a signal")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer servers.Close()
	if find(ctx) {
		fmt.Println("ready")
		waitForEnd(ctx, *script)
	}
}

// find prints the assignments, and reports whether all servers were found.
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

// waitForEnd returns when ctx ends or the script has ended.
func waitForEnd(ctx context.Context, script int) {
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
