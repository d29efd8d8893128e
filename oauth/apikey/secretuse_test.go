package apikey_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A use that Flush is writing right now is not seen by Rotation.Replaces.
func TestReplacesDuringFlush(t *testing.T) {
	st, tapped := harness.NewTap()
	r := rigOn(t, st)
	key, secret := r.create(admin, "team-a", "project.list", direct)
	_, err := r.direct(secret.Reveal())
	require.NoError(t, err)
	var rotated error
	tapped.Before(func(_ context.Context, call string) error {
		if call == "Upkeep.RecordUses" {
			tapped.Before(nil)
			_, _, rotated = r.Rotate(context.Background(), admin, key.ID, apikey.Rotation{Replaces: key.Credentials[0].ID})
		}
		return nil
	})
	require.NoError(t, r.Flush(t.Context()))
	var invalid *apikey.InvalidError
	require.ErrorAs(t, rotated, &invalid, "a secret in use was removed")
}

// A digest that cannot be rewritten must not cost a write and a line of the log for each
// request.
func TestRehashIsTriedOnceAnHour(t *testing.T) {
	st, tapped := harness.NewTap()
	r := rigOn(t, st, imports)
	_, err := r.Import(t.Context(), owner, importSpec("home", func(s *apikey.ImportSpec) { ofSHA256(strong)(s); s.Direct = true }))
	require.NoError(t, err)
	tapped.Before(func(_ context.Context, call string) error {
		if call == "Upkeep.Rehash" {
			return errors.New("read only")
		}
		return nil
	})
	tapped.Take()
	for range 500 {
		_, err := r.direct(strong)
		require.NoError(t, err)
	}
	calls := tapped.Take()
	require.LessOrEqual(t, calls["Upkeep.Rehash"], 10)
}

// The SHA-256 of a secret with a prefix that is withdrawn later.
func TestWithdrawnPrefixOfSHA256(t *testing.T) {
	st := memstore.New()
	old := rigOn(t, st, imports, func(c *apikey.Config) { c.SecretPrefixes = []string{"old_"} })
	text := apikey.MustSecret(rand.Reader, "old_").Reveal()
	plain := apikey.MustSecret(rand.Reader, "old_").Reveal()
	_, err := old.Import(t.Context(), owner, importSpec("by-sum", func(s *apikey.ImportSpec) { ofSHA256(text)(s); s.Direct = true }))
	require.NoError(t, err)
	_, err = old.Import(t.Context(), owner, importSpec("by-text", func(s *apikey.ImportSpec) { s.Secret, s.Direct = plain, true }))
	require.NoError(t, err)
	for _, s := range []string{text, plain} {
		_, err = old.direct(s)
		require.NoError(t, err)
	}
	r := rigOn(t, st, imports, func(c *apikey.Config) {
		c.SecretPrefixes, c.Withdrawn = []string{"new_"}, []string{"secret prefix old_"}
	})
	_, err = r.direct(plain)
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	_, err = r.direct(text)
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "a secret of the withdrawn prefix, used before, goes on to work")
}

// Uses before midnight count for their day.
func TestDirectUsesAtMidnight(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(admin, "team-a", "project.list", direct)
	midnight := r.Now().Truncate(24*time.Hour).AddDate(0, 0, 1)
	r.clock.Advance(midnight.Add(-time.Second).Sub(r.Now()))
	for range 100 {
		_, err := r.direct(secret.Reveal())
		require.NoError(t, err)
	}
	r.clock.Advance(2 * time.Second)
	_, err := r.direct(secret.Reveal())
	require.NoError(t, err)
	require.NoError(t, r.Flush(t.Context()))
	days, err := r.Usage(t.Context(), admin, key.ID, midnight.AddDate(0, 0, -1), midnight.AddDate(0, 0, 1))
	require.NoError(t, err)
	counts := map[string]int64{}
	for _, d := range days {
		counts[d.Day.Format(time.DateOnly)] += d.Logins
	}
	require.Equal(t, map[string]int64{midnight.AddDate(0, 0, -1).Format(time.DateOnly): 100, midnight.Format(time.DateOnly): 1}, counts)
}

// A leaked secret with a withdrawn prefix is no find, although the key has it and works
// again with it if the prefix comes back.
func TestReportLeakOfAWithdrawnPrefix(t *testing.T) {
	st := memstore.New()
	r := rigOn(t, st, func(c *apikey.Config) { c.SecretPrefixes = []string{"old_"} })
	_, leaked := r.create(owner, "team-a", "project.list")
	r2 := rigOn(t, st, func(c *apikey.Config) {
		c.SecretPrefixes = []string{"new_"}
		c.Withdrawn = []string{"secret prefix old_"}
	})
	_, _, err := r2.FindSecret(t.Context(), admin, leaked.Reveal())
	require.NoError(t, err)
	_, err = r2.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
	require.NoError(t, err, "FindSecret finds it, ReportLeak says it is false")
}

// The digest form of imports can be restored for a secret that nobody declared random,
// and under an id that is not derived from it.
func TestRestoredSHA256(t *testing.T) {
	r := newRig(t, imports)
	plain := strings.Repeat("k3y", 12)
	sum := sha256.Sum256([]byte(plain))
	_, err := r.Import(t.Context(), admin, apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: perms("project.list")}, ID: "one", SHA256: hex.EncodeToString(sum[:]), Generated: true})
	require.NoError(t, err)
	record := r.records()[0]
	for name, change := range map[string]func(*store.Credential){
		"not generated": func(s *store.Credential) { s.Generated = false },
		"another id":    func(s *store.Credential) { s.ID = "AAAAAAAAAAAA" },
	} {
		other := newRig(t, imports)
		add, err := other.Restorer(t.Context(), admin)
		require.NoError(t, err)
		changed := record
		changed.Key = changed.Key.Clone()
		change(&changed.Key.Credentials[0])
		if add(changed) == nil {
			t.Error(name, "is accepted")
		}
	}
}

// TestSecretAloneReachesNoSlowDigest tests that a secret without an id is not compared with
// the slow digests of the key that had it: each comparison takes long and spends the
// budget of guesses.
func TestSecretAloneReachesNoSlowDigest(t *testing.T) {
	r := newRig(t, imports, func(c *apikey.Config) { c.Budgets.PerAddress, c.Budgets.PerAddressAndKey = 5, -1 })
	slow, err := secrets.HashSlow(rand.Reader, "password-of-old")
	require.NoError(t, err)
	_, err = r.Import(t.Context(), admin, importSpec("old", func(s *apikey.ImportSpec) { s.Secret, s.Digest, s.Direct = "", slow, true }))
	require.NoError(t, err)
	_, fast := r.rotate(admin, "old", apikey.Rotation{Grace: 24 * time.Hour})
	_, err = r.ReportLeak(t.Context(), fast.Reveal(), onGitHub) // ends it, and keeps its record
	require.NoError(t, err)
	for range 8 {
		_, err := r.direct(fast.Reveal())
		require.Error(t, err)
		_, err = r.ReportLeak(t.Context(), fast.Reveal(), onGitHub)
		require.NoError(t, err)
	}
	_, err = r.login("old", "password-of-old")
	require.NoError(t, err, "B33 the guesses at slow digests are not spent")
}
