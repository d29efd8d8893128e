package apikey_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// TestReportLeakEvents tests that each end of a secret is an event, and that a secret
// that everyone can read does not fill the audit log.
func TestReportLeakEvents(t *testing.T) {
	t.Run("B33 a second key with the same secret, after the first was deleted", func(t *testing.T) {
		r := newRig(t, imports)
		plain := strings.Repeat("k3y", 12)
		sum := sha256.Sum256([]byte(plain))
		for _, id := range []string{"one", "two"} {
			_, err := r.Import(t.Context(), admin, apikey.ImportSpec{
				Spec: apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: perms("project.list")}, ID: id, SHA256: hex.EncodeToString(sum[:]), Generated: true,
			})
			require.NoError(t, err)
			l, err := r.ReportLeak(t.Context(), plain, onGitHub)
			require.NoError(t, err)
			require.Equal(t, id, l.Key)
			require.ErrorIs(t, errOf(r.login(id, plain)), apikey.ErrInvalidCredentials)
			events := r.events(store.EventQuery{Action: audit.Leak, Key: id})
			require.Len(t, events, 1)
			require.NotEmpty(t, events[0].Changes)
			require.NoError(t, r.Delete(t.Context(), admin, id, 0))
		}
	})
	for name, noteOnly := range map[string]bool{"retired": false, "noted": true} {
		t.Run("B33 one event an hour, "+name, func(t *testing.T) {
			r := newRig(t)
			_, leaked := r.create(owner, "team-a", "project.list")
			for hour := range 3 {
				for n := range 100 {
					l := onGitHub
					l.URL, l.NoteOnly = fmt.Sprint("https://x/", hour, "/", n), noteOnly
					got, err := r.ReportLeak(t.Context(), leaked.Reveal(), l)
					require.NoError(t, err)
					require.Equal(t, l.URL, got.URL)
				}
				require.Len(t, r.events(store.EventQuery{Action: audit.Leak}), hour+1)
				r.clock.Advance(time.Hour)
			}
		})
	}
	t.Run("B33 the secret itself is in neither", func(t *testing.T) {
		r := newRig(t)
		_, leaked := r.create(owner, "team-a", "project.list")
		l := apikey.Leak{NoteOnly: true, URL: "https://gist.github.com/?key=" + leaked.Reveal(), Source: leaked.Reveal() + "|" + leaked.Reveal()}
		l, err := r.ReportLeak(t.Context(), leaked.Reveal(), l)
		require.NoError(t, err)
		require.Equal(t, "https://gist.github.com/?key=(redacted)", l.URL)
		require.Equal(t, "(redacted)|(redacted)", l.Source)
		require.Equal(t, l.URL+" "+l.Source, r.events(store.EventQuery{Action: audit.Leak})[0].Note)
	})
	t.Run("B33 the clock of the creator was ahead", func(t *testing.T) {
		r := newRig(t)
		r.clock.Advance(time.Hour) // the greatest MaxClockSkew
		key, leaked := r.create(owner, "team-a", "project.list")
		r.clock.Advance(-time.Hour)
		_, err := r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
		require.NoError(t, err)
		require.ErrorIs(t, errOf(r.login(key.ID, leaked.Reveal())), apikey.ErrInvalidCredentials)
	})
}

// TestRevokeSecretEnded tests that a secret that has ended is known to RevokeSecret.
func TestRevokeSecretEnded(t *testing.T) {
	t.Run("B33 it spends no budget of unknown ones, and is removed", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.Budgets.PerAddress = 3 })
		for range 5 {
			key, leaked := r.create(owner, "team-a", "project.list")
			_, err := r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
			require.NoError(t, err)
			require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: leaked.Reveal(), Address: addrA}))
			shown, err := r.Get(t.Context(), owner, key.ID)
			require.NoError(t, err)
			require.Empty(t, shown.Credentials)
		}
		_, live := r.create(owner, "team-a", "project.list")
		require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: live.Reveal(), Address: addrA}))
	})
	t.Run("B33 it is no guess at a slow digest", func(t *testing.T) {
		r := newRig(t, imports, func(c *apikey.Config) { c.Budgets.PerAddress, c.Budgets.PerAddressAndKey = 5, -1 })
		const password = "correct horse battery"
		_, err := r.Import(t.Context(), admin, importSpec("old", func(s *apikey.ImportSpec) { s.Secret = password }))
		require.NoError(t, err)
		for range 5 {
			_, leaked := r.rotate(admin, "old", apikey.Rotation{Grace: 24 * time.Hour})
			_, err = r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
			require.NoError(t, err)
			require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: leaked.Reveal(), Address: addrA}))
		}
		_, err = r.login("old", password)
		require.NoError(t, err)
	})
}
