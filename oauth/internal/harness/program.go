package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Program has a private key of its own and signs assertions with it.
type Program struct {
	Kid     string // empty: its assertions have no kid, and its JWK neither
	Private *ecdsa.PrivateKey
}

// NewProgram makes a program.
func NewProgram(t testing.TB, kid string) *Program {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &Program{kid, private}
}

// JWK returns the public key.
func (p *Program) JWK(t testing.TB) string {
	t.Helper()
	point, err := p.Private.PublicKey.Bytes()
	require.NoError(t, err)
	members := map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
	if p.Kid != "" {
		members["kid"] = p.Kid
	}
	return encodeJSON(t, members)
}

// Sign signs claims with ES256. The members of header are added to, or replace, alg and kid;
// nil removes one.
func (p *Program) Sign(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"alg": "ES256"}
	if p.Kid != "" {
		all["kid"] = p.Kid
	}
	maps.Copy(all, header)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	signed := encode([]byte(encodeJSON(t, all))) + "." + encode([]byte(encodeJSON(t, claims)))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p.Private, sum[:])
	require.NoError(t, err)
	return signed + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// NewKey creates a key with the program's public key and no secret.
func (p *Program) NewKey(t testing.TB, keys *apikey.Service, workspace, permissions string, change ...func(*store.PublicKey)) apikey.Key {
	t.Helper()
	public := &store.PublicKey{JWK: p.JWK(t)}
	for _, c := range change {
		c(public)
	}
	key, _, err := keys.Create(t.Context(), Ada, apikey.Spec{
		Workspace: workspace, Name: "ci", Permissions: scope.MustParse(permissions), NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "laptop", PublicKey: public}},
	})
	require.NoError(t, err)
	return key
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encodeJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return string(data)
}
