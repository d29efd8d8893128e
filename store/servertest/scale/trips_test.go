package scale_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// counter is a proxy that counts round trips: how often a client sends data after the
// server has sent data.
type counter struct {
	target   string
	listener net.Listener
	trips    atomic.Int64
	serving  sync.WaitGroup
	mu       sync.Mutex
	open     []net.Conn
	closed   bool
}

// counting returns the argument via for a rig, and the counter of its last server.
func counting(t *testing.T) (via func(addr string) string, c *counter) {
	t.Helper()
	c = &counter{}
	var err error
	c.listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(c.close)
	return func(addr string) string {
		c.target = addr
		c.serving.Go(c.accept)
		return c.listener.Addr().String()
	}, c
}

func (c *counter) close() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.closed = true
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.serving.Wait()
}

func (c *counter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", c.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c.mu.Lock()
		c.open = append(c.open, client, server)
		if c.closed {
			_, _ = client.Close(), server.Close()
		}
		c.mu.Unlock()
		var asked atomic.Bool
		c.serving.Go(func() {
			c.carry(client, server, func() {
				if !asked.Swap(true) {
					c.trips.Add(1)
				}
			})
		})
		c.serving.Go(func() { c.carry(server, client, func() { asked.Store(false) }) })
	}
}

// carry forwards one direction until either end closes, and calls tell before it forwards
// each piece.
func (c *counter) carry(from, to net.Conn, tell func()) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			tell()
			if _, failed := to.Write(piece[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			_, _ = from.Close(), to.Close()
			return
		}
	}
}

// A login without a cache is one round trip, once the connection has prepared its
// statements and the process has the signing keys. The test counts many logins.
func TestRoundTrips(t *testing.T) {
	for _, r := range rigs[2:] {
		t.Run(r.name, func(t *testing.T) {
			via, trips := counting(t)
			st := r.start(t, via).open(t).store
			const keys, calls = 10, 100
			l := newLogins(t, st, st, keys)
			var taken int64
			// A client may ping a connection that was idle for a second, so the count is
			// repeated.
			for range 5 {
				for i := range keys {
					require.NoError(t, l.once(i))
				}
				before := trips.trips.Load()
				for i := range calls {
					require.NoError(t, l.once(i))
				}
				if taken = trips.trips.Load() - before; taken == calls {
					break
				}
			}
			require.EqualValues(t, calls, taken, "round trips of %d logins", calls)
		})
	}
}
