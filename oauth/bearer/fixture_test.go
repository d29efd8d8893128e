package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/scope"
)

const (
	issuer   = "https://api.example.com"
	audience = "https://api.example.com/v1"
)

// start is the time at which every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is an issuer and a resource server that share one clock.
type world struct {
	t       testing.TB
	private *ecdsa.PrivateKey
	signer  *jose.Signer
	keys    *keyring
	epochs  *epochs
	config  bearer.Config
	log     *harness.Recorder
	clock   *oauthtest.Clock
}

func newWorld(t testing.TB) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.ES256, "k1", key)
	require.NoError(t, err)
	w := &world{t: t, private: key, signer: signer, epochs: &epochs{}, log: &harness.Recorder{}, clock: harness.ClockAt(start)}
	w.keys = &keyring{keys: map[string]bearer.PublicKey{}}
	w.keys.put(signer.Public())
	w.config = bearer.Config{
		Issuer: issuer, Audiences: []string{audience}, Keys: w.keys, Epochs: w.epochs,
		Permissions: harness.Catalog, Realm: "api", Now: w.clock.Now, Logger: w.log.Logger(),
	}
	return w
}

func (w *world) wait(d time.Duration) { w.clock.Advance(d) }

func (w *world) verifier() *bearer.Verifier {
	w.t.Helper()
	v, err := bearer.New(w.config)
	require.NoError(w.t, err)
	return v
}

// claims returns the claims of a valid token with a lifetime of ten minutes.
func claims() jose.Claims {
	return jose.Claims{
		Issuer: issuer, Subject: "key-1", Audience: []string{audience}, ClientID: "key-1",
		Scope: "project.list", TokenID: "token-1", IssuedAt: start.Unix(), Expires: start.Unix() + 600,
		Workspace: "team-a", CredentialID: "secret-1", Epochs: [3]int64{1, 2, 3},
	}
}

// token signs valid claims after the given changes.
func (w *world) token(changes ...func(*jose.Claims)) string {
	w.t.Helper()
	c := claims()
	for _, change := range changes {
		change(&c)
	}
	if granted, err := scope.Parse(c.Scope); err == nil { // as issuers write it
		c.AdminScope = granted.Intersect(harness.Catalog.Admin()).String()
	}
	return w.sign(string(jose.AppendClaims(nil, &c)))
}

func (w *world) sign(payload string) string {
	w.t.Helper()
	token, err := w.signer.Sign([]byte(payload))
	require.NoError(w.t, err)
	return token
}

// resign signs with the world's key and the given header.
func (w *world) resign(header, payload string) string {
	w.t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, w.private, digest[:])
	require.NoError(w.t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature)
}

// keyring is a KeySet that tests can change and break.
type keyring struct {
	mu   sync.Mutex
	keys map[string]bearer.PublicKey
	err  error
}

func (k *keyring) put(p jose.PublicKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[p.ID] = bearer.PublicKey{ID: p.ID, Algorithm: string(p.Algorithm), Key: p.Key}
}

func (k *keyring) remove(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, kid)
}

func (k *keyring) Key(_ context.Context, kid string) (bearer.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return bearer.PublicKey{}, k.err
	}
	key, ok := k.keys[kid]
	if !ok {
		return bearer.PublicKey{}, bearer.ErrUnknownKey
	}
	return key, nil
}

// epochs revokes tokens below a key epoch.
type epochs struct {
	mu   sync.Mutex
	low  int64
	err  error
	seen bearer.Token
}

func (e *epochs) Revoked(_ context.Context, t bearer.Token) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = t
	return t.Epochs[2] < e.low, e.err
}

func (e *epochs) raise(to int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.low = to
}

// route serves one guarded route and records whether its handler ran.
type route struct {
	handler http.Handler
	ran     int
	seen    *bearer.Principal
}

func newRoute(pattern string, guard func(http.Handler) http.Handler) *route {
	r := &route{}
	mux := http.NewServeMux()
	mux.Handle(pattern, guard(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.ran++
		r.seen, _ = bearer.PrincipalFrom(request.Context())
		w.WriteHeader(http.StatusNoContent)
	})))
	r.handler = mux
	return r
}

// get sends a request with one Authorization header for each value.
func (r *route) get(path string, authorization ...string) *httptest.ResponseRecorder {
	request := harness.Incoming(http.MethodGet, path, "")
	for _, value := range authorization {
		request.Header.Add("Authorization", value)
	}
	recorder := httptest.NewRecorder()
	r.handler.ServeHTTP(recorder, request)
	return recorder
}
