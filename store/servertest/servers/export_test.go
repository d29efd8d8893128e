package servers

import "context"

// Ask sends one command to a Redis server.
func Ask(ctx context.Context, addr string, command ...string) ([]string, error) {
	return ask(ctx, addr, command...)
}

// PingPostgres logs in to the database test.
func PingPostgres(ctx context.Context, addr string) error { return pingPostgres(ctx, addr) }

// PingMariaDB logs in to the database test.
func PingMariaDB(ctx context.Context, addr string) error { return pingMariaDB(ctx, addr) }

// Wait polls until check returns nil.
func Wait(ctx context.Context, check func() error) error { return wait(ctx, check) }

// Pid returns the process id, or 0 if it does not run.
func (p *Process) Pid() int { return p.pid }

// Children returns the ids of the processes that p has started.
func (p *Process) Children() []int { return children(p.pid) }

// LookAt changes the address at which shared servers are searched, and resets those that
// were found.
func LookAt(addr string) {
	Close()
	for _, s := range []*shared{&sharedPostgres, &sharedMariaDB, &sharedRedis} {
		s.addr, s.found = addr, ""
	}
}
