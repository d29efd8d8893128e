package secrets_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
)

const (
	argonSalt = "c29tZXNhbHQ"                                 // "somesalt"
	argonSum  = "BpN4G9xR34eyY7ldGu5VpYRWZa+4Rm1P4Sv6GuTq35c" // of nothing in particular
)

func phc(params string) string { return "$argon2id$v=19$" + params + "$" + argonSalt + "$" + argonSum }

func bcryptOf(t testing.TB, secret string) string {
	t.Helper()
	digest, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	require.NoError(t, err)
	return string(digest)
}

func TestParseSlow(t *testing.T) {
	crypted := bcryptOf(t, "s")
	cost := func(c string) string { return crypted[:4] + c + crypted[6:] }
	for _, tc := range []struct {
		name, digest string
		says         string // empty: accepted
	}{
		{"bcrypt 2a", crypted, ""},
		{"bcrypt 2b", "$2b" + crypted[3:], ""},
		{"bcrypt 2y", "$2y" + crypted[3:], ""},
		{"B01 bcrypt at the cap", cost("14"), ""},
		{"B01 bcrypt above the cap", cost("15"), "cost is 15, at most 14"},
		{"B01 bcrypt far above", cost("31"), "cost is 31, at most 14"},
		{"bcrypt below", cost("03"), "malformed bcrypt"},
		{"bcrypt cost not a number", cost("1x"), "malformed bcrypt"},
		{"bcrypt 2x", "$2x" + crypted[3:], "only bcrypt"},
		{"bcrypt cut off", crypted[:59], "malformed bcrypt"},
		{"bcrypt longer", crypted + "A", "malformed bcrypt"},
		{"bcrypt foreign character", crypted[:30] + "!" + crypted[31:], "malformed bcrypt"},
		{"bcrypt with another separator", crypted[:6] + "." + crypted[7:], "malformed bcrypt"},
		{"argon2id", phc("m=19456,t=2,p=1"), ""},
		{"argon2id numbers without names", phc("64,1,1"), "parameter m is malformed"},
		{"B01 argon2id at the caps", phc("m=262144,t=10,p=16"), ""},
		{"B01 argon2id memory above", phc("m=262145,t=1,p=1"), "parameter m must be from 8 to 262144"},
		{"B01 argon2id memory beyond 32 bits", phc("m=4294967296,t=1,p=1"), "parameter m must be from"},
		{"B01 argon2id memory beyond all bits", phc("m=99999999999999999999999,t=1,p=1"), "parameter m must be from"},
		{"B01 argon2id time above", phc("m=64,t=11,p=1"), "parameter t must be from 1 to 10"},
		{"argon2id no time", phc("m=64,t=0,p=1"), "parameter t must be"},
		{"B01 argon2id threads above", phc("m=1024,t=1,p=17"), "parameter p must be from 1 to 16"},
		{"argon2id no threads", phc("m=64,t=1,p=0"), "parameter p must be"},
		{"argon2id memory too small for its threads", phc("m=31,t=1,p=4"), "8 times p"},
		{"argon2id leading zero", phc("m=064,t=1,p=1"), "parameter m is malformed"},
		{"argon2id sign", phc("m=+64,t=1,p=1"), "parameter m is malformed"},
		{"argon2id other order", phc("t=1,m=64,p=1"), "parameter m is malformed"},
		{"argon2id one parameter more", phc("m=64,t=1,p=1,data=AA"), "4 parameters, not 3"},
		{"argon2id version 16", strings.Replace(phc("m=64,t=1,p=1"), "v=19", "v=16", 1), "version is not 19"},
		{"argon2id no version", strings.Replace(phc("m=64,t=1,p=1"), "$v=19", "", 1), "malformed argon2id"},
		{"argon2id short salt", "$argon2id$v=19$m=64,t=1,p=1$c2hvcnQ$" + argonSum, "salt must be 8 to 64"},
		{"argon2id long salt", "$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("AAAA", 22) + "$" + argonSum, "salt must be 8 to 64"},
		{"argon2id short hash", "$argon2id$v=19$m=64,t=1,p=1$" + argonSalt + "$AAAA", "hash must be 16 to 64"},
		{"argon2id padding", phc("m=64,t=1,p=1") + "=", "hash must be 16 to 64"},
		{"argon2id line break", "$argon2id$v=19$m=64,t=1,p=1$" + argonSalt + "\n$" + argonSum, "salt must be"},
		{"argon2i", strings.Replace(phc("m=64,t=1,p=1"), "2id", "2i", 1), "only bcrypt"},
		{"B01 MD5 in hexadecimal", "5f4dcc3b5aa765d61d8327deb882cf99", "only bcrypt"},
		{"B01 SHA-256 in hexadecimal", strings.Repeat("5E", 32), "only bcrypt"},
		{"B01 SHA-256 in base64", "XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", "only bcrypt"},
		{"B01 Django's PBKDF2", "pbkdf2_sha256$600000$salt$hash", "only bcrypt"},
		{"PBKDF2 as PHC", "$pbkdf2-sha256$i=29000$salt$hash", "1 parameters, not 2"},
		{"scrypt", "$scrypt$ln=16,r=8,p=1$salt$hash", "only bcrypt"},
		{"crypt", "$6$salt$hash", "only bcrypt"},
		{"LDAP", "{SSHA}abc", "only bcrypt"},
		{"B01 Latchkey's own", hasher(t, pepper3).Digest(bound), "only bcrypt"},
		{"empty", "", "only bcrypt"},
		{"long", phc("m=64,t=1,p=1") + strings.Repeat("A", 500), "at most 512"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := checkSlow(tc.digest)
			if tc.says == "" {
				require.NoError(t, err)
				require.True(t, secrets.IsSlow(tc.digest))
				return
			}
			require.ErrorContains(t, err, tc.says)
			if len(tc.digest) > 20 {
				require.NotContains(t, err.Error(), tc.digest[len(tc.digest)-20:], "the digest is repeated")
			}
		})
	}
	require.False(t, secrets.IsSlow(hasher(t, pepper3).Digest(bound)))
	require.False(t, secrets.IsSlow(hasher(t).Digest(bound)))
}

