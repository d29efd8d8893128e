// Package admin is the management API over HTTP: keys, settings, events and
// usage as JSON, for the host's own console, scripts and other programs.
//
// A Handler stands on an apikey.Service and holds no rules of its own: whatever
// it does, the service decides whether this actor may. The host says who the
// actor of a request is, by its own session, its single sign-on or, with
// Bearer, by a token of this same server:
//
//	h, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier())})
//	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", h))
//
// Any prefix will do. The routes below it, their parameters and every answer
// are described by the OpenAPI 3.1 document that the handler serves as
// openapi.json.
//
// # What holds for every route
//
//   - A refusal is a problem document (RFC 9457); its type is one of those in
//     PROBLEMS.md beside this source. What is wrong with a request is listed
//     field by field.
//   - What the actor has no part in looks like what does not exist: 404.
//   - JSON is read strictly: an unknown member, one that appears twice or in
//     another case is 400, and so is an unknown query parameter. null means
//     no expiry or no resources; a name or permissions of null are 422.
//   - No answer may be kept by a cache. A secret is in the one answer that
//     made it, which has no ETag, and never again.
//   - A key and a record of settings have an ETag. A change with If-Match is
//     made only if the record still has that ETag; otherwise 412. A weak ETag
//     matches as well, since proxies that compress make ETags weak; a list of
//     ETags matches nothing. Replacing settings needs If-Match (428);
//     elsewhere it is optional. Where there is no such record, as for suspending
//     a workspace, no ETag matches (412).
//   - Creating and rotating take an Idempotency-Key. The same request again
//     makes no second key and no second secret: it is answered with 409 and the
//     id of the first one's key, another body under the same Idempotency-Key
//     with 422. An Idempotency-Key belongs to its actor, workspace and route,
//     for 24 hours. Of two at once one is carried out.
//   - Lists come in pages. A cursor is signed, and good for the same actor,
//     list and filter only.
//   - A page of another origin cannot make a browser send a change along with
//     the host's cookies: see Config.TrustedOrigins.
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

// Config adjusts a Handler. The zero value of each field is the production
// default, but for Authorize, which is required.
type Config struct {
	// Authorize names the actor of a request, or refuses it. Required. It is
	// asked once for every request, but for that of the OpenAPI document, and
	// before the body is read. An error that wraps store.ErrUnavailable,
	// bearer.ErrUnavailable or that of an ended context is answered with 503,
	// an *UnauthorizedError with 401 and its challenge, any other error with
	// 401. Only the text of an *UnauthorizedError reaches the caller. An actor
	// without an id is refused, since the audit log could not name it.
	Authorize func(*http.Request) (apikey.Actor, error)
	// CursorKey signs the cursors of lists: at least 32 random bytes, the
	// same in every replica. Default: random, so that a cursor ends with the
	// process and is refused by its neighbours, of which New warns.
	CursorKey []byte
	// TrustedOrigins are origins ("https://console.example.com") whose pages
	// may send changes from a browser, besides those of the handler's own
	// host. Default none. Requests that no browser sent are not concerned.
	TrustedOrigins []string
	// ClientAddr names the client's address, for policies. Default:
	// that in RemoteAddr, with a port or without. Behind a proxy use
	// oauth.BehindProxies. The first request without an address is logged.
	ClientAddr func(*http.Request) netip.Addr
	// Timeout bounds a request: how long its body may take to come in, and
	// Authorize, the store and the policies to answer. What takes longer is
	// answered with 503; a change may have been made then. Default 2
	// seconds; 10 ms to 5 minutes. A tighter ReadTimeout of the host's
	// http.Server holds for the body.
	Timeout time.Duration
	// Logger takes warnings and errors. Default slog.Default().
	Logger *slog.Logger
}

// Handler serves the management API. It is safe for concurrent use.
type Handler struct {
	keys    *apikey.Service
	cfg     Config
	clients *request.Clients
	origins *http.CrossOriginProtection
	routes  []route
}

// New checks cfg and returns a Handler on keys. All problems are joined into
// one error, each naming its field.
func New(keys *apikey.Service, cfg Config) (*Handler, error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if keys == nil {
		add("the service is missing")
	}
	if cfg.Authorize == nil {
		add("Config.Authorize is missing: it says who the actor of a request is")
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	origins := http.NewCrossOriginProtection()
	for i, origin := range cfg.TrustedOrigins {
		if err := origins.AddTrustedOrigin(origin); err != nil {
			add("Config.TrustedOrigins[%d] is not an origin such as https://console.example.com", i)
		}
	}
	var badTimeout, badKey error
	cfg.Timeout, badTimeout = request.Timeout(cfg.Timeout)
	cfg.CursorKey, badKey = request.SealKey(cfg.CursorKey, "CursorKey", "cursors of lists", cfg.Logger)
	problems = append(problems, badTimeout, badKey)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return &Handler{keys: keys, cfg: cfg, clients: request.NewClients(cfg.ClientAddr, cfg.Logger), origins: origins, routes: routes()}, nil
}

// ServeHTTP implements http.Handler. The request's path is that below the
// prefix: see http.StripPrefix.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	defer cancel()
	c := &call{h: h, w: w, r: r.WithContext(ctx), held: request.HoldBody(w, r, h.cfg.Timeout)}
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
