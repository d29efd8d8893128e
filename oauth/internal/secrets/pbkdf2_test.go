package secrets_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
)

func pbkdf2Of(params, salt, sum string) string {
	b64 := base64.RawStdEncoding
	raw, err := hex.DecodeString(sum)
	if err != nil {
		panic(err)
	}
	return "$pbkdf2-sha256$" + params + "$" + b64.EncodeToString([]byte(salt)) + "$" + b64.EncodeToString(raw)
}

// Digests of other programs.
const (
	// From the tests of Ory's hasher, as Hydra uses it: the secret is "test".
	ory256 = "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI"
	ory512 = "$pbkdf2-sha512$i=100000,l=32$bdHBpn7OWOivJMVJypy2UqR0UnaD5prQXRZevj/05YU$+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc"
	// RFC 6070's longest input with SHA-256, as widely published (P="passwordPASSWORDpassword",
	// S="saltSALTsaltSALTsaltSALTsaltSALTsalt", c=4096, dkLen=40).
	long256 = "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1c635518c7dac47e9"
)

func TestPBKDF2(t *testing.T) {
	long := pbkdf2Of("i=4096,l=40", "saltSALTsaltSALTsaltSALTsaltSALTsalt", long256)
	for _, tc := range []struct {
		name, stored, secret string
		ok                   bool
	}{
		{"Ory, SHA-256", ory256, "test", true},
		{"Ory, SHA-512", ory512, "test", true},
		{"Ory, wrong", ory256, "Test", false},
		{"Ory, empty", ory256, "", false},
		{"published vector", long, "passwordPASSWORDpassword", true},
		{"published vector, wrong", long, "passwordPASSWORDpasswore", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, checkSlow(tc.stored))
			require.True(t, secrets.IsSlow(tc.stored))
			ok, err := verifySlow(tc.stored, tc.secret)
			require.NoError(t, err)
			require.Equal(t, tc.ok, ok)
		})
	}
}

func TestPBKDF2Refused(t *testing.T) {
	const salt, sum = "MDEyMzQ1Njc4OWFiY2RlZg", "BpN4G9xR34eyY7ldGu5VpYRWZa+4Rm1P4Sv6GuTq35c"
	with := func(params string) string { return "$pbkdf2-sha256$" + params + "$" + salt + "$" + sum }
	for _, tc := range []struct{ name, digest, says string }{
		{"as Hydra writes it", with("i=25000,l=32"), ""},
		{"B01 at the cap", with("i=1000000,l=32"), ""},
		{"B01 above the cap", with("i=1000001,l=32"), "parameter i must be from 1000 to 1000000"},
		{"B01 beyond all bits", with("i=99999999999999999999,l=32"), "parameter i must be from"},
		{"B01 so few that it is a fast hash", with("i=999,l=32"), "parameter i must be from"},
		{"none", with("i=0,l=32"), "parameter i must be from"},
		{"negative", with("i=-25000,l=32"), "parameter i is malformed"},
		{"leading zero", with("i=025000,l=32"), "parameter i is malformed"},
		{"sign", with("i=+25000,l=32"), "parameter i is malformed"},
		{"in capitals", with("I=25000,l=32"), "parameter i is malformed"},
		{"other order", with("l=32,i=25000"), "parameter i is malformed"},
		{"no length", with("i=25000"), "1 parameters, not 2"},
		{"one parameter more", with("i=25000,l=32,x=1"), "3 parameters, not 2"},
		{"length of another hash", with("i=25000,l=31"), "as its parameter l says"},
		{"B01 short hash", "$pbkdf2-sha256$i=25000,l=15$" + salt + "$AAAAAAAAAAAAAAAAAAAA", "parameter l must be from 16"},
		{"long hash", with("i=25000,l=65"), "parameter l must be from"},
		{"short salt", "$pbkdf2-sha256$i=25000,l=32$TmFDbA$" + sum, "salt must be 8 to 64"},
		{"long salt", "$pbkdf2-sha256$i=25000,l=32$" + strings.Repeat("AAAA", 22) + "$" + sum, "salt must be 8 to 64"},
		{"padding", with("i=25000,l=32") + "=", "hash must be 16 to 64"},
		{"line break", "$pbkdf2-sha256$i=25000,l=32$" + salt + "\n$" + sum, "salt must be"},
		{"one field less", "$pbkdf2-sha256$" + salt + "$" + sum, "malformed PBKDF2"},
		{"one field more", with("i=25000,l=32") + "$", "malformed PBKDF2"},
		{"B01 SHA-1", strings.Replace(with("i=25000,l=32"), "sha256", "sha1", 1), "only bcrypt"},
		{"SHA-384", strings.Replace(with("i=25000,l=32"), "sha256", "sha384", 1), "only bcrypt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := checkSlow(tc.digest)
			if tc.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), sum)
			_, err = verifySlow(tc.digest, "s")
			require.Error(t, err, "the bounds apply to stored digests, too")
		})
	}
}

func BenchmarkPBKDF2(b *testing.B) {
	for _, i := range []string{"25000", "1000000"} {
		b.Run(i, func(b *testing.B) {
			stored := strings.Replace(ory256, "100000", i, 1)
			for b.Loop() {
				_, _ = verifySlow(stored, "test")
			}
		})
	}
}
