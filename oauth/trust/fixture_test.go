package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

const (
	audience = "https://api.example.com"
	issuer   = "https://ci.example.com"
)

// world is an issuer of which the list has one entry, called "ci".
type world struct {
	t      testing.TB
	clock  oauthtest.Clock
	log    bytes.Buffer
	signer signer
	entry  trust.Issuer
	trust  store.Trust
	header map[string]any
	claims map[string]any
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, signer: newSigner(t, jose.ES256, "k1")}
	w.clock.Set(time.Unix(1_800_000_000, 0))
	w.entry = trust.Issuer{
		Name: "ci", Issuer: issuer, JWKS: keySet(t, w.signer.public),
		Claims: []trust.Claim{
			{Name: "project", Path: []string{"project_id"}, Immutable: true},
			{Name: "ref", Prefix: 2},
			{Name: "event", Unless: []string{"fork", "comment"}},
			{Name: "uid", Path: []string{"kubernetes.io", "account", "uid"}},
		},
	}
	w.trust = trusts("ci", "project", "42", "ref", "refs/heads/main")
	now := w.clock.Now().Unix()
	w.header = map[string]any{"alg": "ES256", "kid": "k1", "typ": "JWT"}
	w.claims = map[string]any{
		"iss": issuer, "sub": "job", "aud": audience, "iat": now, "exp": now + 600,
		"project_id": "42", "ref": "refs/heads/main", "event": "push", "n": 7,
		"kubernetes.io": map[string]any{"account": map[string]any{"uid": "u-1"}},
	}
	return w
}

func trusts(issuer string, namesAndValues ...string) store.Trust {
	t := store.Trust{Issuer: issuer}
	for i := 0; i < len(namesAndValues); i += 2 {
		t.Claims = append(t.Claims, store.Claim{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return t
}

// signer is a private key of an issuer.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
	public jose.PublicKey
}

func newSigner(t testing.TB, alg jose.Algorithm, kid string) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key = harness.RSAKey()
	}
	require.NoError(t, err)
	return signer{jwt.GetSigningMethod(string(alg)), key, jose.PublicKey{ID: kid, Algorithm: alg, Key: key.Public()}}
}

func keySet(t testing.TB, keys ...jose.PublicKey) []byte {
	t.Helper()
	set, err := jose.MarshalKeySet(keys)
	require.NoError(t, err)
	return set
}

// list returns the list with the world's entry and more.
func (w *world) list(more ...trust.Issuer) *trust.List {
	w.t.Helper()
	l, err := trust.New(append([]trust.Issuer{w.entry}, more...), w.config())
	require.NoError(w.t, err)
	return l
}

func (w *world) config() trust.Config {
	return trust.Config{Audience: audience, Now: w.clock.Now, Logger: slog.New(slog.NewTextHandler(&w.log, nil))}
}

// token signs the world's header and claims.
func (w *world) token() string {
	w.t.Helper()
	claims, err := json.Marshal(w.claims)
	require.NoError(w.t, err)
	return w.sign(string(claims))
}

// sign signs the world's header and a text in place of its claims.
func (w *world) sign(claims string) string {
	w.t.Helper()
	header, err := json.Marshal(w.header)
	require.NoError(w.t, err)
	return w.signer.sign(w.t, string(header), claims)
}

func (s signer) sign(t testing.TB, header, claims string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(claims))
	signature, err := s.method.Sign(signed, s.key)
	require.NoError(t, err)
	return signed + "." + encode(signature)
}

// find does what the login does: it parses the token and lets the list decide.
func find(ctx context.Context, l *trust.List, token string, trusts []store.Trust) (int, trust.Identity, error) {
	parsed, err := jose.ParseAssertion(token)
	if err != nil {
		return 0, trust.Identity{}, fmt.Errorf("%w: %w", trust.ErrRefused, err)
	}
	return l.Find(ctx, parsed, trusts)
}
