// Package request reads what several HTTP packages read of a request, so that all
// read it in the same way: the client's address, the Authorization header, the
// Content-Type, the body within its bounds, and signed cursors. The work on it has a
// Deadline.
package request

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

// ParseAddr reads an IP address as servers, middlewares and proxies write it:
// with a port or without, an IPv6 address in brackets or without, with a zone
// or without. The zone is left out, and IPv4 written as IPv6 becomes IPv4.
func ParseAddr(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	withPort, err := netip.ParseAddrPort(text) // first, as net/http writes it
	addr := withPort.Addr()
	if err != nil {
		addr, err = netip.ParseAddr(text)
	}
	if inner, opens := strings.CutPrefix(text, "["); err != nil && opens && strings.HasSuffix(inner, "]") {
		// RFC 3986, section 3.2.2: brackets are for IPv6.
		if addr, err = netip.ParseAddr(inner[:len(inner)-1]); !addr.Is6() {
			return netip.Addr{}, false
		}
	}
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// ConnectionAddr returns the address in a request's RemoteAddr, or the zero Addr if
// there is none.
func ConnectionAddr(r *http.Request) netip.Addr {
	addr, _ := ParseAddr(r.RemoteAddr)
	return addr
}

// IsLoopback reports whether host is this machine: localhost or a loopback
// address, without brackets and port.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// Clients finds the address of a request's client. It is safe for concurrent use.
type Clients struct {
	addr    func(*http.Request) netip.Addr
	log     *slog.Logger
	missing sync.Once
}

// NewClients returns Clients that ask addr, a function of the host's; nil is
// ConnectionAddr.
func NewClients(addr func(*http.Request) netip.Addr, log *slog.Logger) *Clients {
	if addr == nil {
		addr = ConnectionAddr
	}
	return &Clients{addr: addr, log: log}
}

// Addr returns the address of a request's client. The first request without
// one is logged.
func (c *Clients) Addr(r *http.Request) netip.Addr {
	addr := c.addr(r)
	if !addr.IsValid() {
		c.missing.Do(func() {
			c.log.WarnContext(r.Context(), "a request came without its client's address: rules by address refuse such requests, and limits by address count all of them as one client; "+
				"see that RemoteAddr holds an address, or set Config.ClientAddr")
		})
	}
	return addr
}

var (
	// ErrAbsent says that there is no Authorization header, that it is empty, or that
	// it has another scheme.
	ErrAbsent = errors.New("no credentials of this scheme")
	// ErrMalformed says that no space and credentials follow the scheme, or that there
	// are two Authorization headers.
	ErrMalformed = errors.New("malformed Authorization header")
)

// Credentials returns the text after the scheme and one or more spaces (RFC 9110,
// section 11.6.2; RFC 7235, appendix C). The scheme matches in any case. The text
// is not empty and does not begin with a space; otherwise it is not checked. Two
// headers are malformed whatever they hold, since nothing says which one counts.
func Credentials(header http.Header, scheme string) (string, error) {
	values := header["Authorization"]
	if len(values) > 1 {
		return "", ErrMalformed
	}
	if len(values) == 0 || len(values[0]) < len(scheme) || !strings.EqualFold(values[0][:len(scheme)], scheme) {
		return "", ErrAbsent
	}
	rest := values[0][len(scheme):]
	credentials := strings.TrimLeft(rest, " ")
	if credentials == "" || len(credentials) == len(rest) {
		return "", ErrMalformed
	}
	return credentials, nil
}

// MediaType reads the Content-Type of a text. utf8 is false if a charset other than
// UTF-8 is named. ok is false if the header is missing, present twice or malformed.
func MediaType(header http.Header) (kind string, utf8, ok bool) {
	values := header["Content-Type"]
	if len(values) != 1 {
		return "", false, false
	}
	switch values[0] {
	case "application/x-www-form-urlencoded", "application/json": // without the cost of parsing
		return values[0], true, true
	}
	kind, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", false, false
	}
	charset, named := params["charset"]
	return kind, !named || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8"), true
}

