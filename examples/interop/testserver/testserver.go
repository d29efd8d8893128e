// Package testserver is a Latchkey server for tests of peers: clients and verifiers of
// other projects. It has a good token, and bad tokens that are each wrong in one way. A
// verifier that accepts the good token and refuses the bad ones really checks tokens.
package testserver

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	management "github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const (
	audience      = "https://api.example.com"
	otherAudience = "https://other.example.com"
	// kid is the id of the server's key and of the forger's.
	kid = "signing-key-1"
)

// Algorithms returns the algorithms that a published key can have.
func Algorithms() []string { return []string{"ES256", "RS256", "PS256", "EdDSA"} }

// Facts are the URLs, credentials and tokens for a peer. The first members are those that
// `go run ./examples/quickstart -json` prints.
type Facts struct {
	BaseURL      string    `json:"base_url"`
	Issuer       string    `json:"issuer"`
	TokenURL     string    `json:"token_url"`
	JWKSURL      string    `json:"jwks_url"`
	MetadataURL  string    `json:"metadata_url"`
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"client_secret"`
	Scopes       scope.Set `json:"scopes"`
	Workspace    string    `json:"workspace"`
	ProtectedURL string    `json:"protected_url"`
	ForbiddenURL string    `json:"forbidden_url"`
	ForeignURL   string    `json:"foreign_url"`

	// WrongSecret is the secret of another key.
	WrongSecret string `json:"wrong_secret"`
	// Algorithm is the algorithm of the tokens' signatures.
	Algorithm string `json:"algorithm"`
	// Audience is the aud of good tokens.
	Audience string `json:"audience"`
	Tokens   Tokens `json:"tokens"`
	// ManageURL is the URL of the management API. ManageToken is a token of a key that
	// may create and change keys of the workspace, and save settings.
	ManageURL   string `json:"manage_url"`
	ManageToken string `json:"manage_token"`
	// Signing is for clients with a private key; AddSigning sets it.
	Signing Signing `json:"signing"`
}

// Tokens are access tokens. All are of the same key, except Ended. Each is valid except
// for what its name says.
type Tokens struct {
	Good          string `json:"good"`
	Expired       string `json:"expired"`
	WrongAudience string `json:"wrong_audience"`
	OtherKey      string `json:"other_key"` // a forger's signature under the server's kid
	Ended         string `json:"ended"`     // its key was disabled; a peer can know only from introspection
}

// Invalid returns the tokens that a peer must refuse if it verifies tokens itself, by what
// is wrong with them.
func (t Tokens) Invalid() map[string]string {
	return map[string]string{"expired": t.Expired, "wrong audience": t.WrongAudience, "other key": t.OtherKey}
}

// Server is a running server. Close ends it.
type Server struct {
	Facts  Facts
	web    *http.Server
	keys   *apikey.Service
	signer apikey.Spec // see Signing
}

// Start serves on a loopback port until Close. Tokens are signed with the algorithm. The
// key may request tokens for the resources, besides those for Facts.Audience.
func Start(ctx context.Context, algorithm string, resources ...string) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("testserver: %w", err)
	}
	w, err := build(ctx, "http://"+listener.Addr().String(), algorithm, resources)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testserver: %w", err), listener.Close())
	}
	go func() { _ = w.web.Serve(listener) }() //nolint:errcheck // it ends with Close
	return w, nil
}

// Close stops the server.
func (w *Server) Close() error { return w.web.Close() }

func build(ctx context.Context, base, algorithm string, resources []string) (*Server, error) {
	own, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	foreign, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	st := memstore.New()
	good := issuer{base: base, store: st, key: own, audience: audience, resources: resources}
	server, err := good.server()
	if err != nil {
		return nil, err
	}
	keys := server.APIKeys()
	permissions, err := scope.Of("project.list", "project.read")
	if err != nil {
		return nil, err
	}
	admin := apikey.OrganizationAdmin("interop")
	spec := apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: permissions, Resources: resources}
	key, secret, err := keys.Create(ctx, admin, spec)
	if err != nil {
		return nil, err
	}
	other, otherSecret, err := keys.Create(ctx, admin, apikey.Spec{Workspace: "team-a", Name: "ended", Permissions: permissions})
	if err != nil {
		return nil, err
	}

	signer := apikey.Spec{Workspace: "team-a", Name: "signer", Permissions: permissions, Resources: resources}
	manages, err := scope.Of("project.list", "key.list", "key.save", "admin.settings.save")
	if err != nil {
		return nil, err
	}
	manager, managerSecret, err := keys.Create(ctx, admin, apikey.Spec{Workspace: "team-a", Name: "manager", Permissions: manages})
	if err != nil {
		return nil, err
	}
	api, err := management.New(keys, management.Config{
		Authorize: management.Bearer(server.Verifier()), CursorKey: []byte("the cursor key of the interop run"), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}

	slow, misdirected, forger := good, good, good
	slow.age = time.Hour
	misdirected.audience = otherAudience
	forger.key = foreign
	forger.store.HostLists = memstore.New().HostLists // the store knows which key is in use under this kid
	var tokens Tokens
	var managerToken string
	var problems []error
	for _, login := range []struct {
		into   *string
		by     issuer
		id     string
		secret apikey.Secret
	}{
		{&tokens.Good, good, key.ID, secret},
		{&tokens.Expired, slow, key.ID, secret},
		{&tokens.WrongAudience, misdirected, key.ID, secret},
		{&tokens.OtherKey, forger, key.ID, secret},
		{&tokens.Ended, good, other.ID, otherSecret},
		{&managerToken, good, manager.ID, managerSecret},
	} {
		*login.into, err = login.by.token(ctx, login.id, login.secret.Reveal())
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if _, err := keys.Disable(ctx, admin, other.ID, 0); err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	for pattern, handler := range server.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("/api/manage/", http.StripPrefix("/api/manage", api))
	mux.Handle("GET /workspaces/{workspace}/projects",
		server.Require("project.list").InPath("workspace")(http.HandlerFunc(whoAmI)))
	mux.Handle("GET /workspaces/{workspace}/invoices",
		server.Require("billing.read").InPath("workspace")(http.HandlerFunc(whoAmI)))
	return &Server{
		keys: keys, signer: signer,
		web: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
		Facts: Facts{
			BaseURL:      base,
			Issuer:       base,
			TokenURL:     base + "/api/login",
			JWKSURL:      base + "/.well-known/jwks.json",
			MetadataURL:  base + "/.well-known/oauth-authorization-server",
			ClientID:     key.ID,
			ClientSecret: secret.Reveal(),
			Scopes:       key.Permissions,
			Workspace:    key.Workspace,
			ProtectedURL: base + "/workspaces/team-a/projects",
			ForbiddenURL: base + "/workspaces/team-a/invoices",
			ForeignURL:   base + "/workspaces/team-b/projects",
			WrongSecret:  otherSecret.Reveal(),
			Algorithm:    algorithm,
			Audience:     audience,
			Tokens:       tokens,
			ManageURL:    base + "/api/manage",
			ManageToken:  managerToken,
		},
	}, nil
}

// whoAmI answers with what the guard read from the token.
func whoAmI(w http.ResponseWriter, r *http.Request) {
	principal, ok := bearer.PrincipalFrom(r.Context())
	if !ok {
		http.Error(w, "no principal: the route has no guard", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"client_id": principal.KeyID, "workspace": principal.Workspace, "scope": principal.Permissions.String()}
	_ = json.NewEncoder(w).Encode(body) //nolint:errcheck // fails only if the client has disconnected
}

// issuer is the configuration of the server, or of another server that issues a bad token.
type issuer struct {
	base     string
	store    store.Store
	key      crypto.Signer
	audience string
	// resources are the resources that the key may request tokens for (RFC 8707).
	resources []string
	age       time.Duration // how far its clock is behind
}

func (i issuer) server() (*oauth.Server, error) {
	catalog, err := scope.NewCatalog(
		scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}, {Name: "project.read"}}},
		scope.Group{Title: "Billing", Permissions: []scope.Permission{{Name: "billing.read"}}},
		scope.Group{Title: "Keys", Permissions: []scope.Permission{
			{Name: "key.list"}, {Name: "key.save"}, {Name: "admin.settings.save", Level: scope.Admin},
		}},
	)
	if err != nil {
		return nil, err
	}
	resources := make([]apikey.Resource, len(i.resources))
	for n, uri := range i.resources {
		resources[n].URI = uri
	}
	key := oauth.SigningKey{ID: kid, Key: i.key}
	if rsaKey, ok := i.key.(*pssKey); ok {
		key.Key, key.Algorithm = rsaKey.PrivateKey, "PS256"
	}
	return oauth.New(i.store, oauth.Config{
		APIKeys: apikey.Options{
			Management:     apikey.Management{List: "key.list", Save: "key.save", SaveSettings: "admin.settings.save"},
			LongAssertions: true,
		},
		Issuer:           i.base,
		InsecureLoopback: true,
		Permissions:      catalog,
		Audience:         []string{i.audience},
		Resources:        resources,
		Signers:          []oauth.SigningKey{key},
		OpenIDAlias:      true,
		// MCP SDKs do not read metadata without it.
		AuthorizationPath: "/authorize",
		Logger:            slog.New(slog.DiscardHandler),
		Now:               func() time.Time { return time.Now().Add(-i.age) },
	})
}

// token logs in without a network.
func (i issuer) token(ctx context.Context, id, secret string) (string, error) {
	server, err := i.server()
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, i.base+"/api/login", strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	server.Token().ServeHTTP(answer, request)
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusOK {
		return "", fmt.Errorf("no token: status %d, %w", answer.Code, err)
	}
	return body.Token, nil
}

// pssKey is an RSA key for PS256.
type pssKey struct{ *rsa.PrivateKey }

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "PS256":
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		return &pssKey{key}, err
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("unknown algorithm %q: choose one of %v", algorithm, Algorithms())
}