func TestSlowVerify(t *testing.T) {
	long := strings.Repeat("x", 72)
	weak, err := secrets.HashSlow(rand.Reader, "hunter2")
	require.NoError(t, err)
	require.NoError(t, checkSlow(weak))
	require.True(t, strings.HasPrefix(weak, "$argon2id$v=19$m=19456,t=2,p=1$"), weak)
	crypted := bcryptOf(t, "hunter2")
	for _, tc := range []struct {
		name, stored, secret string
		ok                   bool
	}{
		{"argon2id", weak, "hunter2", true},
		{"argon2id, wrong", weak, "hunter3", false},
		{"argon2id, empty", weak, "", false},
		// From the reference implementation's test.c.
		{"argon2id of another program", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password", true},
		{"argon2id of another program, two threads", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password", true},
		{"bcrypt", crypted, "hunter2", true},
		{"bcrypt, wrong", crypted, "hunter", false},
		{"bcrypt, repeated behind a NUL", crypted, "hunter2\x00hunter2", false},
		{"bcrypt of another program", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
		{"bcrypt, 72 bytes", bcryptOf(t, long), long, true},
		{"bcrypt, what follows 72 bytes is not ignored", bcryptOf(t, long), long + "y", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, err := verifySlow(tc.stored, tc.secret)
			require.NoError(t, err)
			require.Equal(t, tc.ok, ok)
		})
	}
	for _, stored := range []string{"", "$2a$31$" + crypted[7:], phc("m=4194304,t=1,p=1"), hasher(t).Digest(bound)} {
		ok, err := verifySlow(stored, "hunter2")
		require.Error(t, err, "B01 the bounds apply to stored digests, too")
		require.False(t, ok)
	}
	other, err := secrets.HashSlow(rand.Reader, "hunter2")
	require.NoError(t, err)
	require.NotEqual(t, weak, other, "salted")
}

func FuzzParseSlow(f *testing.F) {
	f.Add(phc("m=19456,t=2,p=1"))
	f.Add(phc("m=262144,t=10,p=16"))
	f.Add(phc("m=18446744073709551616,t=1,p=1"))
	f.Add("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	f.Add("$argon2id$$$$")
	f.Add("$pbkdf2-sha256$i=25000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$" + argonSum)
	f.Fuzz(func(t *testing.T, digest string) {
		if checkSlow(digest) != nil {
			return
		}
		// An accepted digest has the one spelling and is within the bounds.
		if strings.HasPrefix(digest, "$2") {
			var version byte
			var cost int
			_, err := fmt.Sscanf(digest[:7], "$2%c$%02d$", &version, &cost)
			require.NoError(t, err)
			require.Len(t, digest, 60)
			require.LessOrEqual(t, cost, 14)
			return
		}
		fields := strings.Split(digest, "$")
		if strings.HasPrefix(digest, "$pbkdf2") {
			var i, l int
			_, err := fmt.Sscanf(fields[2], "i=%d,l=%d", &i, &l)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("i=%d,l=%d", i, l), fields[2])
			require.True(t, i >= 1000 && i <= 1_000_000 && l >= 16 && l <= 64)
			require.True(t, secrets.IsSlow(digest))
			return
		}
		var m, passes, p int
		_, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &m, &passes, &p)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("m=%d,t=%d,p=%d", m, passes, p), fields[3])
		require.True(t, m <= 256<<10 && passes >= 1 && passes <= 10 && p >= 1 && p <= 16 && m >= 8*p)
		require.True(t, secrets.IsSlow(digest))
	})
}

func BenchmarkSlow(b *testing.B) {
	weak, err := secrets.HashSlow(rand.Reader, "hunter2")
	require.NoError(b, err)
	for _, tc := range []struct{ name, stored string }{
		{"argon2id 19 MiB t=2 p=1", weak},
		{"argon2id 64 MiB t=3 p=1", phc("m=65536,t=3,p=1")},
		{"argon2id at the caps", phc("m=262144,t=10,p=16")},
		{"bcrypt 10", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
		{"bcrypt 14", "$2a$14$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
	} {
		b.Run(tc.name, func(b *testing.B) {
			for b.Loop() {
				_, _ = verifySlow(tc.stored, "hunter3")
			}
		})
	}
}

func checkSlow(digest string) error {
	_, err := secrets.ParseSlow(digest)
	return err
}

func verifySlow(stored, secret string) (bool, error) {
	matches, err := secrets.ParseSlow(stored)
	if err != nil {
		return false, err
	}
	return matches(secret)
}
