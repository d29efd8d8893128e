package servers

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Proxy forwards TCP connections from clients to a server, and simulates network
// failures, also on open connections. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	ended    sync.WaitGroup

	mu      sync.Mutex
	target  string
	open    map[*line]struct{}
	thawed  chan struct{} // closed while data flows
	delay   time.Duration
	refuse  bool
	closed  bool
	armed   bool // CutAfter is in effect
	left    int  // bytes of answers until the cut
	drop    string
	dropped int
	trips   int
	silent  int // at 1, the next data of a client freezes; counts down; 0: off
}

// NewProxy listens on a free port and forwards everything to target, host:port. The
// target need not answer yet.
func NewProxy(target string) (*Proxy, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: l, open: map[*line]struct{}{}, thawed: make(chan struct{})}
	close(p.thawed)
	p.ended.Go(p.accept)
	return p, nil
}

// Addr returns the address for clients, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut closes all connections at once. Data in transit is lost.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.close()
	}
}

// CutAfter forwards n more bytes of the server's answers and then closes all connections,
// once. With 0 it closes them before the first byte of the next answer. A negative n
// cancels an earlier call.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.left = n >= 0, n
}

// Delay delays each answer by d; 0 ends the delay.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Freeze stops forwarding in both directions and closes nothing. New connections are
// accepted. A client sees this if the other end has vanished.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freeze()
}

func (p *Proxy) freeze() {
	if isClosed(p.thawed) {
		p.thawed = make(chan struct{})
	}
}

// FreezeAfter calls Freeze after n more round trips. What a client sends next is not
// forwarded.
func (p *Proxy) FreezeAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = n + 1
}

// Retarget forwards new connections to another server. Open connections do not change.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Thaw forwards what has been received since Freeze, and everything after it.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isClosed(p.thawed) {
		close(p.thawed)
	}
}

// Abandon ends a Freeze for new connections only. Open connections stay frozen forever, as
// if a firewall had dropped their state.
func (p *Proxy) Abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.abandoned = true
		if l.hungUp {
			l.close()
		}
	}
	p.thawed = make(chan struct{}) // waiters for the old channel wait forever
	close(p.thawed)
}

// DropNext drops the next piece of an answer that contains match, once, and closes
// nothing. A piece is the result of one read from the server.
func (p *Proxy) DropNext(match string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = match
}

// Dropped returns the number of pieces that DropNext has dropped.
func (p *Proxy) Dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// Trips returns the number of round trips: how often a client sent data after the server
// had sent data.
func (p *Proxy) Trips() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

// Refuse closes new connections at once while on is true.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Open returns the number of open connections, without those that were abandoned before
// the server accepted them.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.open {
		if l.carried || !l.abandoned {
			n++
		}
	}
	return n
}

// Close closes the listener and all connections, and waits for the proxy's goroutines.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.ended.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		if p.refuse || p.closed {
			_ = client.Close()
		} else {
			l := &line{client: client, done: make(chan struct{})}
			p.open[l] = struct{}{}
			p.ended.Go(func() { p.serve(l) })
		}
		p.mu.Unlock()
	}
}

// line is the connection of one client. Either side may close it.
type line struct {
	client net.Conn
	once   sync.Once
	done   chan struct{}

	// The proxy's lock protects these fields.
	abandoned bool
	carried   bool // there is a connection to the server
	hungUp    bool // the client has closed the connection
	asked     bool // the client has sent data since the server last did
}

// close does not take the proxy's lock.
func (l *line) close() {
	l.once.Do(func() { close(l.done); _ = l.client.Close() })
}

func (p *Proxy) serve(l *line) {
	defer func() {
		l.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, l)
	}()
	if !p.waitUntilThawed(l) {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	l.carried = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, l.client, server, false) })
	both.Go(func() { p.forward(l, server, l.client, true) })
	<-l.done
	_ = server.Close()
	both.Wait()
}

// piece is the data of one read, and when it may be forwarded.
type piece struct {
	data []byte
	due  time.Time
}

// forward forwards one direction until either end closes.
func (p *Proxy) forward(l *line, from, to net.Conn, answers bool) {
	pieces := make(chan piece, 256)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer l.close()
		for next := range pieces {
			if !p.pass(l, to, next, answers) {
				return
			}
		}
		p.waitUntilThawed(l) // see hangUp
	})
	defer writer.Wait()
	defer close(pieces)
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			next := piece{data: buffer[:n], due: time.Now()}
			p.mu.Lock()
			if answers {
				next.due = next.due.Add(p.delay)
			} else if !l.asked {
				p.trips++
				if p.silent > 0 {
					if p.silent--; p.silent == 0 {
						p.freeze()
					}
				}
			}
			l.asked = !answers
			p.mu.Unlock()
			select {
			case pieces <- next:
			case <-l.done:
				return
			}
		}
		if err != nil {
			if !answers {
				p.hangUp(l)
			}
			return
		}
	}
}

// hangUp records that the client has closed the connection. That ends an abandoned line.
// The server does not see it while the line is frozen.
func (p *Proxy) hangUp(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.hungUp = true
	if l.abandoned {
		l.close()
	}
}

// pass forwards one piece, and reports whether the line stays open.
func (p *Proxy) pass(l *line, to net.Conn, next piece, answers bool) bool {
	select {
	case <-time.After(time.Until(next.due)):
	case <-l.done:
		return false
	}
	if !p.waitUntilThawed(l) {
		return false
	}
	data, cut := next.data, false
	if answers {
		data, cut = p.applyFaults(data)
	}
	if len(data) > 0 {
		if _, err := to.Write(data); err != nil {
			return false
		}
	}
	if cut {
		p.Cut()
	}
	return !cut
}

// applyFaults applies CutAfter and DropNext to an answer.
func (p *Proxy) applyFaults(data []byte) (rest []byte, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drop != "" && bytes.Contains(data, []byte(p.drop)) {
		p.drop = ""
		p.dropped++
		return nil, false
	}
	if !p.armed {
		return data, false
	}
	if len(data) < p.left {
		p.left -= len(data)
		return data, false
	}
	p.armed = false
	return data[:p.left], true
}

// waitUntilThawed waits while the proxy is frozen, and reports whether the line is still open.
func (p *Proxy) waitUntilThawed(l *line) bool {
	p.mu.Lock()
	thawed := p.thawed
	if l.abandoned {
		thawed = nil
	}
	p.mu.Unlock()
	select {
	case <-l.done:
		return false
	case <-thawed:
		return true
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
