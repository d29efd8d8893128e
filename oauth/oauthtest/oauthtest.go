// Package oauthtest is for the unit tests of programs that embed Latchkey. It has
// an authorization server in memory, a clock that the test moves, tokens that a
// route must accept and tokens that it must refuse.
//
//	func TestListProjects(t *testing.T) {
//		auth := oauthtest.New(t, "project.list", "project.write")
//		api := NewAPI(auth.Server()) // the handler under test
//
//		request := httptest.NewRequest("GET", "/workspaces/team-a/projects", nil)
//		request.Header.Set("Authorization", "Bearer "+auth.Token(t, "team-a", "project.list"))
//		answer := httptest.NewRecorder()
//		api.ServeHTTP(answer, request)
//		if answer.Code != http.StatusOK {
//			t.Errorf("got %d %s", answer.Code, answer.Body)
//		}
//	}
//
// CheckGuard checks in one call that a route refuses what it must refuse. There is
// also a method for each kind of bad token (Expired, ForeignIssuer, WrongKey, ...).
// Client is for tests over HTTP, RoundTripper for a client under test. NewIssuer is for
// tests of keys that trust the identities of another issuer.
//
// Name all permissions of the test in New: the server refuses guards and keys with
// other permissions, so a misspelt name makes the test fail. NewWith takes the host's
// own configuration, such as its catalog and policy.
package oauthtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// Server is an authorization server for one test. Its store is in memory, and it
// listens on a free loopback port. It is closed at the end of the test. It is safe
// for concurrent use, also by parallel subtests. Its background work runs only if
// the test calls Server().Run.
//
// A method that takes the calling test ends it (Fatal) if the method fails: call it
// from the test's own goroutine.
type Server struct {
	// URL is the URL of the server, without a slash at the end. It is also the
	// issuer, unless the Config names one.
	URL string
	// TokenURL is the URL at which clients log in.
	TokenURL string
	// Clock is the server's clock. It starts at noon (UTC) of January 15th, 2030,
	// so that no test depends on the day on which it runs.
	Clock *Clock

	store  store.Store
	cfg    oauth.Config
	server *oauth.Server
	// plain uses the same store and signing keys, but none of the host's policies
	// and rules. It creates the keys of a test and issues most tokens that must be
	// refused; Token and Login use server.
	plain   *oauth.Server
	web     *httptest.Server
	mounted atomic.Pointer[http.Handler]
}

// New starts a server with the given permissions. A permission whose name begins
// with "admin." reaches every workspace (scope.Admin). For another catalog use
// NewWith.
func New(t testing.TB, permissions ...string) *Server {
	t.Helper()
	var group scope.Group
	for _, name := range slices.Compact(slices.Sorted(slices.Values(permissions))) {
		p := scope.Permission{Name: name}
		if strings.HasPrefix(name, "admin.") {
			p.Level = scope.Admin
		}
		group.Permissions = append(group.Permissions, p)
	}
	catalog, err := scope.NewCatalog(group)
	if err != nil {
		t.Fatalf("oauthtest: New: %v", err)
	}
	return NewWith(t, oauth.Config{Permissions: catalog})
}

