package apikey_test

import (
	"context"
	"math/rand"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestChangesOfAVersion(t *testing.T) {
	for name, change := range map[string]func(r *rig, version int64, k apikey.Key) error{
		"retire": func(r *rig, version int64, k apikey.Key) error {
			_, err := r.Retire(r.t.Context(), owner, k.ID, k.Credentials[0].ID, version)
			return err
		},
		"disable": func(r *rig, version int64, k apikey.Key) error {
			_, err := r.Disable(r.t.Context(), owner, k.ID, version)
			return err
		},
		"enable": func(r *rig, version int64, k apikey.Key) error {
			_, err := r.Enable(r.t.Context(), owner, k.ID, version)
			return err
		},
		"delete": func(r *rig, version int64, k apikey.Key) error { return r.Delete(r.t.Context(), owner, k.ID, version) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			k, _ := r.create(owner, "team-a", "project.list")
			k, err := r.Update(t.Context(), owner, k.ID, apikey.Changes{Name: ptr("renamed")})
			require.NoError(t, err)
			before := len(r.events(store.EventQuery{}))
			for _, stale := range []int64{-1, 1, 3} {
				require.ErrorIs(t, r.note(change(r, stale, k)), store.ErrConflict)
			}
			require.Len(t, r.events(store.EventQuery{}), before)
			require.NoError(t, change(r, 2, k))
		})
		t.Run(name+" revokes no token of what is not changed", func(t *testing.T) {
			r := newRig(t)
			k, secret := r.create(owner, "team-a", "project.list")
			grant := r.mustLogin(k.ID, secret)
			require.ErrorIs(t, change(r, 7, k), store.ErrConflict)
			require.False(t, r.revoked(grant))
		})
	}
}

func TestFindOnce(t *testing.T) {
	r := newRig(t)
	once := store.OnceID{Space: "s", ID: "one", Value: "of two parts", Expires: noon.Add(time.Hour)}
	_, _, err := r.FindOnce(t.Context(), once)
	require.ErrorIs(t, err, store.ErrNotFound)
	k, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Once = &once })
	id, value, err := r.FindOnce(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, []string{k.ID, "of two parts"}, []string{id, value})
	_, _, err = r.FindOnce(t.Context(), store.OnceID{Space: "other", ID: "one"})
	require.ErrorIs(t, err, store.ErrNotFound)
	r.clock.Advance(time.Hour)
	_, _, err = r.FindOnce(t.Context(), once)
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestSpentInOneWrite tests that the value of a one-time id is written together
// with the change.
func TestSpentInOneWrite(t *testing.T) {
	calls := map[string]int{}
	r := rigOn(t, harness.Tapped(memstore.New(), func(_ context.Context, call string) error {
		calls[call]++
		return nil
	}, "OnceIDs.Spend", "Keys.Create", "Keys.Update", "Events.Append"))
	once := store.OnceID{Space: "s", ID: "one", Value: "mine", Expires: noon.Add(time.Hour)}
	k, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Once = &once })
	_, _, err := r.Create(t.Context(), owner, apikey.Spec{Workspace: "team-a", Name: "again", Once: &once})
	require.ErrorIs(t, err, store.ErrExists)
	id, value, err := r.FindOnce(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, []string{k.ID, "mine"}, []string{id, value})
	once.ID = "two"
	_, _, err = r.Rotate(t.Context(), owner, k.ID, apikey.Rotation{Once: &once})
	require.NoError(t, err)
	id, _, err = r.FindOnce(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, k.ID, id)
	require.Equal(t, map[string]int{"Keys.Create": 2, "Keys.Update": 1}, calls)
}

// TestPreviewsNeedRights tests that an actor cannot preview the keys or rules of
// others.
func TestPreviewsNeedRights(t *testing.T) {
	r := newRig(t)
	k, _ := r.create(admin, "team-b", "project.list")
	_, err := r.PreviewSettings(t.Context(), owner, store.InstanceSettings{}, nil, 0)
	require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	sees, _ := r.create(admin, "team-a", "admin.keys.list")
	_, err = r.PreviewSettings(t.Context(), apikey.ByKey(sees.ID, perms("admin.keys.list"), ""), store.InstanceSettings{}, nil, 0)
	require.ErrorAs(t, err, new(*apikey.ForbiddenError), "a key that may list all keys is no administrator")
	_, err = r.Outdated(t.Context(), apikey.ByKey(sees.ID, perms("admin.keys.list"), ""), nil, 0)
	require.ErrorAs(t, err, new(*apikey.ForbiddenError), "a key that may list all keys is no administrator")
	_, err = r.PreviewWorkspace(t.Context(), owner, store.Workspace{ID: "team-a"}, nil, 0)
	require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	_, err = r.PreviewWorkspace(t.Context(), admin, store.Workspace{}, nil, 0)
	require.ErrorAs(t, err, new(*apikey.InvalidError), "an empty workspace is not all of them")
	_, _, err = r.Workspace(t.Context(), owner, "team-b")
	require.ErrorIs(t, err, store.ErrNotFound, "B20")
	_, err = r.Usage(t.Context(), owner, k.ID, noon.AddDate(0, 0, -1), noon)
	require.ErrorIs(t, err, store.ErrNotFound, "B20")
}

// TestPreviewIsExact tests with random rules and keys that a change of settings
// moves the end of exactly those keys that its preview named, to the instants that
// it named.
func TestPreviewIsExact(t *testing.T) {
	random := rand.New(rand.NewSource(5))
	days := func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
	anyRules := func() store.Rules {
		rules := store.Rules{RequireExpiry: random.Intn(2) == 0}
		if random.Intn(3) > 0 {
			rules.MaxLifetime = days(1 + random.Intn(60))
		}
		if random.Intn(3) > 0 {
			rules.EnforcedFrom = noon.Add(days(random.Intn(80) - 20))
		}
		return rules
	}
	for range 40 {
		r := newRig(t)
		secrets, ends := map[string]apikey.Secret{}, map[string]time.Time{}
		for _, workspace := range []string{"team-a", "team-b"} {
			for range 2 {
				k, secret := r.create(admin, workspace, "", func(s *apikey.Spec) {
					if random.Intn(2) == 0 {
						s.Expiry = apikey.Expiry{At: noon.Add(days(5 + random.Intn(60)))}
					}
				})
				secrets[k.ID] = secret
			}
			r.clock.Advance(days(random.Intn(3)))
		}
		w, _, err := r.Workspace(t.Context(), admin, "team-a")
		require.NoError(t, err)
		w.Rules = anyRules()
		_, err = r.SaveWorkspace(t.Context(), admin, w)
		require.NoError(t, err)
		for round := range 2 {
			wanted, err := r.Settings(t.Context(), admin)
			require.NoError(t, err)
			wanted.Rules = anyRules()
			page, err := r.PreviewSettings(t.Context(), admin, wanted, nil, 0)
			require.NoError(t, err)
			named := map[string]time.Time{}
			for _, effect := range page.Keys {
				if round > 0 {
					require.Equal(t, ends[effect.Key.ID], sinceNow(r, effect.Before))
				}
				named[effect.Key.ID] = effect.After
			}
			_, err = r.SaveSettings(t.Context(), admin, wanted)
			require.NoError(t, err)
			now := r.clock.Now()
			for id, secret := range secrets {
				before := ends[id]
				ends[id] = r.lastLogin(id, secret)
				if after, ok := named[id]; ok {
					require.Equal(t, sinceNow(r, after), ends[id])
				} else if round > 0 {
					require.Equal(t, before, ends[id], "a key that the preview left out")
				}
				r.clock.Set(now)
			}
		}
	}
}

// sinceNow returns an end as a login sees it: an end in the past is now.
func sinceNow(r *rig, end time.Time) time.Time {
	if now := r.clock.Now(); !end.IsZero() && end.Before(now) {
		return now
	}
	return end
}

// lastLogin returns the instant from which no login succeeds, which is on a whole
// minute; zero if there is none within a year.
func (r *rig) lastLogin(id string, secret apikey.Secret) time.Time {
	now := r.clock.Now()
	passes := func(at time.Time) bool {
		r.clock.Set(at)
		_, err := r.Authenticate(r.t.Context(), apikey.Credentials{ID: id, Secret: secret.Reveal()})
		return err == nil
	}
	minutes := sort.Search(366*24*60, func(n int) bool { return !passes(now.Add(time.Duration(n) * time.Minute)) })
	if minutes == 366*24*60 {
		return time.Time{}
	}
	end := now.Add(time.Duration(minutes) * time.Minute)
	require.False(r.t, passes(end))
	return end
}

func TestPreviewRefusesWhatCannotBeSaved(t *testing.T) {
	r := newRig(t)
	bad := store.Rules{MaxKeys: -5}
	_, err := r.PreviewWorkspace(t.Context(), admin, store.Workspace{ID: "team-a", Rules: bad}, nil, 0)
	require.ErrorAs(t, err, new(*apikey.InvalidError))
	_, err = r.PreviewSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: bad}}, nil, 0)
	require.ErrorAs(t, err, new(*apikey.InvalidError))
}
