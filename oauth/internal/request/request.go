// Package request reads requests for the HTTP packages: the client's address, the
// Authorization header, the Content-Type, a body of bounded size and time, and signed
// cursors. Deadline is the context of a request with a timeout. Host logs what is wrong
// with the way in which the host mounts a handler.
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

// ParseAddr parses an IP address as servers, middlewares and proxies write it: with
// or without a port, an IPv6 address with or without brackets and zone. It drops
// the zone, and converts an IPv4-mapped IPv6 address to IPv4.
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

// Host is what a handler knows of the program that mounts it. It logs what the
// program must change, each thing once, at the first request that shows it. It is safe
// for concurrent use.
type Host struct {
	addr func(*http.Request) netip.Addr
	log  *slog.Logger
	// Each logs one thing.
	onceAddress, onceDeadline, onceMisplaced, onceRead sync.Once
}

// NewHost returns a Host that calls addr, the host's Config.ClientAddr. nil means
// ConnectionAddr.
func NewHost(addr func(*http.Request) netip.Addr, log *slog.Logger) *Host {
	if addr == nil {
		addr = ConnectionAddr
	}
	return &Host{addr: addr, log: log}
}

// Addr returns the address of a request's client. A request without one is
// logged.
func (h *Host) Addr(r *http.Request) netip.Addr {
	addr := h.addr(r)
	if !addr.IsValid() {
		h.onceAddress.Do(func() {
			h.log.WarnContext(r.Context(), "the address of a request's client is unknown: rules by address refuse such requests, and limits by address count all of them as one client; "+
				"make sure that RemoteAddr has an address, or set Config.ClientAddr")
		})
	}
	return addr
}

// Misplaced logs the first request that no route serves, since the handler may be
// mounted wrongly, with what to do about it and an example of a path that is served.
func (h *Host) Misplaced(r *http.Request, example, got, remedy string) {
	h.onceMisplaced.Do(func() {
		h.log.WarnContext(r.Context(), remedy, "example", example, "got", got[:min(len(got), 100)])
	})
}

var (
	// ErrAbsent says that there is no Authorization header, that it is empty, or that
	// it has another scheme.
	ErrAbsent = errors.New("no credentials of this scheme")
	// ErrMalformed says that the scheme is not followed by a space and credentials,
	// or that there are two Authorization headers.
	ErrMalformed = errors.New("malformed Authorization header")
)

// MediaType parses the Content-Type of a text. utf8 is false if it names a charset
// other than UTF-8. ok is false if the header is missing, present twice or
// malformed.
func MediaType(header http.Header) (kind string, utf8, ok bool) {
	values := header["Content-Type"]
	if len(values) != 1 {
		return "", false, false
	}
	switch values[0] {
	case "application/x-www-form-urlencoded", "application/json": // these need no parsing
		return values[0], true, true
	}
	kind, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", false, false
	}
	charset, named := params["charset"]
	return kind, !named || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8"), true
}

// IsPrintable reports whether a text has only printable ASCII characters and
// spaces, so that it can be in a header.
func IsPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// IsASCII reports whether a text is ASCII, and so means the same in every charset
// that a client may name.
func IsASCII[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Timeout checks the host's Config.Timeout and returns it, or its default of 2
// seconds if it is 0.
func Timeout(bound time.Duration) (time.Duration, error) {
	bound = cmp.Or(bound, 2*time.Second)
	if bound < 10*time.Millisecond || bound > 5*time.Minute {
		return bound, fmt.Errorf("Config.Timeout is %s; it must be from 10ms to 5m", bound)
	}
	return bound, nil
}

// Body bounds how long a request's body may take to arrive. The zero Body sets no
// bound.
type Body struct{ connection http.ResponseWriter }

// BoundBody bounds how long the body may take to arrive, even if the handler does
// not read it: net/http reads the rest of a body before it sends the response.
//
// It uses the real time, not the host's clock, since a connection waits. If the
// host's server has a shorter ReadTimeout, that stays. If a middleware's
// ResponseWriter hides the connection from http.ResponseController, only the
// server's bound applies, and that is logged. There is no other way to end a waiting
// Read: net/http does not close a connection while one waits.
func (h *Host) BoundBody(w http.ResponseWriter, r *http.Request, bound time.Duration) Body {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.ReadTimeout > 0 && server.ReadTimeout <= bound || r.Body == nil || r.Body == http.NoBody {
		return Body{}
	}
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bound)) //nolint:forbidigo // see above
	if ok && errors.Is(err, http.ErrNotSupported) {
		h.onceDeadline.Do(func() {
			h.log.WarnContext(r.Context(), "the time for a request's body is not bounded, because a middleware hides the connection: "+
				"http.TimeoutHandler, or one whose ResponseWriter has no Unwrap method; "+
				"set ReadTimeout of the http.Server to at most this bound, or mount the handler outside of the middleware", "bound", bound, "read_timeout", server.ReadTimeout)
		})
	}
	return Body{w}
}

// Release removes the bound. Call it when the body is read. net/http removes it at
// the end of the body, but not if a middleware has read the body before: then the
// deadline would look like a client that closed the connection.
func (b Body) Release() {
	if b.connection != nil {
		_ = http.NewResponseController(b.connection).SetReadDeadline(time.Time{}) //nolint:errcheck // see BoundBody
	}
}

