package apikey_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var errDown = fmt.Errorf("flaky: %w", store.ErrUnavailable)

// TestAFailedChangeRevokesNothing tests that a change and its epoch are one write: a
// failed change leaves tokens and logins as they were, and the same change revokes
// them when it is made again.
func TestAFailedChangeRevokesNothing(t *testing.T) {
	ctx := t.Context()
	for name, do := range map[string]func(*rig, apikey.Key) error{
		"Disable": func(r *rig, k apikey.Key) error { return errOf(r.Disable(ctx, owner, k.ID, 0)) },
		"RetireSecret": func(r *rig, k apikey.Key) error {
			return errOf(r.Retire(ctx, owner, k.ID, k.Credentials[0].ID, 0))
		},
		"Delete":          func(r *rig, k apikey.Key) error { return r.Delete(ctx, owner, k.ID, 0) },
		"Suspend":         func(r *rig, _ apikey.Key) error { return r.SetSuspended(ctx, admin, "team-a", true) },
		"DeleteWorkspace": func(r *rig, _ apikey.Key) error { return r.DeleteWorkspace(ctx, admin, "team-a") },
		"RevokeAllTokens": func(r *rig, _ apikey.Key) error { return r.RevokeAllTokens(ctx, admin) },
	} {
		t.Run("B22 "+name, func(t *testing.T) {
			down := false
			r := rigOn(t, harness.Tapped(memstore.New(), harness.While(&down, errDown),
				"Keys.Update", "Keys.Delete", "Settings.Set", "Settings.Delete"))
			key, secret := r.create(owner, "team-a", "project.list")
			token := r.mustLogin(key.ID, secret)
			down = true
			require.ErrorIs(t, do(r, key), store.ErrUnavailable)
			require.False(t, r.revoked(token))
			require.Len(t, r.events(store.EventQuery{}), 1)
			down = false
			between := r.mustLogin(key.ID, secret)
			require.False(t, r.revoked(between))
			require.NoError(t, do(r, key))
			require.True(t, r.revoked(token))
			require.True(t, r.revoked(between))
		})
	}
}

// TestTheLastSecretRaisesTheEpoch tests that the epoch is raised when a key's last
// secret is removed, for verifiers that check only epochs. If another secret is left,
// only the tokens of the removed one are revoked.
func TestTheLastSecretRaisesTheEpoch(t *testing.T) {
	ctx := t.Context()
	for name, end := range map[string]func(*rig, apikey.Key, apikey.Secret) error{
		"RetireSecret": func(r *rig, k apikey.Key, _ apikey.Secret) error {
			return errOf(r.Retire(ctx, owner, k.ID, k.Credentials[0].ID, 0))
		},
		"RevokeSecret": func(r *rig, k apikey.Key, secret apikey.Secret) error {
			return r.RevokeSecret(ctx, apikey.Credentials{ID: k.ID, Secret: secret.Reveal()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			epoch := func(id string) int64 {
				found, err := r.store.Keys.Lookup(ctx, id)
				require.NoError(t, err)
				return found.Key.Epoch
			}
			only, secret := r.create(owner, "team-a", "")
			two, first := r.create(owner, "team-a", "")
			_, _ = r.rotate(owner, two.ID, apikey.Rotation{Grace: time.Hour})
			ofOnly, ofTwo := epoch(only.ID), epoch(two.ID)
			require.NoError(t, end(r, only, secret))
			require.NoError(t, end(r, two, first))
			require.Greater(t, epoch(only.ID), ofOnly)
			require.Equal(t, ofTwo, epoch(two.ID))
		})
	}
}

func TestALoginReadsOnce(t *testing.T) {
	var c counted
	r := rigOn(t, c.around(memstore.New()))
	key, secret := r.create(owner, "team-a", "project.list")
	c.reads.Store(0)
	c.writes.Store(0)
	r.mustLogin(key.ID, secret)
	require.EqualValues(t, 1, c.reads.Load())
	require.Zero(t, c.writes.Load())
}

// TestReimportedID tests that tokens of a deleted key stay revoked when its id is
// imported again.
func TestReimportedID(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, func(c *apikey.Config) { c.Imported = true })
	spec := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "legacy", Secret: "0123456789abcdefghijklmnopqrstuvwxyzABCD"}
	require.NoError(t, errOf(r.Import(ctx, owner, spec)))
	token, err := r.login("legacy", spec.Secret)
	require.NoError(t, err)
	require.NoError(t, r.Delete(ctx, owner, "legacy", 0))
	require.ErrorIs(t, errOf(r.Import(ctx, owner, spec)), store.ErrExists, "the tombstone")
	r.clock.Advance(1000 * 24 * time.Hour)
	require.NoError(t, r.Prune(ctx))
	require.NoError(t, errOf(r.Import(ctx, owner, spec)))
	fresh, err := r.login("legacy", spec.Secret)
	require.NoError(t, err)
	require.True(t, r.revoked(token))
	require.False(t, r.revoked(fresh))
	require.NoError(t, errOf(r.Disable(ctx, owner, "legacy", 0)))
	require.True(t, r.revoked(fresh))
}

