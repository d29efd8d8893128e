package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func secret() []byte { return []byte("0123456789abcdef0123456789abcdef") }

// remote is a key outside the process: it has only the methods of crypto.Signer.
type remote struct {
	crypto.Signer
	answer []byte
	err    error
}

func (r remote) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if r.answer != nil || r.err != nil {
		return r.answer, r.err
	}
	return r.Signer.Sign(random, digest, opts)
}

func newSigner(t testing.TB, alg jose.Algorithm, kid string) *jose.Signer {
	t.Helper()
	var key any
	switch alg {
	case jose.ES256:
		key = ecKey(t)
	case jose.RS256, jose.PS256:
		key = harness.RSAKey()
	case jose.EdDSA:
		key = edKey(t)
	default:
		key = secret()
	}
	signer, err := jose.NewSigner(alg, kid, key)
	require.NoError(t, err)
	return signer
}

var algorithms = []jose.Algorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA, jose.HS256}

func TestSignAndVerify(t *testing.T) {
	for _, alg := range algorithms {
		t.Run("9068-01 "+string(alg), func(t *testing.T) {
			signer := newSigner(t, alg, "")
			token, err := signer.Sign([]byte(`{"iss":"x"}`))
			require.NoError(t, err)
			parsed, err := jose.Parse(token)
			require.NoError(t, err)
			require.Equal(t, alg, parsed.Algorithm)
			require.Equal(t, signer.Public().ID, parsed.KeyID)
			require.NotEmpty(t, parsed.KeyID)
			claims, err := parsed.Verify(signer.Public())
			require.NoError(t, err)
			require.Equal(t, `{"iss":"x"}`, string(claims))

			other := newSigner(t, alg, parsed.KeyID).Public()
			switch alg {
			case jose.HS256:
				other.Key = []byte("another secret of thirty-two bytes")
			case jose.RS256, jose.PS256:
				key := *other.Key.(*rsa.PublicKey)
				key.N = new(big.Int).Add(key.N, big.NewInt(2))
				other.Key = &key
			}
			_, err = parsed.Verify(other)
			require.ErrorIs(t, err, jose.ErrSignature)
		})
	}
}

func TestForeignSigner(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"EC": ecKey(t), "RSA": harness.RSAKey(), "Ed25519": edKey(t)} {
		t.Run(name, func(t *testing.T) {
			alg, err := jose.DefaultAlgorithm(remote{Signer: key})
			require.NoError(t, err)
			signer, err := jose.NewSigner(alg, "k", remote{Signer: key})
			require.NoError(t, err)
			token, err := signer.Sign([]byte(`{}`))
			require.NoError(t, err)
			parsed, err := jose.Parse(token)
			require.NoError(t, err)
			_, err = parsed.Verify(signer.Public())
			require.NoError(t, err)
		})
	}
	faulty := map[string]remote{
		"fails":                 {Signer: ecKey(t), err: io.ErrUnexpectedEOF},
		"no ASN.1":              {Signer: ecKey(t), answer: []byte("nonsense")},
		"zero":                  {Signer: ecKey(t), answer: []byte{0x30, 6, 2, 1, 0, 2, 1, 0}},
		"negative":              {Signer: ecKey(t), answer: []byte{0x30, 6, 2, 1, 0xff, 2, 1, 1}},
		"too large":             {Signer: ecKey(t), answer: append([]byte{0x30, 40, 2, 35, 1}, append(make([]byte, 34), 2, 1, 1)...)},
		"too large, the second": {Signer: ecKey(t), answer: append([]byte{0x30, 40, 2, 1, 1, 2, 35, 1}, make([]byte, 34)...)},
		"trailing":              {Signer: ecKey(t), answer: []byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}},
		"RSA short":             {Signer: harness.RSAKey(), answer: []byte{1, 2, 3}},
		"Ed25519 65":            {Signer: edKey(t), answer: make([]byte, 65)},
	}
	for name, key := range faulty {
		t.Run(name, func(t *testing.T) {
			alg, err := jose.DefaultAlgorithm(key)
			require.NoError(t, err)
			signer, err := jose.NewSigner(alg, "k", key)
			require.NoError(t, err)
			_, err = signer.Sign([]byte(`{}`))
			require.Error(t, err)
		})
	}
}

func TestNewSignerRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	weak := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}}
	tests := []struct {
		name string
		alg  jose.Algorithm
		kid  string
		key  any
	}{
		{"nil", jose.ES256, "k", nil},
		{"nil EC pointer", jose.ES256, "k", (*ecdsa.PrivateKey)(nil)},
		{"nil RSA pointer", jose.RS256, "k", (*rsa.PrivateKey)(nil)},
		{"short Ed25519", jose.EdDSA, "k", ed25519.PrivateKey{1}},
		{"empty EC", jose.ES256, "k", &ecdsa.PrivateKey{}},
		{"EC without point", jose.ES256, "k", &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256()}}},
		{"empty RSA", jose.RS256, "k", &rsa.PrivateKey{}},
		{"P-384", jose.ES256, "k", p384},
		{"RSA of 1024 bits", jose.RS256, "k", weak},
		{"RSA for ES256", jose.ES256, "k", harness.RSAKey()},
		{"EC for RS256", jose.RS256, "k", ecKey(t)},
		{"public key for HS256", jose.HS256, "k", harness.RSAKey().Public()},
		{"private key for HS256", jose.HS256, "k", harness.RSAKey()},
		{"Ed25519 for HS256", jose.HS256, "k", edKey(t)},
		{"Ed25519 for ES256", jose.ES256, "k", edKey(t)},
		{"EC for EdDSA", jose.EdDSA, "k", ecKey(t)},
		{"secret for ES256", jose.ES256, "k", secret()},
		{"31 bytes for HS256", jose.HS256, "k", secret()[:31]},
		{"none", "none", "k", ecKey(t)},
		{"no algorithm", "", "k", ecKey(t)},
		{"ES384", "ES384", "k", p384},
		{"long kid", jose.HS256, string(make([]byte, 256)), secret()},
		{"kid not UTF-8", jose.HS256, "\xff", secret()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := jose.NewSigner(test.alg, test.kid, test.key)
			require.ErrorIs(t, err, jose.ErrKey)
		})
	}
}

func TestUnusablePublicKeys(t *testing.T) {
	for name, key := range map[string]jose.PublicKey{
		"no EC key":           {Algorithm: jose.ES256, Key: (*ecdsa.PublicKey)(nil)},
		"no RSA key":          {Algorithm: jose.RS256, Key: (*rsa.PublicKey)(nil)},
		"a point off a curve": {Algorithm: jose.ES256, Key: &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}, //nolint:staticcheck // as a host may still make one
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, key.Check(), jose.ErrKey)
		})
	}
}

// The encodings are computed here and not copied: all y with y = 0, 1, -1, and those of points of order 8.
func TestEd25519KeysOfSmallOrder(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(n *big.Int) *big.Int { return n.Mod(n, p) }
	// d = -121665/121666 (RFC 8032, section 5.1). A point of order 8 has x^2 = -y^2, so d*y^4 + 2*y^2 - 1 = 0.
	d := mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p)))
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(d, big.NewInt(1))), p)
	ys := []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1)), p, new(big.Int).Add(p, big.NewInt(1))}
	for _, sign := range []int64{1, -1} {
		square := mod(new(big.Int).Mul(new(big.Int).Add(big.NewInt(-1), new(big.Int).Mul(big.NewInt(sign), root)), new(big.Int).ModInverse(d, p)))
		if y := new(big.Int).ModSqrt(square, p); y != nil {
			ys = append(ys, y, new(big.Int).Sub(p, y))
		}
	}
	require.Len(t, ys, 7)
	for _, y := range ys {
		for _, sign := range []byte{0, 0x80} {
			key := y.FillBytes(make([]byte, 32))
			slices.Reverse(key)
			key[31] |= sign
			t.Run(fmt.Sprintf("7523-07 %x", key), func(t *testing.T) {
				require.ErrorIs(t, jose.PublicKey{Algorithm: jose.EdDSA, Key: ed25519.PublicKey(key)}.Check(), jose.ErrKey)
				keys, err := jose.UsableKeys(fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(key)))
				require.NoError(t, err)
				require.Empty(t, keys)
			})
		}
	}
	require.NoError(t, jose.PublicKey{Algorithm: jose.EdDSA, Key: edKey(t).Public()}.Check())
}

