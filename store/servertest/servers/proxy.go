package servers

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Proxy carries TCP connections from clients to a server, and breaks them as
// networks do. A trick takes effect on open connections too. All methods may
// be called from several goroutines.
type Proxy struct {
	listener net.Listener
	ended    sync.WaitGroup

	mu      sync.Mutex
	target  string
	open    map[*line]struct{}
	thawed  chan struct{} // closed: data flows
	delay   time.Duration
	refuse  bool
	closed  bool
	armed   bool // CutAfter waits for its bytes
	left    int  // bytes of answers until the cut
	drop    string
	dropped int
	trips   int
	silent  int // FreezeAfter waits for this many round trips and one more; 0: it does not
}

// NewProxy listens on a port of its own and passes everything on to target,
// host:port, which need not answer yet.
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

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut closes all connections, whatever is on its way.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.close()
	}
}

// CutAfter lets n more bytes of the server's answers through, then closes all
// connections, once. 0 cuts before the next answer's first byte; a negative n
// takes back an earlier call.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.left = n >= 0, n
}

// Delay holds each answer back for d; 0 ends that.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Freeze passes nothing on in either direction and closes nothing; who
// connects is accepted. It is what a connection looks like whose other end
// has vanished.
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

// FreezeAfter freezes once n more round trips were made: what a client says next is
// not passed on.
func (p *Proxy) FreezeAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = n + 1
}

// Retarget leads new connections to another server. Those that are open stay
// where they are.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Thaw passes on what has gathered since Freeze, and everything after it.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isClosed(p.thawed) {
		close(p.thawed)
	}
}

// Abandon ends a Freeze for new connections alone: those that are open stay
// silent for good, as if a firewall had forgotten them.
func (p *Proxy) Abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.abandoned = true
		if l.hungUp {
			l.close()
		}
	}
	p.thawed = make(chan struct{}) // who waits for the old one waits for ever
	close(p.thawed)
}

// DropNext loses the next piece of an answer that contains match, once, and
// closes nothing. A piece is what the server sent at once.
func (p *Proxy) DropNext(match string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop = match
}

// Dropped is the number of pieces that DropNext has lost.
func (p *Proxy) Dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// Trips is the number of round trips: how often a client spoke after the server
// spoke.
func (p *Proxy) Trips() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

// Refuse closes new connections at once, until it is told false.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Open is the number of connections that are open, without those that were
// abandoned before the server took them.
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

// Close closes everything and waits for the proxy's goroutines.
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
			l := &line{client: client, gone: make(chan struct{})}
			p.open[l] = struct{}{}
			p.ended.Go(func() { p.serve(l) })
		}
		p.mu.Unlock()
	}
}

// line is one client's connection, to be closed from any side.
type line struct {
	client net.Conn
	once   sync.Once
	gone   chan struct{}

	// Under the proxy's lock.
	abandoned bool
	carried   bool // there is a connection to the server
	hungUp    bool // the client has closed
	asked     bool // the client has spoken since the server spoke
}

// close takes no lock of the proxy's.
func (l *line) close() {
	l.once.Do(func() { close(l.gone); _ = l.client.Close() })
}

func (p *Proxy) serve(l *line) {
	defer func() {
		l.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, l)
	}()
	if !p.flows(l) {
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
	both.Go(func() { p.carry(l, l.client, server, false) })
	both.Go(func() { p.carry(l, server, l.client, true) })
	<-l.gone
	_ = server.Close()
	both.Wait()
}

// piece is what was read at once, and when it may go on.
type piece struct {
	data []byte
	due  time.Time
}

// carry copies one direction until either end closes.
func (p *Proxy) carry(l *line, from, to net.Conn, answers bool) {
	pieces := make(chan piece, 256)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer l.close()
		for next := range pieces {
			if !p.pass(l, to, next, answers) {
				return
			}
		}
		p.flows(l) // see hangUp
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
			case <-l.gone:
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

// hangUp notes that the client has closed. An abandoned line ends with that;
// a frozen one does not show it to the server.
func (p *Proxy) hangUp(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.hungUp = true
	if l.abandoned {
		l.close()
	}
}

// pass hands one piece on, and reports whether the line is to live on.
func (p *Proxy) pass(l *line, to net.Conn, next piece, answers bool) bool {
	select {
	case <-time.After(time.Until(next.due)):
	case <-l.gone:
		return false
	}
	if !p.flows(l) {
		return false
	}
	data, cut := next.data, false
	if answers {
		data, cut = p.spoil(data)
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

// spoil does to an answer what CutAfter and DropNext have asked for.
func (p *Proxy) spoil(data []byte) (rest []byte, cut bool) {
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

// flows waits while the proxy is frozen, and reports whether the line is
// still there.
func (p *Proxy) flows(l *line) bool {
	p.mu.Lock()
	thawed := p.thawed
	if l.abandoned {
		thawed = nil
	}
	p.mu.Unlock()
	select {
	case <-l.gone:
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
