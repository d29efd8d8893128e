package servers

import "context"

// Ask sends one command to a Redis.
func Ask(ctx context.Context, addr string, command ...string) ([]string, error) {
	return ask(ctx, addr, command...)
}

// PingPostgres logs in to the database test.
func PingPostgres(ctx context.Context, addr string) error { return pingPostgres(ctx, addr) }

// PingMariaDB reads the greeting.
func PingMariaDB(ctx context.Context, addr string) error { return pingMariaDB(ctx, addr) }

// Wait polls until check finds nothing wrong.
func Wait(ctx context.Context, check func() error) error { return wait(ctx, check) }

// Pid is the number of the process, 0 if it does not run.
func (p *Process) Pid() int { return p.pid }

// Children lists the processes that p has started.
func (p *Process) Children() []int { return children(p.pid) }

// LookAt makes the shared servers be looked for at other places than the
// usual ones, and forgets those found.
func LookAt(addr string) {
	Close()
	for _, s := range []*shared{&sharedPostgres, &sharedMariaDB, &sharedRedis} {
		s.addr, s.found = addr, ""
	}
}
