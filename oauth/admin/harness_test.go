package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var (
	noon       = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	catalog    = harness.Catalog
	management = harness.Management
	cursorKey  = []byte("cursor key of the tests: 32 bytes")
)

// The people of the tests: each request names one of them.
var people = map[string]apikey.Actor{
	"ada":   harness.Ada,
	"olga":  harness.Olga,
	"max":   harness.Max,
	"bert":  harness.Bert,
	"ada?":  apikey.Owner("ada", "team-a"), // has the same id as an administrator
	"both":  apikey.Owner("both", "team-a", "team-b"),
	"lena":  harness.Lena,
	"guest": harness.Guest,
	"":      {},
}

var errNobody = errors.New("canary: the session database's own words")

// prefix is the path under which the tests mount the handler.
const prefix = "/api/admin"

// rig is a host with the handler mounted. At the end of the test it searches all output
// for the secrets that were created.
type rig struct {
	t     testing.TB
	store store.Store
	keys  *apikey.Service
	api   *admin.Handler
	web   *httptest.Server
	clock *oauthtest.Clock
	out   *harness.Recorder
}

// setup is what a test can change of its rig.
type setup struct {
	store  store.Store
	keys   apikey.Config
	config admin.Config
	mount  func(http.Handler) http.Handler
	listen net.Listener // nil: a loopback port
}

func newRig(t testing.TB, changes ...func(*setup)) *rig {
	t.Helper()
	r := &rig{t: t, clock: harness.ClockAt(noon), out: &harness.Recorder{}}
	log := r.out.Logger()
	trusted, err := trust.New([]trust.Issuer{
		{Name: "cluster", Issuer: "https://cluster.example.com", JWKS: []byte(`{"keys":[` + withMember(ecKey, `"kid":"1"`) + `]}`), Claims: []trust.Claim{{Name: "uid", Immutable: true}}},
		trust.GitHubActions(),
	}, trust.Config{Audience: "https://api.example.com", Now: r.clock.Now, Logger: log})
	require.NoError(t, err)
	s := setup{
		store: memstore.New(),
		keys: apikey.Config{
			Permissions: catalog, Now: r.clock.Now, Logger: log, TrustedIssuers: trusted,
			Options: apikey.Options{Management: management, Peppers: []apikey.Pepper{harness.Pepper()}},
		},
		config: admin.Config{Authorize: r.authorize, CursorKey: cursorKey, Timeout: time.Minute, Logger: log},
		mount:  func(h http.Handler) http.Handler { return h },
	}
	for _, change := range changes {
		change(&s)
	}
	r.store = s.store
	r.keys, err = apikey.New(s.store, s.keys)
	require.NoError(t, err)
	r.api, err = admin.New(r.keys, s.config)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(prefix+"/", s.mount(http.StripPrefix(prefix, r.api)))
	r.web = httptest.NewUnstartedServer(mux)
	if s.listen != nil {
		require.NoError(t, r.web.Listener.Close())
		r.web.Listener = s.listen
	}
	r.web.Start()
	t.Cleanup(r.web.Close)
	t.Cleanup(r.searchCanaries)
	return r
}

// at returns the rig for a subtest, so that the subtest fails and not its parent.
func (r *rig) at(t testing.TB) *rig {
	there := *r
	there.t = t
	return &there
}

// authorize returns the actor that a request names: a person or a key.
func (r *rig) authorize(req *http.Request) (apikey.Actor, error) {
	if id := req.Header.Get("X-Key"); id != "" {
		granted, err := scope.Parse(req.Header.Get("X-Scope"))
		if err != nil {
			return apikey.Actor{}, err
		}
		return apikey.ByKey(id, granted, req.Header.Get("X-Credential")), nil
	}
	actor, known := people[req.Header.Get("X-Actor")]
	if !known {
		return apikey.Actor{}, errNobody
	}
	return actor, nil
}

// reply is an answer.
type reply struct{ harness.Answer }

// do sends a request as an actor. A body that is not empty is JSON. headers are pairs of
// name and value. Every exchange is recorded, see exchangesEnv.
func (r *rig) do(actor, method, path, body string, headers ...string) *reply {
	r.t.Helper()
	got, err := r.try(actor, method, path, body, headers...)
	require.NoError(r.t, err)
	return got
}

// try is do for a request that may fail without an answer.
func (r *rig) try(actor, method, path, body string, headers ...string) (*reply, error) {
	r.t.Helper()
	if body != "" && !slices.Contains(headers, "Content-Type") {
		headers = append(headers, "Content-Type", "application/json")
	}
	req := harness.NewRequest(r.t, method, r.web.URL+prefix+path, body, append(headers, "X-Actor", actor)...)
	answer, err := harness.Do(r.t, http.DefaultClient, req)
	if err != nil {
		return nil, err
	}
	got := &reply{answer}
	record(r.t, req, body, got)
	r.keep(got)
	return got, nil
}