// IsPrintable reports whether a text is of printable ASCII characters and spaces, so
// that it can stand in a header.
func IsPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// IsASCII reports whether a text reads the same in every charset that a
// client may name for it.
func IsASCII[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Timeout is the host's bound on a request, Config.Timeout, or its default.
func Timeout(bound time.Duration) (time.Duration, error) {
	bound = cmp.Or(bound, 2*time.Second)
	if bound < 10*time.Millisecond || bound > 5*time.Minute {
		return bound, fmt.Errorf("Config.Timeout is %s; it must be from 10ms to 5m", bound)
	}
	return bound, nil
}

// Body is the body of a request that may take only so long to come in. The zero Body
// needs no bound.
type Body struct{ connection http.ResponseWriter }

// HoldBody bounds how long the body may take to come in, also where nobody
// reads it: net/http reads what a handler left over before it answers.
//
// The time is real, not the host's clock: it is a connection that waits. A
// tighter bound of the host's own server stays, and a ResponseWriter without
// deadlines has its server's only.
func HoldBody(w http.ResponseWriter, r *http.Request, bound time.Duration) Body {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.ReadTimeout > 0 && server.ReadTimeout <= bound || r.Body == nil || r.Body == http.NoBody {
		return Body{}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bound)) //nolint:errcheck,forbidigo // see above
	return Body{w}
}

// Release lifts the bound. It is called once the body is read. net/http lifts it at the
// body's end, but not if a middleware read that before: then the end of the time would
// look like a caller who hung up.
func (b Body) Release() {
	if b.connection != nil {
		_ = http.NewResponseController(b.connection).SetReadDeadline(time.Time{}) //nolint:errcheck // see HoldBody
	}
}

// ReadBody reads at most limit bytes into a buffer. What is longer is refused by its
// declared length, or else as soon as that shows.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int, into *bytes.Buffer) *answer.Refusal {
	if r.ContentLength > int64(limit) {
		return tooLarge(w)
	}
	if r.Body == nil {
		return nil
	}
	for into.Len() <= limit {
		if into.Available() == 0 {
			into.Grow(1 << 10) // most bodies fit in, and most answers
		}
		free := into.AvailableBuffer()
		n, err := r.Body.Read(free[:min(cap(free), limit+1-into.Len())])
		into.Write(free[:n])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return Unreadable(w, err)
		}
	}
	return tooLarge(w)
}

// Unreadable says why reading a body failed.
func Unreadable(w http.ResponseWriter, err error) *answer.Refusal {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return tooLarge(w)
	case errors.Is(err, os.ErrDeadlineExceeded):
		stopReading(w)
		return &answer.Refusal{Kind: answer.Late, Detail: "The body did not come in time."}
	}
	return &answer.Refusal{Kind: answer.Malformed, Detail: "The body could not be read."}
}

func tooLarge(w http.ResponseWriter) *answer.Refusal {
	stopReading(w)
	return &answer.Refusal{Kind: answer.TooLarge}
}

// stopReading ends the connection with this answer. Without a deadline in the
// past net/http would still take in what the client goes on sending. A limit
// that was hit makes it wait for the client to have read the answer: to close
// at once, with unread bytes in the way, would reset the connection under it.
func stopReading(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	hit := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = hit.Read(make([]byte, 1))                                   //nolint:errcheck // its error is the point
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // see HoldBody
}

// Deadline is like the context of context.WithTimeout, but starts its timer when
// something first waits for it. A store in this process answers without waiting,
// and an unused timer doubles the time of a guard that has seen the token before
// and costs a login 2 to 5%. Before that, Err compares the time itself.
//
// Each request has its own, since code that gets a context may keep it.
//
// The time is real, not the host's clock: it is a request that waits.
type Deadline struct {
	request context.Context //nolint:containedctx // this is a context, made of that one
	at      time.Time

	mu      sync.Mutex
	timed   context.Context //nolint:containedctx // once somebody waits; then it answers for all
	cancel  context.CancelFunc
	stopped bool
}

// WithTimeout is context.WithTimeout. Stop must be called in the end.
func WithTimeout(request context.Context, d time.Duration) *Deadline {
	return &Deadline{request: request, at: time.Now().Add(d)} //nolint:forbidigo // see Deadline
}

// Stop cancels the context.
func (d *Deadline) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.cancel != nil {
		d.cancel()
	}
}

// current returns the context that answers: the request's while nobody waits and there
// is time, from then on the one with the timer.
func (d *Deadline) current(waits bool) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil && !waits && !d.stopped {
		return d.request
	}
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.request, d.at)
	}
	if d.stopped {
		d.cancel()
	}
	return d.timed
}

// Deadline implements context.Context.
func (d *Deadline) Deadline() (time.Time, bool) { return d.current(true).Deadline() }

// Done implements context.Context: from here on there is a timer.
func (d *Deadline) Done() <-chan struct{} { return d.current(true).Done() }

// Err implements context.Context.
func (d *Deadline) Err() error {
	late := !time.Now().Before(d.at) //nolint:forbidigo // see Deadline
	return d.current(late).Err()
}

// Value implements context.Context. Package context finds the nearest context of its
// own by a value, and the one with the timer knows the request's values too.
func (d *Deadline) Value(key any) any { return d.current(false).Value(key) }
