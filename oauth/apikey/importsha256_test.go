package apikey_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// sha256Hex is the column of a table in which a host keeps its own keys.
func sha256Hex(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func ofSHA256(secret string) func(*apikey.ImportSpec) {
	return func(s *apikey.ImportSpec) { s.SHA256, s.Generated = sha256Hex(secret), true }
}

func (r *rig) digest(id string) string {
	r.t.Helper()
	found, err := r.store.Keys.Lookup(r.t.Context(), id)
	require.NoError(r.t, err)
	return found.Key.Credentials[0].Digest
}

func TestImportSHA256(t *testing.T) {
	own := apikey.MustSecret(randomFrom("our own from elsewhere"), "").Reveal()
	inBase64 := func(s *apikey.ImportSpec) {
		sum := sha256.Sum256([]byte(strong))
		s.SHA256, s.Generated = base64.StdEncoding.EncodeToString(sum[:]), true
	}
	for _, tc := range []struct {
		name, secret string
		change       func(*apikey.ImportSpec)
		peppers      []apikey.Pepper
		after        string
	}{
		{"hex", strong, ofSHA256(strong), peppers(pepper1), "hmac-sha256$1$"},
		{"base64", strong, inBase64, peppers(pepper3, pepper1), "hmac-sha256$3$"},
		{"without a pepper", strong, ofSHA256(strong), nil, "sha256$0$"},
		{"of a secret of Latchkey's form", own, ofSHA256(own), peppers(pepper1), "hmac-sha256$1$"},
		{"of a long one", strings.Repeat(strong, 29), ofSHA256(strings.Repeat(strong, 29)), peppers(pepper1), "hmac-sha256$1$"},
	} {
		t.Run("B01 "+tc.name, func(t *testing.T) {
			st := memstore.New()
			r := rigOn(t, st, imports, func(c *apikey.Config) { c.Peppers = tc.peppers })
			spec := importSpec("home-1", tc.change)
			r.keep(tc.secret, spec.SHA256)
			key, err := r.Import(t.Context(), owner, spec)
			require.NoError(t, err)
			require.Equal(t, secrets.ID(tc.secret), key.Credentials[0].ID)
			require.Empty(t, key.Credentials[0].Hint)
			require.True(t, key.Credentials[0].Generated)
			require.True(t, strings.HasPrefix(r.digest(key.ID), "sha256-import$"))
			require.Empty(t, used(t, st), "B31 the digest names no pepper")
			require.Empty(t, key.Outdated)
			found, _, err := r.FindSecret(t.Context(), owner, tc.secret)
			require.NoError(t, err)
			require.Equal(t, key.ID, found.ID)

			_, err = r.login(key.ID, tc.secret+"x")
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			_, err = r.login(key.ID, spec.SHA256)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "the digest is no secret")
			require.True(t, strings.HasPrefix(r.digest(key.ID), "sha256-import$"), "a wrong secret replaces nothing")
			for range 2 {
				grant, err := r.login(key.ID, tc.secret)
				require.NoError(t, err)
				require.Equal(t, key.Credentials[0].ID, grant.CredentialID)
				require.False(t, r.revoked(grant))
				require.True(t, strings.HasPrefix(r.digest(key.ID), tc.after), r.digest(key.ID))
			}
			require.Contains(t, used(t, st), "peppers "+strings.Split(tc.after, "$")[1], "B31 now it does")
			before := apikey.Hashes(r.Service)
			_, err = r.login(key.ID, tc.secret)
			require.NoError(t, err)
			require.EqualValues(t, 1, apikey.Hashes(r.Service)-before, "B02")
			shown, _, err := r.FindSecret(t.Context(), owner, tc.secret)
			require.NoError(t, err)
			require.Equal(t, key.Version, shown.Version)
			require.Len(t, r.events(store.EventQuery{Action: audit.Import}), 1)
			_, fresh := r.rotate(owner, key.ID, apikey.Rotation{})
			r.mustLogin(key.ID, fresh)
			_, err = r.login(key.ID, tc.secret)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
		})
	}
}

