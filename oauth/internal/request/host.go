package request

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Host is what a handler knows of the program that mounts it. It logs what the
// program must change, each at the first request that shows it. It is safe for
// concurrent use.
type Host struct {
	addr                      func(*http.Request) netip.Addr
	log                       *slog.Logger
	address, deadline, prefix sync.Once
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
		h.address.Do(func() {
			h.log.WarnContext(r.Context(), "the address of a request's client is unknown: rules by address refuse such requests, and limits by address count all of them as one client; "+
				"make sure that RemoteAddr has an address, or set Config.ClientAddr")
		})
	}
	return addr
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
// server's bound applies, and that is logged. Nothing else would help: net/http
// does not end a connection while a Read of its body waits.
func (h *Host) BoundBody(w http.ResponseWriter, r *http.Request, bound time.Duration) Body {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.ReadTimeout > 0 && server.ReadTimeout <= bound || r.Body == nil || r.Body == http.NoBody {
		return Body{}
	}
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bound)) //nolint:forbidigo // see above
	if ok && errors.Is(err, http.ErrNotSupported) {
		h.deadline.Do(func() {
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

// Expect logs a request to a handler for one path if it came under a longer one, as
// when the handler is mounted in a group of routes.
func (h *Host) Expect(r *http.Request, path string) {
	came, _, _ := strings.Cut(r.RequestURI, "?") // before http.StripPrefix
	if !strings.HasPrefix(came, "/") {
		came = r.URL.EscapedPath()
	}
	if prefix, ok := strings.CutSuffix(came, path); ok && prefix != "" {
		h.prefix.Do(func() {
			h.log.WarnContext(r.Context(), "a request to a route came under a longer path than the metadata names. Unless a proxy adds the prefix, "+
				"clients do not find the route: mount the routes at the root and not in a group, and set Config.TokenPath to move the login", "expected", path, "came", short(came))
		})
	}
}

// Misplaced logs a request for which there is no route, if there is one for the end
// of its path: it suggests that the prefix was not removed, or with it the slash
// after it.
func (h *Host) Misplaced(r *http.Request, isRoute func(path string) bool) {
	const segments = 6 // more than any route has
	came, fits := r.URL.EscapedPath(), ""
	whole := came
	if !strings.HasPrefix(came, "/") {
		whole = "/" + came
	}
	for at, i := len(whole), 0; at > 0 && i < segments; i++ {
		at = strings.LastIndexByte(whole[:at], '/')
		if path := whole[at:]; path != came && isRoute(path) {
			fits = path
		}
	}
	if fits != "" {
		h.prefix.Do(func() {
			h.log.WarnContext(r.Context(), "no route has the path of a request, but one has the end of it: if no request is served, "+
				"mount the handler with http.StripPrefix, whose prefix has no slash at its end", "expected", short(fits), "came", short(came))
		})
	}
}

// short cuts a path for the log.
func short(path string) string { return path[:min(len(path), 100)] }