func TestRevokeAllTokens(t *testing.T) {
	ctx := t.Context()
	rules := store.Rules{MaxKeys: 7}
	r := newRig(t, func(c *apikey.Config) { c.DefaultRules = rules })
	var keys []apikey.Key
	var secrets []apikey.Secret
	var tokens []*apikey.Grant
	for _, workspace := range []string{"team-a", "team-b"} {
		key, secret := r.create(admin, workspace, "project.list keys.save admin.keys.save")
		keys, secrets, tokens = append(keys, key), append(secrets, secret), append(tokens, r.mustLogin(key.ID, secret))
	}
	for name, actor := range map[string]apikey.Actor{
		"an owner": owner, "a manager": manager, "nobody": {}, "a key": apikey.ByKey(keys[0].ID, catalog.All(), ""),
	} {
		require.ErrorAs(t, r.note(r.RevokeAllTokens(ctx, actor)), new(*apikey.ForbiddenError), "B14 "+name)
	}
	require.False(t, r.revoked(tokens[0]))
	for range 2 {
		require.NoError(t, r.RevokeAllTokens(ctx, admin))
		for i := range keys {
			require.True(t, r.revoked(tokens[i]), "B30 of every workspace")
			tokens[i] = r.mustLogin(keys[i].ID, secrets[i])
			require.False(t, r.revoked(tokens[i]), "keys log in again")
		}
	}
	shown, err := r.Settings(ctx, admin)
	require.NoError(t, err)
	require.Equal(t, rules, shown.Rules, "the settings in force stay")
	events := r.events(store.EventQuery{Action: audit.RevokeTokens})
	require.Len(t, events, 2)
	require.Equal(t, admin.Ref(), events[0].Actor)

	t.Run("B30 while others save settings", func(t *testing.T) {
		st := memstore.New()
		left := 3
		r := rigOn(t, harness.Tapped(st, func(ctx context.Context, _ string) error {
			if left--; left >= 0 { // someone else's change comes in between
				now, err := st.Settings.Instance(ctx)
				require.NoError(t, err)
				now.Rules.MaxKeys++
				return st.Settings.SetInstance(ctx, now, store.Change{})
			}
			return nil
		}, "Settings.SetInstance"))
		key, secret := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, secret)
		require.NoError(t, r.RevokeAllTokens(ctx, admin))
		require.True(t, r.revoked(token))
		shown, err := r.Settings(ctx, admin)
		require.NoError(t, err)
		require.Equal(t, 3, shown.Rules.MaxKeys, "and lose nothing")
	})
}

// TestRestoredBackup tests a store restored from a backup that is older than the
// tokens.
func TestRestoredBackup(t *testing.T) {
	ctx := t.Context()
	was := newRig(t)
	key, secret := was.create(owner, "team-a", "project.list")
	records := was.records()
	// The restored store has lower epochs than the one that went on.
	restored, lived := newRig(t), newRig(t)
	restored.restore(records...)
	lived.restore(records...)
	token := lived.mustLogin(key.ID, secret)
	require.False(t, lived.revoked(token))
	require.True(t, restored.revoked(token), "B30 of a key that changed since")
	fresh := restored.mustLogin(key.ID, secret)
	require.False(t, restored.revoked(fresh))

	for range 3 {
		require.NoError(t, lived.SetSuspended(ctx, admin, "team-a", true))
		require.NoError(t, lived.SetSuspended(ctx, admin, "team-a", false))
		require.NoError(t, lived.RevokeAllTokens(ctx, admin))
		token = lived.mustLogin(key.ID, secret)
		require.True(t, restored.revoked(token), "B30 whatever epochs were used before")
		fresh = restored.mustLogin(key.ID, secret)
		require.NoError(t, errOf(restored.Disable(ctx, owner, key.ID, 0)))
		require.True(t, restored.revoked(fresh), "B30 a change after the restore takes effect at once")
		require.True(t, restored.revoked(token))
		require.NoError(t, errOf(restored.Enable(ctx, owner, key.ID, 0)))
		require.True(t, restored.revoked(token))
		require.NoError(t, restored.RevokeAllTokens(ctx, admin))
		require.True(t, restored.revoked(token))
	}
}
