package apikey_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// strong is an imported secret of more than 128 bits that is not in
// Latchkey's own form, and weak one of fewer.
const (
	strong = "Zm9vYmFyLWJhei1xdXV4LTEyMzQ1Njc4OTA"
	weak   = "correct-horse"
)

func imports(c *apikey.Config) { c.Imported = true }

func importSpec(id string, change func(*apikey.ImportSpec)) apikey.ImportSpec {
	spec := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old", Permissions: perms("project.list")}, ID: id}
	change(&spec)
	return spec
}

func TestImport(t *testing.T) {
	own := apikey.MustSecret(randomFrom("our own from elsewhere"), "").Reveal()
	argon, err := secrets.HashSlow(randomFrom("salt"), strong)
	require.NoError(t, err)
	for _, tc := range []struct {
		name     string
		secret   string
		change   func(*apikey.ImportSpec)
		digest   string // the beginning of the stored one
		after    string // after the first login
		hint     string
		wontShow bool // no hint
	}{
		{"strong plaintext", strong, func(s *apikey.ImportSpec) { s.Secret = strong }, "$argon2id$", "$argon2id$", "OTA", false},
		{"strong plaintext that is declared", strong, func(s *apikey.ImportSpec) { s.Secret, s.Generated = strong, true }, "hmac-sha256$1$", "hmac-sha256$1$", "OTA", false},
		{"weak plaintext", weak, func(s *apikey.ImportSpec) { s.Secret = weak }, "$argon2id$v=19$m=19456,t=2,p=1$", "$argon2id$", "", true},
		{"bcrypt", strong, func(s *apikey.ImportSpec) { s.Digest = bcryptOf(t, strong) }, "$2a$", "$2a$", "", true},
		{"bcrypt of a generated secret", strong, func(s *apikey.ImportSpec) { s.Digest, s.Generated = bcryptOf(t, strong), true }, "$2a$", "hmac-sha256$1$", "", true},
		{"argon2id", strong, func(s *apikey.ImportSpec) { s.Digest = argon }, "$argon2id$", "$argon2id$", "", true},
		{"argon2id of a generated secret", strong, func(s *apikey.ImportSpec) { s.Digest, s.Generated = argon, true }, "$argon2id$", "hmac-sha256$1$", "", true},
		{"Latchkey's own", own, func(s *apikey.ImportSpec) { s.Secret = own }, "hmac-sha256$1$", "hmac-sha256$1$", own[len(own)-4:], false},
		{"bcrypt of Latchkey's own", own, func(s *apikey.ImportSpec) { s.Digest, s.Generated = bcryptOf(t, own), true }, "$2a$", "hmac-sha256$1$", "", true},
	} {
		t.Run("B01 "+tc.name, func(t *testing.T) {
			r := newRig(t, imports)
			r.keep(tc.secret)
			key, err := r.Import(t.Context(), owner, importSpec("legacy-1", tc.change))
			require.NoError(t, err)
			require.Equal(t, "legacy-1", key.ID)
			digest := func() string {
				found, err := r.store.Keys.Lookup(t.Context(), key.ID)
				require.NoError(t, err)
				return found.Key.Credentials[0].Digest
			}
			require.True(t, strings.HasPrefix(digest(), tc.digest), digest())
			require.True(t, strings.HasSuffix(key.Credentials[0].Hint, tc.hint))
			require.Equal(t, tc.wontShow, key.Credentials[0].Hint == "", "a hint of a short secret would be a good part of it")
			for range 2 {
				grant, err := r.login(key.ID, tc.secret)
				require.NoError(t, err)
				require.False(t, r.revoked(grant))
				require.Equal(t, key.Credentials[0].ID, grant.CredentialID)
				require.True(t, strings.HasPrefix(digest(), tc.after), digest())
			}
			_, err = r.login(key.ID, tc.secret+"x")
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			_, err = r.login("legacy-2", tc.secret)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			require.Equal(t, audit.Import, r.events(store.EventQuery{})[0].Action)

			_, fresh := r.rotate(owner, key.ID, apikey.Rotation{})
			r.mustLogin(key.ID, fresh)
			_, err = r.login(key.ID, tc.secret)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
		})
	}
}

func TestImportRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		id     string
		change func(*apikey.ImportSpec)
		field  string
	}{
		{"no secret", "x", func(*apikey.ImportSpec) {}, "secret"},
		{"secret and digest", "x", func(s *apikey.ImportSpec) { s.Secret, s.Digest = strong, bcryptOf(t, strong) }, "secret"},
		{"B01 a bare SHA-256", "x", func(s *apikey.ImportSpec) { s.Digest = strings.Repeat("5e", 32) }, "digest"},
		{"B01 an MD5", "x", func(s *apikey.ImportSpec) { s.Digest = "5f4dcc3b5aa765d61d8327deb882cf99" }, "digest"},
		{"B01 a digest of Latchkey's own", "x", func(s *apikey.ImportSpec) { s.Digest = "sha256$0$" + strings.Repeat("A", 43) }, "digest"},
		{"B01 bcrypt above the cap", "x", func(s *apikey.ImportSpec) { s.Digest = "$2a$31$" + bcryptOf(t, "x")[7:] }, "digest"},
		{"too long", "x", func(s *apikey.ImportSpec) { s.Secret = strings.Repeat(strong, 40) }, "secret"},
		{"B01 too short to be random", "x", func(s *apikey.ImportSpec) { s.Secret, s.Generated = strong[:21], true }, "secret"},
		{"no id", "", func(s *apikey.ImportSpec) { s.Secret = strong }, "id"},
		{"B15 an id with a line break", "a\r\nb", func(s *apikey.ImportSpec) { s.Secret = strong }, "id"},
		{"an id with a space", "a b", func(s *apikey.ImportSpec) { s.Secret = strong }, "id"},
		{"an id beyond ASCII", "schlüssel", func(s *apikey.ImportSpec) { s.Secret = strong }, "id"},
		{"a long id", strings.Repeat("x", 256), func(s *apikey.ImportSpec) { s.Secret = strong }, "id"},
		{"a bad name", "x", func(s *apikey.ImportSpec) { s.Secret, s.Name = strong, "" }, "name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, imports)
			spec := importSpec(tc.id, tc.change)
			r.keep(strong)
			_, err := r.Import(t.Context(), owner, spec)
			var invalid *apikey.InvalidError
			require.ErrorAs(t, r.note(err), &invalid)
			require.Equal(t, tc.field, invalid.Problems[0].Field)
			if len(spec.Digest) > 8 {
				require.NotContains(t, err.Error(), spec.Digest[len(spec.Digest)-8:])
			}
		})
	}
	t.Run("while imports are off", func(t *testing.T) {
		r := newRig(t)
		_, err := r.Import(t.Context(), owner, importSpec("x", func(s *apikey.ImportSpec) { s.Secret = strong }))
		require.ErrorAs(t, err, new(*apikey.InvalidError))
	})
	t.Run("an id that is taken, or was", func(t *testing.T) {
		r := newRig(t, imports)
		key, _ := r.create(admin, "team-b", "")
		again := importSpec(key.ID, func(s *apikey.ImportSpec) { s.Secret = strong })
		_, err := r.Import(t.Context(), owner, again)
		require.ErrorIs(t, err, store.ErrExists)
		require.NoError(t, r.Delete(t.Context(), admin, key.ID, 0))
		_, err = r.Import(t.Context(), owner, again)
		require.ErrorIs(t, err, store.ErrExists, "a tombstone")
	})
	t.Run("an actor without the right causes no slow hash", func(t *testing.T) {
		r := newRig(t, imports)
		apikey.FillSlowGate(r.Service)
		spec := importSpec("x", func(s *apikey.ImportSpec) { s.Secret = weak })
		_, err := r.Import(t.Context(), apikey.Owner("eve", "team-b"), spec)
		require.ErrorIs(t, err, store.ErrNotFound, "before the gate")
		_, err = r.Import(t.Context(), owner, spec)
		require.ErrorIs(t, err, store.ErrUnavailable)
	})
}

func TestSlowSecretsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, imports)
		_, err := r.Import(t.Context(), owner, importSpec("legacy", func(s *apikey.ImportSpec) { s.Digest = bcryptOf(t, weak) }))
		require.NoError(t, err)
		key, secret := r.create(owner, "team-a", "")
		for range 60 {
			_, err = r.login("legacy", "wrong")
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
		}
		_, err = r.login("legacy", weak)
		var throttled *apikey.ThrottledError
		require.ErrorAs(t, err, &throttled, "B04 over the budget no slow digest is computed, not even for the right secret")
		_, err = r.Authenticate(t.Context(), apikey.Credentials{ID: "legacy", Secret: weak, Address: addrB})
		require.NoError(t, err, "B04 from another address it works")
		r.clock.Advance(throttled.RetryAfter)
		_, err = r.login("legacy", weak)
		require.NoError(t, err)

		apikey.FillSlowGate(r.Service)
		_, err = r.login("legacy", "not seen before")
		require.ErrorIs(t, err, store.ErrUnavailable, "B04 too many slow verifications")
		require.NotErrorIs(t, err, apikey.ErrInvalidCredentials)
		r.clock.Advance(throttled.RetryAfter)
		_, err = r.login("legacy", weak)
		require.NoError(t, err, "B04 a correct secret that was seen before needs none")
		r.mustLogin(key.ID, secret)
		_, err = r.login("no-such-key", weak)
		require.NotErrorIs(t, err, store.ErrUnavailable, "an unknown id needs no slow digest")
	})
}