// NewWith starts a server with the host's configuration. Only Permissions is
// required. The defaults are for tests: the Issuer is the server's URL, the Logger
// writes to the test's log, LoginTimeout is one minute, every workspace exists, and
// there is a signing key and a pepper. Now must be nil, because the clock is Clock.
// SealKeys and SigningAlgorithm are ignored, because the signing keys are not stored.
// With RequireTLS the server uses TLS, with a certificate that only the clients of
// Client trust.
func NewWith(t testing.TB, cfg oauth.Config) *Server {
	t.Helper()
	s := &Server{Clock: newClock(), store: memstore.New()}
	if cfg.Now != nil {
		t.Fatalf("oauthtest: NewWith: leave Config.Now nil; the server's clock is Server.Clock")
	}
	if cfg.Permissions == nil {
		t.Fatalf("oauthtest: NewWith: Config.Permissions is missing: set it to the catalog of permissions")
	}
	cfg.Now = s.Clock.Now
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(testLog{t}, nil))
	}
	if cfg.LoginTimeout == 0 {
		cfg.LoginTimeout = time.Minute
	}
	if cfg.APIKeys.Workspaces == nil {
		cfg.APIKeys.Workspaces = anyWorkspace
	}
	if len(cfg.APIKeys.Peppers) == 0 {
		cfg.APIKeys.Peppers = []apikey.Pepper{{Version: 1, Key: []byte("the pepper of a test, 32 bytes and more")}}
	}
	// Stored signing keys belong to one issuer, but the servers that issue bad tokens
	// have other issuers.
	cfg.SealKeys, cfg.SigningAlgorithm = nil, ""
	if len(cfg.Signers) == 0 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatalf("oauthtest: make a signing key: %v", err)
		}
		cfg.Signers = []oauth.SigningKey{{ID: "oauthtest", Key: key}}
	}
	s.web = httptest.NewUnstartedServer(nil)
	s.web.Config.ErrorLog = slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelError)
	t.Cleanup(s.web.Close)
	if cfg.Issuer == "" {
		cfg.Issuer, cfg.InsecureLoopback = "http://"+s.web.Listener.Addr().String(), true
		if cfg.RequireTLS {
			cfg.Issuer = "https://" + s.web.Listener.Addr().String()
		}
	}
	if len(cfg.Audience) == 0 {
		cfg.Audience = []string{cfg.Issuer}
	}
	s.cfg = cfg

	var err error
	if s.server, err = oauth.New(s.store, cfg); err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	if s.plain, err = s.variant(func(*oauth.Config) {}); err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	s.web.Config.Handler = s.server.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mounted := s.mounted.Load(); mounted != nil {
			(*mounted).ServeHTTP(w, r)
			return
		}
		http.Error(w, "oauthtest: no handler is mounted; call Server.Mount", http.StatusNotFound)
	}))
	if cfg.RequireTLS {
		s.web.StartTLS()
	} else {
		s.web.Start()
	}
	s.URL = s.web.URL
	if s.TokenURL, err = s.tokenURL(); err != nil {
		t.Fatalf("oauthtest: %v", err)
	}
	return s
}

// anyWorkspace is a Config.APIKeys.Workspaces for which every workspace exists.
func anyWorkspace(context.Context, string) (bool, error) { return true, nil }

// variant returns a server on the same store, with a changed configuration and
// without the host's policies and rules.
func (s *Server) variant(change func(*oauth.Config)) (*oauth.Server, error) {
	cfg := s.cfg
	cfg.Policy, cfg.Observer = nil, nil
	cfg.APIKeys.Workspaces, cfg.APIKeys.DefaultRules = anyWorkspace, store.Rules{}
	change(&cfg)
	return oauth.New(s.store, cfg)
}

// tokenURL reads the path of the token endpoint from the server's metadata. The host
// is that of URL, because the issuer's may not exist.
func (s *Server) tokenURL() (string, error) {
	answer := httptest.NewRecorder()
	s.server.Metadata().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	var metadata struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &metadata); err != nil {
		return "", fmt.Errorf("read metadata: %w", err)
	}
	endpoint, err := url.Parse(metadata.TokenEndpoint)
	if err != nil {
		return "", fmt.Errorf("read metadata: %w", err)
	}
	return s.URL + endpoint.Path, nil
}

// Server returns the server, for the code under test: its Require makes guards, and
// its APIKeys manages keys.
func (s *Server) Server() *oauth.Server { return s.server }

// Mount serves a handler at URL. The server's own routes take precedence. A second
// call replaces the handler; nil removes it.
func (s *Server) Mount(handler http.Handler) {
	if handler == nil {
		s.mounted.Store(nil)
		return
	}
	s.mounted.Store(&handler)
}