func TestDefaultKeyID(t *testing.T) {
	key := ecKey(t)
	a, err := jose.NewSigner(jose.ES256, "", key)
	require.NoError(t, err)
	b, err := jose.NewSigner(jose.ES256, "", remote{Signer: key})
	require.NoError(t, err)
	require.Equal(t, a.Public().ID, b.Public().ID, "the thumbprint belongs to the public key")
	require.Len(t, a.Public().ID, 43)

	given := secret()
	h, err := jose.NewSigner(jose.HS256, "", given)
	require.NoError(t, err)
	before, err := h.Sign([]byte(`{}`))
	require.NoError(t, err)
	given[0] ^= 1
	after, err := h.Sign([]byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, before, after, "the secret is copied")
}

func TestSignRefusesATokenThatIsTooLong(t *testing.T) {
	_, err := newSigner(t, jose.HS256, "").Sign(make([]byte, jose.MaxToken))
	require.Error(t, err)
}

func TestParsePrivateKeyPEM(t *testing.T) {
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	ec, p384 := ecKey(t), func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader); return k }()
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	sec1Large, err := x509.MarshalECPrivateKey(p384)
	require.NoError(t, err)
	for name, key := range map[string]crypto.Signer{"EC": ec, "RSA": harness.RSAKey(), "Ed25519": edKey(t)} {
		t.Run("PKCS#8 "+name, func(t *testing.T) {
			der, err := x509.MarshalPKCS8PrivateKey(key)
			require.NoError(t, err)
			read, err := jose.ParsePrivateKeyPEM(block("PRIVATE KEY", der))
			require.NoError(t, err)
			require.Equal(t, key.Public(), read.Public())
		})
	}
	t.Run("SEC 1 after its parameters", func(t *testing.T) {
		read, err := jose.ParsePrivateKeyPEM(append(block("EC PARAMETERS", []byte{6}), block("EC PRIVATE KEY", sec1)...))
		require.NoError(t, err)
		require.Equal(t, ec.Public(), read.Public())
	})
	t.Run("PKCS#1", func(t *testing.T) {
		read, err := jose.ParsePrivateKeyPEM(block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(harness.RSAKey())))
		require.NoError(t, err)
		require.Equal(t, harness.RSAKey().Public(), read.Public())
	})
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte{1}})
	refused := []struct {
		name string
		data []byte
		says string
	}{
		{"empty", nil, "no PEM block"},
		{"text", []byte("hello"), "no PEM block"},
		{"encrypted PKCS#8", block("ENCRYPTED PRIVATE KEY", []byte{1}), "encrypted"},
		{"encrypted PKCS#1", old, "encrypted"},
		{"certificate", block("CERTIFICATE", []byte{1}), "CERTIFICATE"},
		{"public key", block("PUBLIC KEY", []byte{1}), "PUBLIC KEY"},
		{"broken", block("PRIVATE KEY", []byte{1}), "not valid"},
		{"two keys", append(block("EC PRIVATE KEY", sec1), block("EC PRIVATE KEY", sec1)...), "one key"},
		{"P-384", block("EC PRIVATE KEY", sec1Large), "P-256"},
	}
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			_, err := jose.ParsePrivateKeyPEM(test.data)
			require.ErrorContains(t, err, test.says)
		})
	}
}
