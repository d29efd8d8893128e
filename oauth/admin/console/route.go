package console

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// route is one page or one form.
type route struct {
	pattern string // of http.ServeMux
	serve   func(*call) error
}

// allRoutes lists the pages and forms. The tests of isolation and escaping use it, too.
func allRoutes() []route {
	return []route{
		{"GET /{$}", (*call).home},
		{"GET /find-secret", (*call).askSecret},
		{"POST /find-secret", (*call).findSecret},

		{"GET /workspaces/{workspace}/keys", (*call).listKeys},
		{"GET /workspaces/{workspace}/keys/new", withForm("new", (*keyForm).create)},
		{"POST /workspaces/{workspace}/keys/new", withForm("new", (*keyForm).create)},
		{"GET /workspaces/{workspace}/events", (*call).listEvents},
		{"GET /workspaces/{workspace}/events.csv", (*call).downloadEvents},

		{"GET /keys/{key}", (*call).showKey},
		{"GET /keys/{key}/change", withForm("change", (*keyForm).change)},
		{"POST /keys/{key}/change", withForm("change", (*keyForm).change)},
		{"GET /keys/{key}/rotate", withForm("rotate", (*keyForm).rotate)},
		{"POST /keys/{key}/rotate", withForm("rotate", (*keyForm).rotate)},
		{"GET /keys/{key}/public-keys/new", withForm("publickey", (*keyForm).addPublicKey)},
		{"POST /keys/{key}/public-keys/new", withForm("publickey", (*keyForm).addPublicKey)},
		{"GET /keys/{key}/trusts/new/{issuer}", withForm("trust", (*keyForm).addTrust)},
		{"POST /keys/{key}/trusts/new/{issuer}", withForm("trust", (*keyForm).addTrust)},
		{"GET /keys/{key}/credentials/{credential}", (*call).showCredential},
		{"GET /keys/{key}/retire/{credential}", askToConfirm(confirmRetire)},
		{"POST /keys/{key}/retire/{credential}", confirmed(confirmRetire, (*call).retire)},
		{"GET /keys/{key}/disable", askToConfirm(confirmDisable)},
		{"POST /keys/{key}/disable", confirmed(confirmDisable, changeKey((*apikey.Service).Disable, "done=disable"))},
		{"POST /keys/{key}/enable", changeKey((*apikey.Service).Enable, "done=enable")},
		{"GET /keys/{key}/delete", askToConfirm(confirmDelete)},
		{"POST /keys/{key}/delete", confirmed(confirmDelete, (*call).deleteKey)},

		{"GET /settings", (*call).settings},
		{"POST /settings", (*call).settings},
		{"GET /settings/keys", (*call).listKeys},
		{"GET /settings/violations", (*call).listViolations},
		{"GET /settings/events", (*call).listEvents},
		{"GET /settings/events.csv", (*call).downloadEvents},
		{"GET /settings/workspaces", (*call).listWorkspaces},
		{"GET /settings/workspaces/{workspace}", (*call).workspaceSettings},
		{"POST /settings/workspaces/{workspace}", (*call).workspaceSettings},
		{"GET /settings/workspaces/{workspace}/suspend", (*call).askSuspend},
		{"POST /settings/workspaces/{workspace}/suspend", setSuspended(true, "done=suspended")},
		{"POST /settings/workspaces/{workspace}/resume", setSuspended(false, "done=resumed")},
	}
}

func (c *Console) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, t := range allRoutes() {
		mux.HandleFunc(t.pattern, func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, t) })
	}
	for name := range c.assets {
		mux.HandleFunc("GET /"+name, c.serveAsset)
	}
	mux.HandleFunc("/", c.missing)
	return mux
}

func (c *Console) serve(w http.ResponseWriter, r *http.Request, t route) {
	s := &call{c: c, w: w, r: r, body: c.host.BoundBody(w, r, c.cfg.Timeout)}
	if err := s.serve(t); err != nil && !errors.Is(err, errAnswered) {
		s.refuse(err)
	}
}

// missing serves requests that no page or form is for: their path, or their method at
// that path, is unknown.
func (c *Console) missing(w http.ResponseWriter, r *http.Request) {
	c.host.Misplaced(r, "GET /settings", r.Method+" "+r.URL.EscapedPath(), "no page or form has this method and path. If no page is served, mount the console with http.StripPrefix, "+
		"and no slash at the end of the prefix")
	c.serve(w, r, route{serve: func(*call) error { return store.ErrNotFound }})
}

// call is one request.
type call struct {
	c      *Console
	w      http.ResponseWriter
	r      *http.Request
	body   request.Body // bounds the time in which the body arrives
	person Person
}

// maxForm bounds a form in bytes; a form with every permission of a large catalog
// fits. maxSignedOutForm bounds a form whose sender Authorize did not
// identify, because nobody is signed in or because of an outage.
const (
	maxForm          = 1 << 20
	maxSignedOutForm = 64 << 10
)

// serve makes the checks that every page needs, and then serves the page.
func (s *call) serve(t route) error {
	if s.c.origins.Check(s.r) != nil {
		return &answer.Refusal{Kind: answer.CrossOrigin}
	}
	if err := s.identify(); err != nil {
		return err
	}
	if s.r.Method == http.MethodPost {
		if s.r.PostForm == nil { // a middleware may have parsed it
			var text bytes.Buffer
			if bad := s.c.host.ReadBody(s.w, s.r, maxForm, &text); bad != nil {
				return bad
			}
			s.r.Body = io.NopCloser(&text)
		}
		if err := s.r.ParseForm(); err != nil {
			return request.Unreadable(s.w, err)
		}
		s.body.Release()
		if !s.validFormID(s.r.PostForm.Get("form")) {
			return &answer.Refusal{Kind: answer.StaleForm}
		}
	}
	return t.serve(s)
}

// identify calls Config.Authorize.
func (s *call) identify() error {
	person, err := s.c.cfg.Authorize(s.r)
	switch {
	case outcome.IsOutage(err), err != nil && s.r.Context().Err() != nil:
		return fmt.Errorf("console: authorize: %w: %w", store.ErrUnavailable, err)
	case err != nil || person.Actor.Ref().ID == "":
		s.c.cfg.Logger.DebugContext(s.r.Context(), "nobody is signed in: Config.Authorize returned an error, or an actor without an id", "error", err)
		return &answer.Refusal{Kind: answer.Unauthorized}
	}
	person.Actor.Address = s.c.host.Addr(s.r)
	person.Actor.Name = cmp.Or(person.Name, person.Actor.Name)
	person.Name = cmp.Or(person.Name, person.Actor.Ref().ID)
	s.person = person
	return nil
}

func (s *call) keys() *apikey.Service { return s.c.keys }
func (s *call) actor() apikey.Actor   { return s.person.Actor }

// administers decides which menu and first page are shown. The service decides what is allowed.
func (s *call) administers() bool { return s.actor().Ref().Kind == "admin" }