// keep records an answer. A secret may be only in the answer that created it, and
// internal data in none.
func (r *rig) keep(got *reply) {
	var made struct {
		Secret string `json:"secret"`
	}
	text := got.Body
	if got.StatusCode < 300 && json.Unmarshal([]byte(text), &made) == nil && made.Secret != "" {
		r.out.Keep(made.Secret)
		text = strings.ReplaceAll(text, `"secret":"`+made.Secret+`"`, "")
	}
	for name, values := range got.Header {
		text += "\n" + name + strings.Join(values, " ")
	}
	r.tell(text)
}

// tell records a text that is not from the log.
func (r *rig) tell(text string) {
	for _, internal := range []string{"hmac-sha256$", "canary"} {
		if strings.Contains(text, internal) {
			r.t.Errorf("B11 an answer holds the internal text %q", internal)
		}
	}
	r.out.Note(text)
}

func (r *rig) searchCanaries() {
	events, err := r.store.Events.List(context.Background(), store.EventQuery{Limit: store.MaxPage})
	if err == nil {
		text, err := json.Marshal(events)
		require.NoError(r.t, err)
		r.tell(string(text))
	}
	r.out.SearchStore(r.t, r.store) // B23
}

// problem checks that the answer is a problem with this status and code.
func (a *reply) problem(status int, code string) admin.Problem {
	a.T.Helper()
	require.Equal(a.T, "application/problem+json", a.Wants(status).Header.Get("Content-Type"))
	var p admin.Problem
	a.Into(&p)
	require.Equal(a.T, admin.ProblemType+code, p.Type, a.Body)
	require.Equal(a.T, status, p.Status)
	return p
}

// key is a key in an answer of the API.
type key struct {
	ID          string                    `json:"id"`
	Workspace   string                    `json:"workspace"`
	Name        string                    `json:"name"`
	Permissions []string                  `json:"permissions"`
	Requested   []string                  `json:"requested"`
	Resources   []string                  `json:"resources"`
	Direct      bool                      `json:"direct"`
	ExpiresAt   *time.Time                `json:"expires_at"`
	ExpiresOn   *string                   `json:"expires_on"`
	State       string                    `json:"state"`
	StateReason *string                   `json:"state_reason"`
	StateText   *string                   `json:"state_text"`
	EndsAt      *time.Time                `json:"ends_at"`
	Withheld    []string                  `json:"withheld"`
	Secrets     []secret                  `json:"secrets"`
	PublicKeys  []credential              `json:"public_keys"`
	Trusts      []credential              `json:"trusts"`
	CreatedBy   struct{ Kind, ID string } `json:"created_by"`
	CreatedAt   time.Time                 `json:"created_at"`
	UpdatedAt   time.Time                 `json:"updated_at"`
	LastUsedAt  *time.Time                `json:"last_used_at"`
	Version     int64                     `json:"version"`
}

type secret struct {
	ID         string     `json:"id"`
	Hint       *string    `json:"hint"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// credential is a public key or a trust in an answer of the API.
type credential struct {
	ID               string                    `json:"id"`
	Name             string                    `json:"name"`
	KeyID            string                    `json:"kid"`
	Algorithm        string                    `json:"algorithm"`
	PublicKey        map[string]string         `json:"public_key"`
	EndpointAudience bool                      `json:"endpoint_audience"`
	LongAssertions   bool                      `json:"long_assertions"`
	Issuer           string                    `json:"issuer"`
	Claims           map[string]string         `json:"claims"`
	CreatedBy        struct{ Kind, ID string } `json:"created_by"`
	CreatedAt        time.Time                 `json:"created_at"`
	ExpiresAt        *time.Time                `json:"expires_at"`
	LastUsedAt       *time.Time                `json:"last_used_at"`
}

type made struct {
	Key    key    `json:"key"`
	Secret string `json:"secret"`
}

type keyPage struct {
	Keys []key   `json:"keys"`
	Next *string `json:"next"`
}

// names returns the names of the keys of a page, in order.
func (p keyPage) names() []string {
	names := []string{}
	for _, k := range p.Keys {
		names = append(names, k.Name)
	}
	return names
}

// create creates a key that may list projects.
func (r *rig) create(actor, workspace, name string) made {
	r.t.Helper()
	return r.createWith(actor, workspace, `{"name":"`+name+`","permissions":["project.list"]}`)
}

func (r *rig) createWith(actor, workspace, body string) made {
	r.t.Helper()
	var m made
	r.do(actor, "POST", "/workspaces/"+workspace+"/keys", body).Wants(http.StatusCreated).Into(&m)
	return m
}

func (r *rig) read(actor, id string) key {
	r.t.Helper()
	var k key
	r.do(actor, "GET", "/keys/"+id, "").Wants(http.StatusOK).Into(&k)
	return k
}

func (r *rig) list(actor, path string) keyPage {
	r.t.Helper()
	var page keyPage
	r.do(actor, "GET", path, "").Wants(http.StatusOK).Into(&page)
	return page
}

// login logs in with a secret and flushes the last use to the store.
func (r *rig) login(id, secret string) error {
	login, err := r.keys.Authenticate(r.t.Context(), apikey.Credentials{ID: id, Secret: secret})
	if err != nil {
		return err
	}
	if _, err := r.keys.Issue(r.t.Context(), login, apikey.Request{}); err != nil {
		return err
	}
	return r.keys.Flush(r.t.Context())
}
