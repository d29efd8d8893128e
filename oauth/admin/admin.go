// Package admin is the management API over HTTP: keys, settings, events and
// usage as JSON, for the host's own console, scripts and other programs.
//
// A Handler uses an apikey.Service and has no rules of its own: the service
// decides what an actor may do. The host says who the actor of a request is,
// from its own session, its single sign-on or, with Bearer, from a token of this
// server:
//
//	h, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier())})
//	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", h))
//
// The prefix can be any path. The handler serves an OpenAPI 3.1 document of its
// routes, parameters and answers as openapi.json.
//
// # Rules for every route
//
//   - A refusal is a problem document (RFC 9457). Its type is one of those in
//     PROBLEMS.md beside this source. It lists what is wrong field by field.
//   - What the actor may not see is answered like what does not exist: 404.
//   - JSON is read strictly: an unknown member, or one that appears twice or in
//     another case, is answered with 400, and so is an unknown query parameter. A
//     name or permissions that are null are answered with 422.
//   - A member whose name ends in _at is an instant, for which a request may also send
//     a date. One that ends in _on is a date. A duration is a whole number of
//     seconds. null means none: no expiry, no limit, never.
//   - No answer may be cached. A secret is only in the answer that created it,
//     which has no ETag. A public key with a private member is refused.
//   - A key and a record of settings have an ETag. A change with If-Match is
//     made only if the record still has that ETag; otherwise the answer is 412.
//     A weak ETag matches as well, because proxies that compress make ETags
//     weak; a list of ETags never matches. Replacing settings needs If-Match
//     (428); a change of one key may have it. All other routes that change
//     something, such as the one that suspends a workspace, take no If-Match and
//     answer every ETag with 412.
//   - Creating, rotating, and adding a public key or a trust take an
//     Idempotency-Key. If the same request is sent again, it creates nothing and is
//     answered with 409 and the id of the first request's key. Another body with the
//     same Idempotency-Key is answered with 422. An Idempotency-Key belongs to its
//     actor and route, and to the workspace or key in the path, for 24 hours. Of two
//     concurrent requests one is carried out.
//   - Lists come in pages. A cursor is signed. It is valid only for the same
//     actor, list and filter.
//   - A page of another origin cannot make a browser send a change with the
//     host's cookies: see Config.TrustedOrigins.
package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// Config configures a Handler. The zero value of each field is the production
// default, except for Authorize, which is required.
type Config struct {
	// Authorize returns the actor of a request, or an error to refuse it.
	// Required. It is called once for every request except for the OpenAPI
	// document, before the body is read. An error that wraps
	// store.ErrUnavailable, bearer.ErrUnavailable or the error of an ended
	// context is answered with 503, an *UnauthorizedError with 401 and its
	// challenge, any other error with 401. Only the text of an
	// *UnauthorizedError is sent to the caller. An actor without an id is
	// refused, because the audit log could not name it.
	Authorize func(*http.Request) (apikey.Actor, error)
	// CursorKey signs the cursors of lists: at least 32 random bytes, the
	// same in every replica. Default: a random key; then a cursor is valid only
	// until the process ends and only in this replica, and New logs a warning.
	CursorKey []byte
	// TrustedOrigins are origins ("https://console.example.com") whose pages may send
	// changes from a browser, besides the handler's own host. Default: none. Programs
	// other than browsers are not affected.
	TrustedOrigins []string
	// ClientAddr returns the client's address, for policies and audit events.
	// Default: the address in RemoteAddr, with or without a port. Behind a proxy use
	// oauth.BehindProxies. The first request without an address is logged.
	ClientAddr func(*http.Request) netip.Addr
	// Timeout bounds a request: the time to read its body, and the time of
	// Authorize, the store and the policies. If the body does not arrive in time,
	// the answer is 400. If the rest takes longer, the answer is 503, and the change
	// may have been made. Default 2 seconds; 10 ms to 5 minutes. A shorter
	// ReadTimeout of the host's http.Server applies to the body as well. Behind a
	// middleware that hides the connection, only ReadTimeout bounds the body, and
	// that is logged.
	Timeout time.Duration
	// Logger receives warnings and errors and, at level Debug, the errors of Authorize
	// that are not sent to the caller. Default slog.Default().
	Logger *slog.Logger
}

// Handler serves the management API. It is safe for concurrent use.
type Handler struct {
	keys    *apikey.Service
	cfg     Config
	host    *request.Host // reads addresses and bodies, and logs wrong mounting
	origins *http.CrossOriginProtection
	routes  []route
}

// New checks cfg and returns a Handler that uses keys. All problems are joined
// into one error, each naming its field.
func New(keys *apikey.Service, cfg Config) (*Handler, error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if keys == nil {
		add("keys is nil: pass the *apikey.Service that oauth.Server.APIKeys returns")
	}
	if cfg.Authorize == nil {
		add("Config.Authorize is required: it returns the actor of a request")
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	origins := http.NewCrossOriginProtection()
	for i, origin := range cfg.TrustedOrigins {
		if err := origins.AddTrustedOrigin(origin); err != nil {
			add("Config.TrustedOrigins[%d] must be an origin such as https://console.example.com", i)
		}
	}
	var badTimeout, badKey error
	cfg.Timeout, badTimeout = request.Timeout(cfg.Timeout)
	cfg.CursorKey, badKey = request.SealKey(cfg.CursorKey, "CursorKey", "cursors of lists", cfg.Logger)
	problems = append(problems, badTimeout, badKey)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return &Handler{keys: keys, cfg: cfg, host: request.NewHost(cfg.ClientAddr, cfg.Logger), origins: origins, routes: routes()}, nil
}

// ServeHTTP implements http.Handler. The request's path must not include the
// prefix: see http.StripPrefix. The first path without a route is logged, since a
// wrong prefix is the likely cause.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	defer cancel()
	c := &call{h: h, w: w, r: r.WithContext(ctx), arrival: h.host.BoundBody(w, r, h.cfg.Timeout)}
	if err := h.serve(c); err != nil {
		c.refuse(err)
	}
}

func (h *Handler) serve(c *call) error {
	match, params, allowed := find(h.routes, c.r)
	switch {
	case match == nil && len(allowed) > 0:
		c.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &refusal{Kind: answer.Method}
	case match == nil:
		h.host.Misplaced(c.r, "/keys", c.r.URL.EscapedPath(), "no route has the path of this request. If every request gets 404, the prefix is wrong: "+
			"mount the handler with http.StripPrefix, and no slash at the end of the prefix")
		return &refusal{Kind: answer.NotFound, Detail: "There is no such route."}
	}
	c.route, c.params = *match, params
	if err := h.origins.Check(c.r); err != nil {
		return &refusal{Kind: answer.CrossOrigin}
	}
	for _, step := range []func() error{c.authorize, c.readQuery, c.readPage, c.readCondition, c.readBody} {
		if err := step(); err != nil {
			return err
		}
	}
	return match.serve(h, c)
}