// ory256 is of "test", from the tests of Ory's hasher, as Hydra uses it.
const ory256 = "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI"

// An imported PBKDF2 client logs in, and its digest becomes a fast one only
// where its importer declared the secret generated and it is long enough for that.
func TestPBKDF2Login(t *testing.T) {
	sum, err := pbkdf2.Key(sha256.New, strong, []byte("salt of some length"), 1000, 32)
	require.NoError(t, err)
	b64 := base64.RawStdEncoding.EncodeToString
	ofStrong := "$pbkdf2-sha256$i=1000,l=32$" + b64([]byte("salt of some length")) + "$" + b64(sum)
	for _, tc := range []struct {
		name, secret, digest string
		generated, fast      bool
	}{
		{"not declared", strong, ofStrong, false, false},
		{"declared", strong, ofStrong, true, true},
		{"B01 declared, and too short to be random", "test", ory256, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, imports)
			key, err := r.Import(t.Context(), admin, importSpec("hydra-1", func(s *apikey.ImportSpec) { s.Digest, s.Generated = tc.digest, tc.generated }))
			require.NoError(t, err)
			for range 2 {
				_, err = r.login(key.ID, tc.secret)
				require.NoError(t, err)
				_, err = r.login(key.ID, "Test")
				require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
				found, err := r.store.Keys.Lookup(t.Context(), key.ID)
				require.NoError(t, err)
				require.Equal(t, tc.fast, found.Key.Credentials[0].Digest != tc.digest)
			}
		})
	}
}

// An imported secret expires as a generated one does: after the grace of a rotation.
func TestImportedSecretsExpire(t *testing.T) {
	for name, change := range map[string]func(*apikey.ImportSpec){
		"slow digest": func(s *apikey.ImportSpec) { s.Digest = bcryptOf(t, strong) },
		"fast digest": func(s *apikey.ImportSpec) { s.Secret, s.Generated = strong, true },
	} {
		t.Run("B06 "+name, func(t *testing.T) {
			r := newRig(t, imports)
			r.keep(strong)
			key, err := r.Import(t.Context(), owner, importSpec("legacy", change))
			require.NoError(t, err)
			_, fresh := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
			r.clock.Advance(time.Hour - time.Microsecond)
			_, err = r.login(key.ID, strong)
			require.NoError(t, err)
			r.clock.Advance(time.Microsecond)
			_, err = r.login(key.ID, strong)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			r.mustLogin(key.ID, fresh)
		})
	}
}

// A secret longer than any imported one causes no look-up and no slow digest.
func TestImportedSecretTooLong(t *testing.T) {
	r := newRig(t, imports)
	_, err := r.Import(t.Context(), owner, importSpec("legacy", func(s *apikey.ImportSpec) { s.Digest = bcryptOf(t, weak) }))
	require.NoError(t, err)
	for _, length := range []int{1024, 1025} {
		_, err = r.login("legacy", strings.Repeat("x", length))
		require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	}
	require.Equal(t, []string{"unknown_or_wrong", "malformed_secret"}, r.reasons())
}

// A digest in the place of one of another kind matches no secret, costs as much as
// a wrong secret, and is not reported as an unavailable store.
func TestDigestOfAnotherKind(t *testing.T) {
	for name, configure := range map[string]func(*apikey.Config){"imports": imports, "no imports": func(*apikey.Config) {}} {
		r := newRig(t, configure)
		key, secret := r.create(owner, "team-a", "")
		other, _ := r.create(owner, "team-a", "")
		digest := func(id string) string {
			found, err := r.store.Keys.Lookup(t.Context(), id)
			require.NoError(t, err)
			return found.Key.Credentials[0].Digest
		}
		for kind, put := range map[string]string{"a slow one of the secret": bcryptOf(t, secret.Reveal()), "another key's": digest(other.ID)} {
			t.Run("B01 "+kind+", "+name, func(t *testing.T) {
				require.NoError(t, r.store.Upkeep.Rehash(t.Context(), key.ID, key.Credentials[0].ID, digest(key.ID), put))
				before := apikey.Hashes(r.Service)
				_, err := r.login(key.ID, secret.Reveal())
				require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
				require.NotErrorIs(t, err, store.ErrUnavailable)
				require.EqualValues(t, 1, apikey.Hashes(r.Service)-before)
			})
		}
	}
}
