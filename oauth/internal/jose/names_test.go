package jose_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// TestNameOfRFC9864 tests the name Ed25519 for EdDSA, which clients write into headers and
// JWKs.
func TestNameOfRFC9864(t *testing.T) {
	key := edKey(t)
	public := key.Public().(ed25519.PublicKey)
	x := base64.RawURLEncoding.EncodeToString(public)
	t.Run("in a JWK", func(t *testing.T) {
		read, jwk, err := jose.ParsePublicKey([]byte(`{"kty":"OKP","crv":"Ed25519","alg":"Ed25519","kid":"k","x":"` + x + `"}`))
		require.NoError(t, err)
		require.Equal(t, jose.PublicKey{ID: "k", Algorithm: jose.EdDSA, Key: public}, read)
		require.Contains(t, string(jwk), `"alg":"EdDSA"`)
		keys, err := jose.ParseKeySet([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"Ed25519","kid":"k","x":"` + x + `"}]}`))
		require.NoError(t, err)
		require.Equal(t, []jose.PublicKey{read}, keys)
		_, _, err = jose.ParsePublicKey([]byte(strings.Replace(string(jwk), "EdDSA", "Ed448", 1)))
		require.ErrorIs(t, err, jose.ErrKey)
	})
	t.Run("in a header", func(t *testing.T) {
		encode := base64.RawURLEncoding.EncodeToString
		signed := encode([]byte(`{"alg":"Ed25519","kid":"k"}`)) + "." + encode([]byte(`{"iss":"a","sub":"b","aud":"c","exp":20}`))
		u, err := jose.ParseAssertion(signed + "." + encode(ed25519.Sign(key, []byte(signed))))
		require.NoError(t, err)
		require.Equal(t, jose.EdDSA, u.Algorithm)
		claims, err := u.Verify(jose.PublicKey{ID: "k", Algorithm: jose.EdDSA, Key: public})
		require.NoError(t, err)
		require.JSONEq(t, `{"iss":"a","sub":"b","aud":"c","exp":20}`, string(claims))
		_, err = u.Verify(jose.PublicKey{ID: "k", Algorithm: jose.EdDSA, Key: edKey(t).Public()})
		require.ErrorIs(t, err, jose.ErrSignature)
	})
}
