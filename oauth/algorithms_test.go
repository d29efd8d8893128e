package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var emptyCatalog = scope.MustCatalog()

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

type threeKeys struct {
	rsa *rsa.PrivateKey
	ed  ed25519.PrivateKey
	ec  *ecdsa.PrivateKey
}

var makeKeys = sync.OnceValues(func() (k threeKeys, err error) {
	k.rsa = harness.RSAKey()
	if _, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return k, err
	}
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k, err
})

func testKeys() (*rsa.PrivateKey, ed25519.PrivateKey, *ecdsa.PrivateKey) {
	k, err := makeKeys()
	if err != nil {
		panic(err)
	}
	return k.rsa, k.ed, k.ec
}

// remote is a key whose private half is not in the process.
type remote struct{ inner crypto.Signer }

func (r remote) Public() crypto.PublicKey { return r.inner.Public() }
func (r remote) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return r.inner.Sign(random, digest, opts)
}

// TestAlgorithms logs in with a stock client, and verifies each token with the
// standard library and with another JWT library.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	rsaKey, edKey, ecKey := testKeys()
	secret := []byte("0123456789abcdef0123456789abcdef")
	for _, tc := range []struct {
		name   string
		key    oauth.SigningKey
		alg    string
		verify func(signed, signature []byte) bool
		public any
	}{
		{"ES256 by default", oauth.SigningKey{}, "ES256", nil, nil},
		{"ES256", oauth.SigningKey{Key: ecKey}, "ES256", verifyES256, &ecKey.PublicKey},
		{"ES256 in a KMS", oauth.SigningKey{Key: remote{ecKey}}, "ES256", verifyES256, &ecKey.PublicKey},
		{"RS256", oauth.SigningKey{Key: rsaKey}, "RS256", verifyRS256, &rsaKey.PublicKey},
		{"RS256 in a KMS", oauth.SigningKey{Key: remote{rsaKey}}, "RS256", verifyRS256, &rsaKey.PublicKey},
		{"PS256", oauth.SigningKey{Key: rsaKey, Algorithm: "PS256"}, "PS256", verifyPS256, &rsaKey.PublicKey},
		{"EdDSA", oauth.SigningKey{Key: edKey}, "EdDSA", verifyEdDSA, edKey.Public()},
		{"HS256", oauth.SigningKey{Secret: secret}, "HS256", func(signed, signature []byte) bool {
			mac := hmac.New(sha256.New, secret)
			mac.Write(signed)
			return hmac.Equal(mac.Sum(nil), signature)
		}, secret},
	} {
		t.Run("9068-01 "+tc.name, func(t *testing.T) {
			w := newWorld(t, func(s *setup) {
				s.config.Now = time.Now // the other library reads the wall clock
				if tc.key.Key != nil || tc.key.Secret != nil {
					s.config.Signers = []oauth.SigningKey{tc.key}
				}
			})
			client := clientcredentials.Config{ClientID: w.key.ID, ClientSecret: w.secret, TokenURL: w.base + "/api/login"}
			token, err := client.Token(t.Context())
			require.NoError(t, err)

			head := harness.Head(t, token.AccessToken)
			require.Equal(t, "at+jwt", head["typ"])
			require.Equal(t, tc.alg, head["alg"])
			if tc.verify != nil {
				at := strings.LastIndexByte(token.AccessToken, '.')
				signature, err := base64.RawURLEncoding.Strict().DecodeString(token.AccessToken[at+1:])
				require.NoError(t, err)
				require.True(t, tc.verify([]byte(token.AccessToken[:at]), signature), "the standard library")
				parsed, err := jwt.Parse(token.AccessToken, func(*jwt.Token) (any, error) { return tc.public, nil },
					jwt.WithValidMethods([]string{tc.alg}), jwt.WithIssuer(w.base), jwt.WithAudience(w.base),
					jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding())
				require.NoError(t, err, "golang-jwt")
				require.Equal(t, w.key.ID, parsed.Claims.(jwt.MapClaims)["client_id"])
			}
			kids := kidsOf(t, serve(w.JWKS(), http.MethodGet, "/", "").Body)
			if tc.alg == "HS256" {
				require.Empty(t, kids)
			} else {
				require.Equal(t, []string{head["kid"].(string)}, kids, "the kid is in the JWKS")
			}
			require.Equal(t, http.StatusOK, w.call(token.AccessToken))
		})
	}
}

func verifyES256(signed, signature []byte) bool {
	_, _, key := testKeys()
	digest := sha256.Sum256(signed)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return len(signature) == 64 && ecdsa.Verify(&key.PublicKey, digest[:], r, s)
}

func verifyRS256(signed, signature []byte) bool {
	key, _, _ := testKeys()
	digest := sha256.Sum256(signed)
	return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature) == nil
}

