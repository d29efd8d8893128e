package interop_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	zitadelop "github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/assertion"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// provider is an OpenID provider that runs the code of zitadel/oidc, with the storage of its
// example. A client gets a JWT for the audience that it requests as a scope.
type provider struct {
	*storage.Storage
	web *httptest.Server
	// signs is the key of new tokens, and published is the one in the JWKS document.
	signs, published atomic.Pointer[opKey]
}

// opKey is a key in the form of the provider.
type opKey struct {
	id  string
	key crypto.PrivateKey
}

func (k opKey) ID() string                                  { return k.id }
func (k opKey) Key() any                                    { return k.key }
func (k opKey) Use() string                                 { return "sig" }
func (k opKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k opKey) Algorithm() jose.SignatureAlgorithm          { return jose.RS256 }

func newOPKey(t *testing.T, id string) *opKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return &opKey{id, key}
}

func startProvider(t *testing.T, kid string) *provider {
	t.Helper()
	p := &provider{}
	p.changeKey(newOPKey(t, kid))
	var handler atomic.Pointer[zitadelop.Provider]
	p.web = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.Load().ServeHTTP(w, r) }))
	t.Cleanup(p.web.Close)
	p.Storage = storage.NewStorage(storage.NewUserStore(p.web.URL))
	made, err := zitadelop.NewProvider(&zitadelop.Config{}, p, zitadelop.StaticIssuer(p.web.URL), zitadelop.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	handler.Store(made)
	return p
}

func (p *provider) changeKey(k *opKey) { p.signs.Store(k); p.published.Store(k) }

func (p *provider) SigningKey(context.Context) (zitadelop.SigningKey, error) {
	return p.signs.Load(), nil
}

func (p *provider) KeySet(context.Context) ([]zitadelop.Key, error) {
	k := p.published.Load()
	return []zitadelop.Key{opKey{k.id, k.key.(crypto.Signer).Public()}}, nil
}

// ClientCredentials lets every client in that knows the secret of the example's one.
func (p *provider) ClientCredentials(ctx context.Context, id, secret string) (zitadelop.Client, error) {
	client, err := p.Storage.ClientCredentials(ctx, "sid1", secret)
	return jwtClient{client, id}, err
}

func (p *provider) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (zitadelop.TokenRequest, error) {
	return &zitadel.JWTTokenRequest{Subject: id, Audience: scopes, Scopes: scopes}, nil
}

func (p *provider) GetPrivateClaimsFromScopes(_ context.Context, _, client string, _ []string) (map[string]any, error) {
	return map[string]any{"workload": map[string]any{"uid": "uid of " + client}}, nil
}

// jwtClient is a client that gets JWTs.
type jwtClient struct {
	zitadelop.Client
	id string
}

func (c jwtClient) GetID() string                              { return c.id }
func (c jwtClient) AccessTokenType() zitadelop.AccessTokenType { return zitadelop.AccessTokenTypeJWT }

// token returns a token of a client for an audience.
func (p *provider) token(ctx context.Context, client, audience string) (string, error) {
	cfg := clientcredentials.Config{
		ClientID: client, ClientSecret: "verysecret", TokenURL: p.web.URL + "/oauth/token", Scopes: []string{audience}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	token, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, p.web.Client()))
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// entry is the provider's in the list of issuers: in the host's own network, on a port and
// with a CA of its own.
func (p *provider) entry(t *testing.T, name string) trust.Issuer {
	t.Helper()
	_, port, err := net.SplitHostPort(p.web.Listener.Addr().String())
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(p.web.Certificate())
	return trust.Issuer{
		Name: name, Issuer: p.web.URL, Private: true, Ports: []int{number}, RootCAs: roots,
		Claims: []trust.Claim{{Name: "sub"}, {Name: "uid", Path: []string{"workload", "uid"}, Immutable: true}},
	}
}

// log holds what a server has logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the text and empties the log.
func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// trusting is a server with keys that trust clients of providers.
type trusting struct {
	web    *httptest.Server
	server *oauth.Server
	log    log
	ahead  atomic.Int64 // how far its clock is ahead
}

func startTrusting(t *testing.T, issuers ...trust.Issuer) *trusting {
	t.Helper()
	s := &trusting{}
	mux := http.NewServeMux()
	s.web = httptest.NewServer(mux)
	t.Cleanup(s.web.Close)
	catalog, err := scope.NewCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}})
	require.NoError(t, err)
	s.server, err = oauth.New(memstore.New(), oauth.Config{
		Issuer: s.web.URL, InsecureLoopback: true, Audience: []string{"https://api.example.com"}, Permissions: catalog, TrustedIssuers: issuers,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
		Now:    func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	})
	require.NoError(t, err)
	for pattern, handler := range s.server.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /workspaces/{workspace}", s.server.Require("project.list").InPath("workspace")(http.HandlerFunc(whoAmI)))
	return s
}

