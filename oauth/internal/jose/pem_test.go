package jose_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// publicBlock returns a public key in PEM.
func publicBlock(t testing.TB, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return pemBlock("PUBLIC KEY", der)
}

func TestJWKFromPEM(t *testing.T) {
	for _, c := range []struct {
		public any
		alg    jose.Algorithm
	}{{ecKey(t).Public(), jose.ES256}, {edKey(t).Public(), jose.EdDSA}, {harness.RSAKey().Public(), jose.RS256}} {
		t.Run("7523-07 "+string(c.alg), func(t *testing.T) {
			text, err := jose.JWKFromPEM(publicBlock(t, c.public))
			require.NoError(t, err)
			key, _, err := jose.ParsePublicKey(text)
			require.NoError(t, err)
			require.Equal(t, c.alg, key.Algorithm)
			require.True(t, key.Same(jose.PublicKey{ID: key.ID, Algorithm: c.alg, Key: c.public}))
		})
	}
	good := publicBlock(t, ecKey(t).Public())
	der, err := x509.MarshalPKCS8PrivateKey(ecKey(t))
	require.NoError(t, err)
	other, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	private := pemBlock("PRIVATE KEY", der)
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "a private key": private, "a private key after it": slices.Concat(good, private), "two": slices.Concat(good, good),
		"a certificate": pemBlock("CERTIFICATE", der), "broken": pemBlock("PUBLIC KEY", []byte{1, 2, 3}), "a private key that is called public": pemBlock("PUBLIC KEY", der),
		"a private key before it": slices.Concat(private, good), "a private key before it, indented": slices.Concat([]byte("  "), bytes.ReplaceAll(private, []byte("\n"), []byte("\n  ")), good),
		"a private key before it, without its end": slices.Concat(bytes.SplitN(private, []byte("-----END"), 2)[0], good), "a JWK before it": slices.Concat([]byte(`{"d":"x"}`+"\n"), good), "text behind a beginning": slices.Concat([]byte("-----BEGIN PUBLIC KEY-----\nMIG!\n"), good),
		"a private key behind a beginning": slices.Concat([]byte("-----BEGIN PUBLIC KEY-----\n"), private, good), "a header": bytes.Replace(good, []byte("-----\n"), []byte("-----\nKey: x\n\n"), 1),
		"X25519": publicBlock(t, other.Public()), "P-384": publicBlock(t, curve.Public()),
	} {
		t.Run("7523-07 refused: "+name, func(t *testing.T) {
			text, err := jose.JWKFromPEM(data)
			if err == nil {
				_, _, err = jose.ParsePublicKey(text)
			}
			require.ErrorIs(t, err, jose.ErrKey)
			if b, _ := pem.Decode(data); b != nil {
				require.NotContains(t, err.Error(), string(b.Bytes))
			}
		})
	}
}