// ReadBody reads at most limit bytes into a buffer. It refuses a longer body by its
// Content-Length, or else when it has read more than limit bytes. If other code of the
// host has read the body before, that is a failure of the server.
func (h *Host) ReadBody(w http.ResponseWriter, r *http.Request, limit int, into *bytes.Buffer) *answer.Refusal {
	if r.ContentLength > int64(limit) {
		return tooLarge(w)
	}
	if r.Body == nil {
		return nil
	}
	for into.Len() <= limit {
		if into.Available() == 0 {
			into.Grow(1 << 10) // enough for most bodies and responses
		}
		free := into.AvailableBuffer()
		n, err := r.Body.Read(free[:min(cap(free), limit+1-into.Len())])
		into.Write(free[:n])
		switch {
		case into.Len() == 0 && (errors.Is(err, http.ErrBodyReadAfterClose) || errors.Is(err, io.EOF) && (r.ContentLength > 0 || len(r.PostForm) > 0)):
			return h.readBefore(r)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return Unreadable(w, err)
		}
	}
	return tooLarge(w)
}

// readBefore returns the refusal of a request whose body was read by other code.
func (h *Host) readBefore(r *http.Request) *answer.Refusal {
	h.onceRead.Do(func() {
		h.log.ErrorContext(r.Context(), "a request failed because the host's code read its body first, such as a middleware that calls ParseForm, FormValue or io.ReadAll: "+
			"mount this handler in front of that code, or let it set Request.Body to what it has read",
			"route", r.Pattern, "form_parsed", r.PostForm != nil)
	})
	return &answer.Refusal{Kind: answer.Failed, Detail: "The body of this request was read before it came here. Tell the operator of this service."}
}

// Unreadable returns the refusal for a body that could not be read.
func Unreadable(w http.ResponseWriter, err error) *answer.Refusal {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return tooLarge(w)
	case errors.Is(err, os.ErrDeadlineExceeded):
		stopReading(w)
		return &answer.Refusal{Kind: answer.Late, Detail: "The body did not arrive in time."}
	}
	return &answer.Refusal{Kind: answer.Malformed, Detail: "The body could not be read."}
}

// tooLarge returns the refusal for a body over the limit.
func tooLarge(w http.ResponseWriter) *answer.Refusal {
	stopReading(w)
	return &answer.Refusal{Kind: answer.TooLarge}
}

// stopReading closes the connection after this response. The read deadline in the
// past keeps net/http from reading what the client goes on to send. The exceeded
// MaxBytesReader makes net/http wait before it closes, so that the client can read
// the response: to close at once with unread bytes would reset the connection.
func stopReading(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	exceeded := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = exceeded.Read(make([]byte, 1))                              //nolint:errcheck // the error is expected
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // see Host.BoundBody
}

// Deadline is a context like that of context.WithTimeout, but it starts its timer
// only when it is first waited for. Until then, Err compares the time itself. The time
// runs from the first call of a method, which is that of the first read of the store. A
// store in this process returns without waiting, and an unused timer would double
// the time of a guard with a cached token and cost a login 2 to 5%.
//
// It is not reused, since code that gets a context may keep it.
//
// It uses the real time, not the host's clock, since a request waits.
type Deadline struct {
	request context.Context //nolint:containedctx // this is a context, made of that one
	timeout time.Duration

	mu      sync.Mutex
	end     time.Duration   // since started; zero before the first call
	timed   context.Context //nolint:containedctx // set at the first wait, and used from then on
	cancel  context.CancelFunc
	stopped bool
}

// started is an instant before all requests. To read the time since then takes half as
// long as to read the time of day.
var started = time.Now() //nolint:forbidigo,gochecknoglobals // see Deadline; nothing changes it

// WithTimeout is like context.WithTimeout. Call Stop when the request is done.
func WithTimeout(request context.Context, d time.Duration) *Deadline {
	return &Deadline{request: request, timeout: d}
}

// Begin is WithTimeout for a Deadline that is part of something larger.
func (d *Deadline) Begin(request context.Context, timeout time.Duration) {
	d.request, d.timeout = request, timeout
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

// current returns the context to use. If waits is true or Stop was called, and in every
// later call, that is the one with the timer. Otherwise it is the request's.
func (d *Deadline) current(waits bool) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(started) //nolint:forbidigo // see Deadline
	if d.end == 0 {
		d.end = now + d.timeout
	}
	if d.timed == nil && !waits && !d.stopped && now < d.end {
		return d.request
	}
	if d.timed == nil {
		d.timed, d.cancel = context.WithTimeout(d.request, d.end-now)
	}
	if d.stopped {
		d.cancel()
	}
	return d.timed
}

// Deadline implements context.Context.
func (d *Deadline) Deadline() (time.Time, bool) { return d.current(true).Deadline() }

// Done implements context.Context. It starts the timer.
func (d *Deadline) Done() <-chan struct{} { return d.current(true).Done() }

// Err implements context.Context.
func (d *Deadline) Err() error { return d.current(false).Err() }

// Value implements context.Context. It uses the context with the timer if there is
// one: package context finds the nearest context of its own by a value, and that
// context has the request's values too.
func (d *Deadline) Value(key any) any { return d.current(false).Value(key) }
