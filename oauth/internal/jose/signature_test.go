package jose_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// FuzzForeignSignature: for any answer of a key outside the process, Sign returns either an
// error, or a token whose signature is the two numbers that encoding/asn1 reads in the
// answer.
func FuzzForeignSignature(f *testing.F) {
	key := ecKey(f)
	digest := sha256.Sum256([]byte("payload"))
	good, err := key.Sign(rand.Reader, digest[:], nil)
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(good[:len(good):len(good)], 0))
	for _, numbers := range [][2]int64{{1, 1}, {0, 1}, {-1, 1}, {127, 128}, {1, 0}} {
		der, err := asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(numbers[0]), big.NewInt(numbers[1])})
		require.NoError(f, err)
		f.Add(der)
	}
	large := new(big.Int).Lsh(big.NewInt(1), 256)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{large, big.NewInt(1)})
	require.NoError(f, err)
	f.Add(der)
	f.Add([]byte{0x30, 7, 2, 2, 0, 1, 2, 1, 1})          // not the shortest encoding
	f.Add([]byte{0x30, 0x81, 6, 2, 1, 1, 2, 1, 1})       // not the shortest either
	f.Add([]byte{0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1})    // three numbers
	f.Add([]byte{0x30, 6, 2, 1, 1, 4, 1, 1})             // another type
	f.Add([]byte{0x30, 6, 2, 5, 1, 2, 1, 1, 0x30, 0x80}) // lengths that exceed the input
	f.Fuzz(func(t *testing.T, der []byte) {
		if len(der) == 0 {
			return // then the fake key below signs itself
		}
		signer, err := jose.NewSigner(jose.ES256, "", remote{Signer: key, answer: der})
		require.NoError(t, err)
		token, err := signer.Sign([]byte("{}"))
		var want struct{ R, S *big.Int }
		valid := false
		if _, bad := asn1.Unmarshal(der, &want); bad == nil && want.R.Sign() > 0 && want.S.Sign() > 0 && want.R.BitLen() <= 256 && want.S.BitLen() <= 256 {
			again, bad := asn1.Marshal(want)
			require.NoError(t, bad)
			valid = bytes.Equal(again, der)
		}
		if err != nil {
			require.Falsef(t, valid, "refused %x: %v", der, err)
			return
		}
		require.True(t, valid, "accepted: %x", der)
		raw, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
		require.NoError(t, err)
		require.Equal(t, append(want.R.FillBytes(make([]byte, 32)), want.S.FillBytes(make([]byte, 32))...), raw)
	})
}

// TestDeterministicECDSA: the nonce of a signature is derived and not random (RFC 8725,
// section 3.2). A key outside the process chooses its own.
func TestDeterministicECDSA(t *testing.T) {
	key := ecKey(t)
	sign := func(k crypto.Signer) string {
		signer, err := jose.NewSigner(jose.ES256, "k", k)
		require.NoError(t, err)
		token, err := signer.Sign([]byte(`{"jti":"1"}`))
		require.NoError(t, err)
		public := signer.Public()
		unverified, err := jose.Parse(token)
		require.NoError(t, err)
		_, err = unverified.Verify(public)
		require.NoError(t, err)
		return token
	}
	first := sign(key)
	require.Equal(t, first, sign(key))
	outside := &asksForRandom{Signer: key}
	sign(outside)
	require.True(t, outside.given)
}

// asksForRandom is a key that needs a source of random bytes.
type asksForRandom struct {
	crypto.Signer
	given bool
}

func (a *asksForRandom) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	a.given = random != nil
	return a.Signer.Sign(rand.Reader, digest, opts)
}
