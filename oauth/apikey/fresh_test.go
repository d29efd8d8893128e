package apikey_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestManagementLooksBeyondTheCache tests that management calls do not read the
// cache, which may not have another process's last change yet.
func TestManagementLooksBeyondTheCache(t *testing.T) {
	ctx := t.Context()
	imported := func(c *apikey.Config) { c.Imported = true }
	ruled := func(c *apikey.Config) { c.Policy = policy.Settings() }
	legacy := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "legacy"}, ID: "legacy", Secret: strings.Repeat("aB3-", 12)}
	for _, try := range []struct {
		name      string
		configure func(*apikey.Config)
		// before runs first. Then b reads, and gets no notification of the later
		// changes through a.
		before, meanwhile func(t *testing.T, a *rig, key apikey.Key)
		then              func(t *testing.T, a, b *rig, key apikey.Key)
	}{
		{
			name: "a key that was enabled is disabled",
			before: func(t *testing.T, a *rig, key apikey.Key) {
				_, err := a.Disable(ctx, owner, key.ID, 0)
				require.NoError(t, err)
			},
			meanwhile: func(t *testing.T, a *rig, key apikey.Key) {
				_, err := a.Enable(ctx, owner, key.ID, 0)
				require.NoError(t, err)
			},
			then: func(t *testing.T, a, b *rig, key apikey.Key) {
				_, err := b.Disable(ctx, owner, key.ID, 0)
				require.NoError(t, err)
				key, err = a.Get(ctx, owner, key.ID)
				require.NoError(t, err)
				require.True(t, key.Disabled)
			},
		},
		{
			name: "a workspace that was resumed is suspended",
			before: func(t *testing.T, a *rig, _ apikey.Key) {
				require.NoError(t, a.SetSuspended(ctx, admin, "team-a", true))
			},
			meanwhile: func(t *testing.T, a *rig, _ apikey.Key) {
				require.NoError(t, a.SetSuspended(ctx, admin, "team-a", false))
			},
			then: func(t *testing.T, a, b *rig, _ apikey.Key) {
				require.NoError(t, b.SetSuspended(ctx, admin, "team-a", true))
				w, _, err := a.Workspace(ctx, owner, "team-a")
				require.NoError(t, err)
				require.True(t, w.Suspended)
			},
		},
		{
			name: "settings that were changed are not called saved",
			before: func(t *testing.T, a *rig, _ apikey.Key) {
				_, err := a.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
				require.NoError(t, err)
			},
			meanwhile: func(t *testing.T, a *rig, _ apikey.Key) {
				_, err := a.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{Version: 1}})
				require.NoError(t, err)
			},
			then: func(t *testing.T, _, b *rig, _ apikey.Key) {
				_, err := b.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{Version: 1, KeysOff: true}})
				require.ErrorIs(t, err, store.ErrConflict)
			},
		},
		{
			name: "the tokens of a deleted workspace end",
			meanwhile: func(t *testing.T, a *rig, _ apikey.Key) {
				for range 3 {
					require.NoError(t, a.SetSuspended(ctx, admin, "team-a", true))
					require.NoError(t, a.SetSuspended(ctx, admin, "team-a", false))
				}
			},
			then: func(t *testing.T, a, b *rig, _ apikey.Key) {
				other, secret := a.create(owner, "team-a", "project.list")
				token := a.mustLogin(other.ID, secret)
				require.False(t, a.revoked(token))
				require.NoError(t, b.DeleteWorkspace(ctx, admin, "team-a"))
				require.True(t, a.revoked(token))
			},
		},
		{
			name: "a key that was made is deleted", configure: imported,
			meanwhile: func(t *testing.T, a *rig, _ apikey.Key) {
				_, err := a.Import(ctx, owner, legacy)
				require.NoError(t, err)
			},
			then: func(t *testing.T, _, b *rig, _ apikey.Key) {
				require.NoError(t, b.Delete(ctx, owner, legacy.ID, 0))
			},
		},
		{
			name: "a key that was disabled makes, imports, changes and deletes nothing", configure: imported,
			meanwhile: func(t *testing.T, a *rig, key apikey.Key) {
				_, err := a.Disable(ctx, owner, key.ID, 0)
				require.NoError(t, err)
			},
			then: func(t *testing.T, a, b *rig, key apikey.Key) {
				actor := apikey.ByKey(key.ID, key.Permissions, "")
				other, _ := a.create(owner, "team-a", "project.list")
				_, _, err := b.tryCreate(actor, "team-a", "project.list")
				require.ErrorAs(t, err, new(*apikey.ForbiddenError), "Create")
				_, err = b.Import(ctx, actor, legacy)
				require.ErrorAs(t, err, new(*apikey.ForbiddenError), "Import")
				_, err = b.Update(ctx, actor, other.ID, apikey.Changes{Name: ptr("renamed")})
				require.ErrorAs(t, err, new(*apikey.ForbiddenError), "Update")
				require.ErrorAs(t, b.Delete(ctx, actor, other.ID, 0), new(*apikey.ForbiddenError), "Delete")
			},
		},
		{
			name: "what is shown is as it is",
			meanwhile: func(t *testing.T, a *rig, key apikey.Key) {
				_, err := a.Update(ctx, owner, key.ID, apikey.Changes{Name: ptr("renamed")})
				require.NoError(t, err)
				_, err = a.SaveWorkspace(ctx, admin, store.Workspace{ID: "team-a", Rules: store.Rules{MaxLifetime: 2 * time.Hour}})
				require.NoError(t, err)
				_, err = a.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{MaxKeys: 7, RequireExpiry: true}}})
				require.NoError(t, err)
				require.NoError(t, a.SetSuspended(ctx, admin, "team-a", true))
			},
			then: func(t *testing.T, _, b *rig, key apikey.Key) {
				shown, err := b.Get(ctx, owner, key.ID)
				require.NoError(t, err)
				require.Equal(t, "renamed", shown.Name, "Get")
				require.Equal(t, []string{"require_expiry", "max_lifetime"}, shown.RulesBroken, "RulesBroken")
				w, rules, err := b.Workspace(ctx, owner, "team-a")
				require.NoError(t, err)
				require.Equal(t, 2*time.Hour, w.Rules.MaxLifetime, "Workspace")
				require.Equal(t, []any{7, 2 * time.Hour}, []any{rules.MaxKeys, rules.MaxLifetime}, "the rules in force")
				in, err := b.Settings(ctx, admin)
				require.NoError(t, err)
				require.Equal(t, 7, in.Rules.MaxKeys, "Settings")
				require.True(t, b.records()[0].Workspace.Suspended, "Records")
			},
		},
		{
			name: "a key that was disabled grants nothing",
			meanwhile: func(t *testing.T, a *rig, key apikey.Key) {
				_, err := a.Disable(ctx, owner, key.ID, 0)
				require.NoError(t, err)
			},
			then: func(t *testing.T, _, b *rig, key apikey.Key) {
				_, err := b.Grantable(ctx, apikey.ByKey(key.ID, key.Permissions, ""), "team-a")
				require.ErrorAs(t, err, new(*apikey.ForbiddenError))
			},
		},
		{
			name: "a limit that was lowered holds", configure: ruled,
			meanwhile: func(t *testing.T, a *rig, _ apikey.Key) {
				_, err := a.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{MaxKeys: 1}}})
				require.NoError(t, err)
			},
			then: func(t *testing.T, _, b *rig, _ apikey.Key) {
				_, _, err := b.tryCreate(owner, "team-a", "project.list")
				require.ErrorAs(t, err, new(*policy.Denied))
			},
		},
		{
			name: "a workspace that was resumed is suspended again by a restore",
			before: func(t *testing.T, a *rig, _ apikey.Key) {
				require.NoError(t, a.SetSuspended(ctx, admin, "team-a", true))
			},
			meanwhile: func(t *testing.T, a *rig, _ apikey.Key) {
				require.NoError(t, a.SetSuspended(ctx, admin, "team-a", false))
			},
			then: func(t *testing.T, a, b *rig, _ apikey.Key) {
				elsewhere := rigOn(t, memstore.New())
				elsewhere.create(owner, "team-a", "project.list")
				require.NoError(t, elsewhere.SetSuspended(ctx, admin, "team-a", true))
				b.restore(elsewhere.records()...)
				w, _, err := a.Workspace(ctx, owner, "team-a")
				require.NoError(t, err)
				require.True(t, w.Suspended)
			},
		},
	} {
		t.Run(try.name, func(t *testing.T) {
			st, configure := memstore.New(), try.configure
			if configure == nil {
				configure = func(*apikey.Config) {}
			}
			a := rigOn(t, st, configure)
			key, _ := a.create(owner, "team-a", "keys.save keys.delete project.list")
			if try.before != nil {
				try.before(t, a, key)
			}
			stream := &harness.DeafWatch{From: st.Watch}
			below := st
			below.Watch = stream
			c, err := cache.New(below, cache.Config{Bound: time.Minute})
			require.NoError(t, err)
			running, cancel := context.WithCancel(ctx)
			var done sync.WaitGroup
			done.Go(func() { c.Run(running) })
			defer done.Wait()
			defer cancel()
			require.Eventually(t, c.Usable, time.Minute, time.Millisecond)
			stream.Deafen()
			b := rigOn(t, c.Store(), configure)
			look := func() []any {
				k, err1 := c.Store().Reads().Lookup(ctx, key.ID)
				_, err2 := c.Store().Reads().Lookup(ctx, legacy.ID)
				return []any{k, err1, errors.Is(err2, store.ErrNotFound)}
			}
			seen := look()
			try.meanwhile(t, a, key)
			require.Equal(t, seen, look(), "the cache knows")
			try.then(t, a, b, key)
		})
	}
}
