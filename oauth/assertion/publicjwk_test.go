package assertion_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/assertion"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// What it returns is the public half, and goes with Signed without a keyID: see Example.
func TestPublicJWK(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p256 := newECDSA(t, elliptic.P256())
	for alg, key := range map[string]any{"ES256": p256.Public(), "RS256": harness.RSAKey().Public(), "EdDSA": public} {
		t.Run("7523-07 "+alg, func(t *testing.T) {
			text, err := assertion.PublicJWK(key)
			require.NoError(t, err)
			var members map[string]any
			require.NoError(t, json.Unmarshal([]byte(text), &members))
			require.Equal(t, alg, members["alg"])
			require.Len(t, members["kid"], 43)
			require.NotContains(t, members, "d")
		})
	}
	for name, key := range map[string]any{
		"a private key": p256, "a private RSA key": harness.RSAKey(), "a private Ed25519 key": private, "nothing": nil, "a secret": []byte("0123456789abcdef0123456789abcdef"),
		"P-384": newECDSA(t, elliptic.P384()).Public(), "an empty key": &rsa.PublicKey{}, "no curve": &ecdsa.PublicKey{},
	} {
		t.Run("7523-07 refused: "+name, func(t *testing.T) {
			text, err := assertion.PublicJWK(key)
			require.ErrorContains(t, err, "unusable key")
			require.Empty(t, text)
		})
	}
}
