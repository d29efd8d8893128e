package harness

import (
	"context"
	"net"
	"sync"
)

// Network is a net.Listener whose connections are pipes in memory. In a bubble of
// testing/synctest its server and clients share the bubble's clock, so that no
// test waits for a timeout.
type Network struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// NewNetwork returns a listener whose connections are made by Dial.
func NewNetwork() *Network {
	return &Network{incoming: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the server.
func (n *Network) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.incoming <- far:
		return near, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (n *Network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.incoming:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *Network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr implements net.Listener. Nothing listens at the address.
func (n *Network) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }
