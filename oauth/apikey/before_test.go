package apikey_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// TestBeforeStore tests that Spec.BeforeStore gets the secret before the key is stored.
func TestBeforeStore(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) { c.Imported, c.Policy = true, policy.MaxKeys(2) })
	var shown apikey.Key
	var secret apikey.Secret
	calls := 0
	spec := apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: perms("project.*"), BeforeStore: func(ctx context.Context, key apikey.Key, s apikey.Secret) error {
		calls++
		shown, secret = key, s
		_, err := r.Get(ctx, admin, key.ID)
		require.ErrorIs(t, err, store.ErrNotFound, "it is not stored yet")
		require.Empty(t, r.events(store.EventQuery{}))
		return nil
	}}
	key, made, err := r.Create(t.Context(), owner, spec)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	require.Equal(t, key, shown, "as it will be stored, without digests")
	require.Equal(t, made.Reveal(), secret.Reveal())
	r.mustLogin(shown.ID, secret)

	t.Run("its error ends the creation, and nothing is spent", func(t *testing.T) {
		full := errors.New("the disk is full")
		refused := spec
		refused.Once = &store.OnceID{Space: "test", ID: "once", Expires: noon.Add(time.Hour)}
		refused.BeforeStore = func(context.Context, apikey.Key, apikey.Secret) error { return full }
		_, none, err := r.Create(t.Context(), owner, refused)
		require.ErrorIs(t, err, full)
		require.Empty(t, none.Reveal())
		require.Len(t, r.events(store.EventQuery{}), 1)
		page, err := r.List(t.Context(), admin, store.KeyQuery{Workspace: "team-a"})
		require.NoError(t, err)
		require.Len(t, page.Keys, 1)
		refused.BeforeStore = nil
		_, _, err = r.Create(t.Context(), owner, refused)
		require.NoError(t, err)
	})
	t.Run("it is not called for a key that is refused anyway", func(t *testing.T) {
		refused := spec
		refused.BeforeStore = func(context.Context, apikey.Key, apikey.Secret) error {
			require.Fail(t, "asked")
			return nil
		}
		var denied *policy.Denied
		_, _, err := r.Create(t.Context(), owner, refused)
		require.ErrorAs(t, err, &denied, "the limit of two keys is reached")
		refused.Workspace = "team-b"
		_, _, err = r.Create(t.Context(), admin.Granting(perms("project.list")), refused)
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
	t.Run("it is called before a write that fails", func(t *testing.T) {
		calls = 0
		late := spec
		late.Workspace, late.Once = "team-b", &store.OnceID{Space: "test", ID: "once", Expires: noon.Add(time.Hour)}
		late.BeforeStore = func(context.Context, apikey.Key, apikey.Secret) error { calls++; return nil }
		_, _, err := r.Create(t.Context(), admin, late)
		require.ErrorIs(t, err, store.ErrExists)
		require.Equal(t, 1, calls)
	})
	t.Run("an import gives no secret", func(t *testing.T) {
		calls = 0
		spec.Workspace = "team-b"
		spec.BeforeStore = func(_ context.Context, key apikey.Key, s apikey.Secret) error {
			calls++
			require.Equal(t, "robot-7", key.ID)
			require.Empty(t, s.Reveal())
			return nil
		}
		_, err := r.Import(t.Context(), admin, apikey.ImportSpec{Spec: spec, ID: "robot-7", Secret: "0123456789abcdefghijklmnopqrstuvwxyz"})
		require.NoError(t, err)
		require.Equal(t, 1, calls)
	})
}