func whoAmI(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// key adds a key that trusts a client of the issuer.
func (s *trusting) key(t *testing.T, issuer, client string) string {
	t.Helper()
	list, err := scope.Of("project.list")
	require.NoError(t, err)
	key, _, err := s.server.APIKeys().Create(t.Context(), apikey.OrganizationAdmin("interop"), apikey.Spec{
		Workspace: "team-a", Name: client, Permissions: list, NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: client, Trust: &store.Trust{
			Issuer: issuer, Claims: []store.Claim{{Name: "sub", Value: client}, {Name: "uid", Value: "uid of " + client}},
		}}},
	})
	require.NoError(t, err)
	return key.ID
}

// login logs in as a program does that gets its identity from the provider.
func (s *trusting) login(t *testing.T, key string, p *provider, client, audience string) (*http.Client, error) {
	t.Helper()
	source := assertion.TokenSource(limited(t), assertion.Config{
		TokenURL: s.web.URL + "/api/login", ClientID: key,
		Assertion: func(ctx context.Context) (string, error) { return p.token(ctx, client, audience) },
	})
	_, err := source.Token()
	return oauth2.NewClient(limited(t), source), err
}

// TestIdentitiesOfZitadel logs in with tokens that a real provider signed for our audience.
func TestIdentitiesOfZitadel(t *testing.T) {
	const peer = peer("github.com/zitadel/oidc/v3")
	a, b := startProvider(t, "key of a"), startProvider(t, "key of b")
	s := startTrusting(t, a.entry(t, "a"), b.entry(t, "b"))
	us := s.web.URL
	trustsA, trustsB := s.key(t, "a", "robot"), s.key(t, "b", "robot")

	peer.shows(t, "token of client_credentials (op) as an identity that a key trusts: discovery and keys over TLS with an own CA, a nested claim", func(t *testing.T) {
		for key, p := range map[string]*provider{trustsA: a, trustsB: b} {
			for range 2 {
				client, err := s.login(t, key, p, "robot", us)
				require.NoError(t, err)
				status, body := get(t, client, us+"/workspaces/team-a")
				require.Equal(t, http.StatusNoContent, status, body)
				status, _ = get(t, client, us+"/workspaces/team-b")
				require.Equal(t, http.StatusNotFound, status)
			}
		}
	})
	refused := func(t *testing.T, key string, client, audience, reason string) {
		t.Helper()
		s.log.take()
		_, err := s.login(t, key, a, client, audience)
		var problem *oauth2.RetrieveError
		require.ErrorAs(t, err, &problem)
		require.Equal(t, http.StatusUnauthorized, problem.Response.StatusCode)
		require.Equal(t, "invalid_client", problem.ErrorCode)
		require.Contains(t, s.log.take(), reason)
	}
	own := a.signs.Load()
	for _, c := range []struct {
		what, key, client, audience string
		signs                       *opKey
		reason                      string
	}{
		{"other audience", trustsA, "robot", us + "/other", own, "its aud is not"},
		{"other client", trustsA, "other", us, own, "its claim \\\"sub\\\" differs"},
		{"other issuer than the trust's", trustsB, "robot", us, own, "the key has no trust in its issuer that has not ended"},
		{"other key under the issuer's kid", trustsA, "robot", us, &opKey{own.id, newOPKey(t, "").key}, "its signature does not match"},
		{"key and kid of another issuer of the list", trustsA, "robot", us, b.signs.Load(), "the issuer has no key with its kid"},
	} {
		peer.refuses(t, c.what+" (trust)", func(t *testing.T) {
			a.signs.Store(c.signs)
			defer a.signs.Store(own)
			refused(t, c.key, c.client, c.audience, c.reason)
		})
	}
	peer.shows(t, "the provider has changed its key (trust)", func(t *testing.T) {
		s.ahead.Add(int64(2 * time.Minute)) // keys are fetched at most once a minute
		a.changeKey(newOPKey(t, "next key of a"))
		_, err := s.login(t, trustsA, a, "robot", us)
		require.NoError(t, err)
	})
	peer.refuses(t, "key that the provider has replaced (trust)", func(t *testing.T) {
		s.ahead.Add(int64(2 * time.Minute))
		a.signs.Store(own)
		refused(t, s.key(t, "a", "robot"), "robot", us, "the issuer has no key with its kid") // a reason is logged once for each key
	})
}