// TestImportSHA256CostsOneDigest tests that a login costs one digest, whether the key is
// there and whether the secret is right. (The first use makes one more, to store it.)
func TestImportSHA256CostsOneDigest(t *testing.T) {
	own, other := apikey.MustSecret(randomFrom("own"), "").Reveal(), apikey.MustSecret(randomFrom("other"), "").Reveal()
	r := newRig(t, imports)
	r.keep(own, other)
	key, err := r.Import(t.Context(), owner, importSpec("home-1", ofSHA256(own)))
	require.NoError(t, err)
	require.NoError(t, r.store.Upkeep.Rehash(t.Context(), key.ID, key.Credentials[0].ID, r.digest(key.ID), secretDigest(t, other)))
	for name, c := range map[string]apikey.Credentials{
		"B02 wrong, with the id of the right one": {ID: key.ID, Secret: own},
		"B02 an unknown key":                      {ID: "nobody", Secret: own},
	} {
		before := apikey.Hashes(r.Service)
		_, err := r.Authenticate(t.Context(), c)
		require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
		require.EqualValues(t, 1, apikey.Hashes(r.Service)-before, name)
	}
}

func secretDigest(t *testing.T, secret string) string {
	t.Helper()
	digest, _, err := secrets.OfSHA256(sha256Hex(secret))
	require.NoError(t, err)
	return digest
}

func TestImportSHA256Refuses(t *testing.T) {
	jwt := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"
	for _, tc := range []struct {
		name        string
		change      func(*apikey.ImportSpec)
		field, says string
	}{
		{"B01 not declared random", func(s *apikey.ImportSpec) { s.SHA256 = sha256Hex(strong) }, "sha256", "Set Generated"},
		{"no SHA-256", func(s *apikey.ImportSpec) { s.SHA256, s.Generated = sha256Hex(strong)[1:], true }, "sha256", "64 characters of hex"},
		{"a secret for its SHA-256", func(s *apikey.ImportSpec) { s.SHA256, s.Generated = strong, true }, "sha256", "64 characters of hex"},
		{"B01 of an empty text", ofSHA256(""), "sha256", "empty text"},
		{"with the secret", func(s *apikey.ImportSpec) { ofSHA256(strong)(s); s.Secret = strong }, "secret", "Give one of"},
		{"with a digest", func(s *apikey.ImportSpec) { ofSHA256(strong)(s); s.Digest = bcryptOf(t, strong) }, "secret", "Give one of"},
		{"B01 as a digest", func(s *apikey.ImportSpec) { s.Digest, s.Generated = secretDigest(t, strong), true }, "digest", "only bcrypt"},
		{"B32 a secret that looks like a token", func(s *apikey.ImportSpec) { s.Secret = jwt }, "secret", "form of a JWT"},
		{"B32 and is declared random", func(s *apikey.ImportSpec) { s.Secret, s.Generated = jwt, true }, "secret", "form of a JWT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := memstore.New()
			r := rigOn(t, st, imports)
			spec := importSpec("home-1", tc.change)
			r.keep(strong, sha256Hex(strong), jwt)
			_, err := r.Import(t.Context(), owner, spec)
			var bad *apikey.InvalidError
			require.ErrorAs(t, r.note(err), &bad)
			require.Equal(t, tc.field, bad.Problems[0].Field)
			require.Contains(t, bad.Problems[0].Reason, tc.says)
			_, err = st.Keys.Lookup(t.Context(), "home-1")
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	}
	t.Run("with three parts and no JOSE header it is a secret", func(t *testing.T) {
		r := newRig(t, imports)
		_, err := r.Import(t.Context(), owner, importSpec("home-1", func(s *apikey.ImportSpec) { s.Secret = "team.key.K7dQ9vXm2Lw4Rt8Zp1Bn6Yc3" }))
		require.NoError(t, err)
	})
}

// TestSecretOfAnotherKey tests that two keys cannot have one secret, and that the answer
// says so.
func TestSecretOfAnotherKey(t *testing.T) {
	first := apikey.MustSecret(randomFrom("taken"), "").Reveal()
	for name, forms := range map[string][2]func(*apikey.ImportSpec){
		"SHA-256 twice":       {ofSHA256(strong), ofSHA256(strong)},
		"after its plaintext": {func(s *apikey.ImportSpec) { s.Secret, s.Generated = strong, true }, ofSHA256(strong)},
		"before it":           {ofSHA256(first), func(s *apikey.ImportSpec) { s.Secret = first }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, imports)
			r.keep(strong, first)
			_, err := r.Import(t.Context(), owner, importSpec("home-1", forms[0]))
			require.NoError(t, err)
			again := importSpec("home-2", forms[1])
			again.Workspace = "team-b"
			_, err = r.Import(t.Context(), admin, again)
			require.ErrorIs(t, r.note(err), store.ErrCredentialExists)
			answer := outcome.Manage(t.Context(), err)
			require.Equal(t, "secret", answer.Fields[0].Field)
			require.Contains(t, answer.Fields[0].Reason, "Another key has this secret")
		})
	}
}