// Key creates a key that never expires. It returns the id, which is the client_id,
// and the secret. Permissions may have wildcards. The host's Policy and DefaultRules do
// not apply, so that tests of handlers do not depend on them. To test these, call
// Server().APIKeys().Create.
func (s *Server) Key(t testing.TB, workspace string, permissions ...string) (id, secret string) {
	t.Helper()
	id, secret, err := s.key(t.Context(), apikey.Spec{Workspace: workspace}, permissions)
	if err != nil {
		t.Fatalf("oauthtest: Key: %v", err)
	}
	return id, secret
}

func (s *Server) key(ctx context.Context, spec apikey.Spec, permissions []string) (id, secret string, err error) {
	set, err := scope.Of(permissions...)
	if err != nil {
		return "", "", fmt.Errorf("permissions %q: %w", permissions, err)
	}
	spec.Name, spec.Permissions = "oauthtest", set
	key, made, err := s.plain.APIKeys().Create(ctx, operator(), spec)
	if missing := set.Minus(s.plain.APIKeys().Catalog().All()); err != nil && missing.Len() > 0 {
		return "", "", fmt.Errorf("the server has no permission %s: name it in New, or in the catalog for NewWith", missing)
	}
	if err != nil {
		return "", "", err
	}
	return key.ID, made.Reveal(), nil
}

// operator is the actor that creates and disables the keys of tests.
func operator() apikey.Actor { return apikey.OrganizationAdmin("oauthtest") }

// Token creates a key and returns a token of it. The token is valid until the clock
// has moved by its lifetime. The host's policies apply, as to every login.
func (s *Server) Token(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	token, _, err := s.token(t.Context(), s.server, workspace, permissions)
	if err != nil {
		t.Fatalf("oauthtest: Token: %v", err)
	}
	return token
}

// Login returns a new token of a key, with all the permissions it holds.
func (s *Server) Login(t testing.TB, id, secret string) string {
	t.Helper()
	granted, err := login(t.Context(), s.server, id, secret)
	if err != nil {
		t.Fatalf("oauthtest: Login: %v", err)
	}
	return granted.AccessToken
}

// LoginWithAssertion returns a new token of a key whose public key or trust accepts the
// assertion, or an error with the answer's text if the login is refused. The log of the
// test that made the Server says why, once for each reason, key and hour of the Clock.
func (s *Server) LoginWithAssertion(t testing.TB, id, assertion string) (string, error) {
	t.Helper()
	granted, err := post(t.Context(), s.server, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	})
	return granted.AccessToken, err
}

// token creates a key and logs in at the given server, which uses the same store.
func (s *Server) token(ctx context.Context, at *oauth.Server, workspace string, permissions []string) (token, id string, err error) {
	id, secret, err := s.key(ctx, apikey.Spec{Workspace: workspace}, permissions)
	if err != nil {
		return "", "", err
	}
	granted, err := login(ctx, at, id, secret)
	return granted.AccessToken, id, err
}

// login sends a login to a server's token endpoint, without a network.
func login(ctx context.Context, at *oauth.Server, id, secret string) (granted, error) {
	return post(ctx, at, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
}

func post(ctx context.Context, at *oauth.Server, form url.Values) (granted, error) {
	if err := ctx.Err(); err != nil {
		return granted{}, err
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://localhost/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = loopback
	answer := httptest.NewRecorder()
	at.Token().ServeHTTP(answer, r)
	return readLogin(answer.Result())
}

// loopback is the remote address of requests without a network.
const loopback = "127.0.0.1:1024"

// testLog writes to a test's log. It drops what comes after the test's end, such as the
// failure of a fetch that was still running: testing would panic.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Helper()
	if l.t.Context().Err() == nil {
		l.t.Logf("%s", strings.TrimSuffix(string(p), "\n"))
	}
	return len(p), nil
}