func verifyPS256(signed, signature []byte) bool {
	key, _, _ := testKeys()
	digest := sha256.Sum256(signed)
	return rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
}

func verifyEdDSA(signed, signature []byte) bool {
	_, key, _ := testKeys()
	return ed25519.Verify(key.Public().(ed25519.PublicKey), signed, signature)
}

func TestSigners(t *testing.T) {
	t.Parallel()
	rsaKey, edKey, ecKey := testKeys()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for _, tc := range []struct {
		name    string
		signers []oauth.SigningKey
		want    string // in the error; empty: fine
	}{
		{"the first of two signs", []oauth.SigningKey{{ID: "a", Key: edKey}, {ID: "b", Key: ecKey}}, ""},
		{"two of one kid", []oauth.SigningKey{{ID: "a", Key: edKey}, {ID: "a", Key: ecKey}}, `share the kid "a"`},
		{"one key twice", []oauth.SigningKey{{Key: ecKey}, {Key: ecKey}}, "share the kid"},
		{"neither key nor secret", []oauth.SigningKey{{}}, "Config.Signers[0]: exactly one of Key and Secret"},
		{"both", []oauth.SigningKey{{Key: ecKey, Secret: make([]byte, 32)}}, "Config.Signers[0]: exactly one of Key and Secret"},
		{"a short secret", []oauth.SigningKey{{Secret: make([]byte, 31)}}, "at least 32 bytes"},
		{"a short RSA key", []oauth.SigningKey{{Key: weak}}, "2048"},
		{"another curve", []oauth.SigningKey{{Key: p384}}, "P-256"},
		{"none", []oauth.SigningKey{{Key: ecKey, Algorithm: "none"}}, "none does not take"},
		{"an algorithm of another key", []oauth.SigningKey{{Key: ecKey, Algorithm: "RS256"}}, "RS256 does not take"},
		{"HS256 with a public key", []oauth.SigningKey{{Key: rsaKey, Algorithm: "HS256"}}, "HS256 does not take"},
		{"a nil pointer", []oauth.SigningKey{{Key: (*ecdsa.PrivateKey)(nil)}}, "nil"},
		{"every problem is named", []oauth.SigningKey{{}, {Key: ecKey}, {}}, "Config.Signers[2]"},
		{"a kid that is too long", []oauth.SigningKey{{ID: strings.Repeat("k", 256), Key: ecKey}}, "255"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, err := oauth.New(memstore.New(), oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog, Signers: tc.signers})
			if tc.want != "" {
				require.ErrorContains(t, err, tc.want)
				require.Nil(t, srv)
				return
			}
			require.NoError(t, err)
			require.Len(t, kidsOf(t, serve(srv.JWKS(), http.MethodGet, "/", "").Body), len(tc.signers))
		})
	}
	t.Run("a durable store without signers", func(t *testing.T) {
		st := memstore.New()
		st.SigningKeys = durable{st.SigningKeys}
		_, err := oauth.New(st, oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog})
		require.ErrorContains(t, err, "Config.Signers and Config.SealKeys are empty, and Store.SigningKeys is durable")
		_, err = oauth.New(st, oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog, Signers: []oauth.SigningKey{{Key: ecKey}}})
		require.NoError(t, err)
	})
	t.Run("a store that keeps no signing keys, without signers", func(t *testing.T) {
		st := memstore.New()
		st.SigningKeys = nil
		_, err := oauth.New(st, oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog})
		require.ErrorContains(t, err, "Store.SigningKeys is missing")
	})
}

type durable struct{ store.SigningKeys }

func (durable) Durable() bool                             { return true }
func (durable) Ring(context.Context) (store.Ring, error)  { return store.Ring{}, nil }
func (durable) SetRing(context.Context, store.Ring) error { return nil }

func TestParseSigningKey(t *testing.T) {
	t.Parallel()
	rsaKey, edKey, ecKey := testKeys()
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey, "Ed25519": edKey, "P-256": ecKey} {
		t.Run(name, func(t *testing.T) {
			der, err := x509.MarshalPKCS8PrivateKey(key)
			require.NoError(t, err)
			parsed, err := oauth.ParseSigningKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
			require.NoError(t, err)
			require.Equal(t, key.Public(), parsed.Key.Public())
		})
	}
	for name, text := range map[string]string{"nothing": "", "no PEM": "canary", "a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		t.Run(name, func(t *testing.T) {
			parsed, err := oauth.ParseSigningKey([]byte(text))
			require.ErrorContains(t, err, "oauth: signing key: ")
			require.NotContains(t, err.Error(), "canary")
			require.Zero(t, parsed.Key)
		})
	}
}