// TestImportsTurnedOff tests that a SHA-256 verifies only while imports are accepted.
func TestImportsTurnedOff(t *testing.T) {
	own := apikey.MustSecret(randomFrom("our own from elsewhere"), "").Reveal()
	st := memstore.New()
	on := rigOn(t, st, imports)
	on.keep(own)
	key, err := on.Import(t.Context(), owner, importSpec("home-1", ofSHA256(own)))
	require.NoError(t, err)
	off := rigOn(t, st)
	off.keep(own)
	_, err = off.login(key.ID, own)
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B01")
	require.NotErrorIs(t, err, store.ErrUnavailable)
	_, _, err = off.FindSecret(t.Context(), owner, own)
	require.ErrorIs(t, err, store.ErrNotFound)

	found, err := st.Keys.Lookup(t.Context(), key.ID)
	require.NoError(t, err)
	for _, tc := range []struct {
		on   *rig
		says string
	}{{newRig(t), "APIKeys.Imported) is false"}, {newRig(t, imports), ""}} {
		restore, err := tc.on.Restorer(t.Context(), admin)
		require.NoError(t, err)
		err = restore(found)
		if tc.says != "" {
			require.ErrorAs(t, tc.on.note(err), new(*apikey.InvalidError))
			require.ErrorContains(t, err, tc.says)
			continue
		}
		require.NoError(t, err)
		_, err = tc.on.login(key.ID, own)
		require.NoError(t, err)
	}
	_, err = on.login(key.ID, own)
	require.NoError(t, err)
	_, err = off.login(key.ID, own)
	require.NoError(t, err, "once it is replaced, it is like any other secret of this form")
}

// TestFirstUsesAtOnce tests that all of many first logins succeed, and that one of them
// replaces the digest.
func TestFirstUsesAtOnce(t *testing.T) {
	tap := &storetest.Tap{}
	st := tap.Over(memstore.New())
	r := rigOn(t, st, imports)
	r.keep(strong)
	key, err := r.Import(t.Context(), owner, importSpec("home-1", ofSHA256(strong)))
	require.NoError(t, err)
	const logins = 32
	replaced := 0
	var mu sync.Mutex
	tap.After(func(call string, err error) error {
		mu.Lock()
		defer mu.Unlock()
		if call == "Upkeep.Rehash" && err == nil {
			replaced++
		}
		return err
	})
	errs := make([]error, logins)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = r.login(key.ID, strong) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, 1, replaced)
	require.True(t, strings.HasPrefix(r.digest(key.ID), "hmac-sha256$1$"))
	require.NotContains(t, r.logs.String(), "could not be rewritten")
	require.Empty(t, r.reasons())
}
