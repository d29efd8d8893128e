package apikey_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestIfVersion(t *testing.T) {
	for name, change := range map[string]func(r *rig, c apikey.Conditional, k store.Key) error{
		"retire": func(r *rig, c apikey.Conditional, k store.Key) error {
			_, err := c.RetireSecret(r.t.Context(), owner, k.ID, k.Secrets[0].ID)
			return err
		},
		"disable": func(r *rig, c apikey.Conditional, k store.Key) error {
			_, err := c.Disable(r.t.Context(), owner, k.ID)
			return err
		},
		"enable": func(r *rig, c apikey.Conditional, k store.Key) error {
			_, err := c.Enable(r.t.Context(), owner, k.ID)
			return err
		},
		"delete": func(r *rig, c apikey.Conditional, k store.Key) error { return c.Delete(r.t.Context(), owner, k.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			k, _ := r.create(owner, "team-a", "project.list")
			k, err := r.Update(t.Context(), owner, k.ID, apikey.Changes{Name: ptr("renamed")})
			require.NoError(t, err)
			before := len(r.events(store.EventQuery{}))
			for _, stale := range []int64{-1, 1, 3} {
				require.ErrorIs(t, r.note(change(r, r.IfVersion(stale), k)), store.ErrConflict)
			}
			require.Len(t, r.events(store.EventQuery{}), before)
			require.NoError(t, change(r, r.IfVersion(2), k))
		})
	}
}

func TestSpent(t *testing.T) {
	r := newRig(t)
	once := store.OnceID{Space: "s", ID: "one", Value: "of two parts", Expires: noon.Add(time.Hour)}
	_, _, err := r.Spent(t.Context(), once)
	require.ErrorIs(t, err, store.ErrNotFound)
	k, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Once = &once })
	id, value, err := r.Spent(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, []string{k.ID, "of two parts"}, []string{id, value})
	_, _, err = r.Spent(t.Context(), store.OnceID{Space: "other", ID: "one"})
	require.ErrorIs(t, err, store.ErrNotFound)
	r.clock.Add(time.Hour)
	_, _, err = r.Spent(t.Context(), once)
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestSpentElsewhere: one-time ids that live in another system than the keys
// are found there, too, and still spent once.
func TestSpentElsewhere(t *testing.T) {
	st := memstore.New()
	st.OnceIDs = memstore.New().OnceIDs
	r := rigOn(t, st)
	once := store.OnceID{Space: "s", ID: "one", Value: "mine", Expires: noon.Add(time.Hour)}
	k, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Once = &once })
	_, _, err := r.Create(t.Context(), owner, apikey.Spec{Workspace: "team-a", Name: "again", Once: &once})
	require.ErrorIs(t, err, store.ErrExists)
	id, value, err := r.Spent(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, []string{k.ID, "mine"}, []string{id, value})
	once.ID = "two"
	_, _, err = r.Rotate(t.Context(), owner, k.ID, apikey.Rotation{Once: &once})
	require.NoError(t, err)
	id, _, err = r.Spent(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, k.ID, id)
}

// TestReviewsAreForThoseWhoMaySee: no look at keys or rules of others.
func TestReviewsAreForThoseWhoMaySee(t *testing.T) {
	r := newRig(t)
	k, _ := r.create(admin, "team-b", "project.list")
	_, err := r.PreviewSettings(t.Context(), owner, store.Instance{}, nil, 0)
	require.ErrorIs(t, err, apikey.ErrForbidden)
	sees, _ := r.create(admin, "team-a", "admin.keys.list")
	_, err = r.PreviewSettings(t.Context(), apikey.ByKey(sees.ID, perms("admin.keys.list")), store.Instance{}, nil, 0)
	require.ErrorIs(t, err, apikey.ErrForbidden, "who sees all keys does not administer")
	_, err = r.PreviewWorkspace(t.Context(), owner, store.Workspace{ID: "team-a"}, nil, 0)
	require.ErrorIs(t, err, apikey.ErrForbidden)
	_, err = r.PreviewWorkspace(t.Context(), admin, store.Workspace{}, nil, 0)
	require.ErrorIs(t, err, apikey.ErrInvalid, "an empty workspace is not all of them")
	_, err = r.Violations(t.Context(), owner, "", nil, 0)
	require.ErrorIs(t, err, apikey.ErrForbidden)
	_, err = r.Violations(t.Context(), owner, "team-b", nil, 0)
	require.ErrorIs(t, err, store.ErrNotFound, "B20")
	_, err = r.Rules(t.Context(), owner, "team-b")
	require.ErrorIs(t, err, store.ErrNotFound, "B20")
	_, err = r.Usage(t.Context(), owner, k.ID, noon.AddDate(0, 0, -1), noon)
	require.ErrorIs(t, err, store.ErrNotFound, "B20")
}
