package apikey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// changing records the preconditions of the last change of a key.
type changing struct {
	store.Keys
	last *store.Change
}

func (c changing) Create(ctx context.Context, k store.Key, limit int, change store.Change) error {
	*c.last = change
	return c.Keys.Create(ctx, k, limit, change)
}

func (c changing) Update(ctx context.Context, k store.Key, change store.Change) error {
	*c.last = change
	return c.Keys.Update(ctx, k, change)
}

func (c changing) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, change store.Change) error {
	*c.last = change
	return c.Keys.Delete(ctx, workspace, id, version, at, change)
}

// operation is a change that a key can make of others.
type operation struct {
	name  string
	gives bool // the settings are a precondition too
	do    func(r *rig, a apikey.Actor, target apikey.Key) error
}

var operations = []operation{
	{"Create", true, func(r *rig, a apikey.Actor, _ apikey.Key) error {
		_, _, err := r.tryCreate(a, "team-a", "")
		return err
	}},
	{"Import", true, func(r *rig, a apikey.Actor, _ apikey.Key) error {
		return errOf(r.Import(context.Background(), a, apikey.ImportSpec{
			Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "legacy", Secret: strings.Repeat("aB3-", 12),
		}))
	}},
	{"Rotate", true, func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, secret, err := r.Rotate(context.Background(), a, k.ID, apikey.Rotation{})
		if err == nil {
			r.keep(secret.Reveal())
		}
		return err
	}},
	{"Update", true, func(r *rig, a apikey.Actor, k apikey.Key) error {
		return errOf(r.Update(context.Background(), a, k.ID, apikey.Changes{Name: ptr("renamed")}))
	}},
	{"Enable", true, func(r *rig, a apikey.Actor, k apikey.Key) error {
		return errOf(r.Enable(context.Background(), a, k.ID, 0))
	}},
	{"Disable", false, func(r *rig, a apikey.Actor, k apikey.Key) error {
		return errOf(r.Disable(context.Background(), a, k.ID, 0))
	}},
	{"Retire", false, func(r *rig, a apikey.Actor, k apikey.Key) error {
		return errOf(r.Retire(context.Background(), a, k.ID, k.Credentials[0].ID, 0))
	}},
	{"AddCredential", true, func(r *rig, a apikey.Actor, k apikey.Key) error {
		return errOf(r.AddCredential(context.Background(), a, k.ID, aPublicKey("laptop")))
	}},
	{"Delete", false, func(r *rig, a apikey.Actor, k apikey.Key) error { return r.Delete(context.Background(), a, k.ID, 0) }},
}

// stage is a service in which a key changes another one.
type stage struct {
	*rig
	direct  *rig // on the same store, without the interference
	creator apikey.Key
	target  apikey.Key
}

func newStage(t *testing.T, o operation, disturb func(ctx context.Context, call string) error, keys func(store.Keys) store.Keys) *stage {
	t.Helper()
	imported := func(c *apikey.Config) { c.Imported = true }
	st := memstore.New()
	s := &stage{direct: rigOn(t, st, imported)}
	if keys != nil {
		st.Keys = keys(st.Keys)
	}
	s.rig = rigOn(t, harness.Tapped(st, disturb, "Keys.Create", "Keys.Update", "Keys.Delete"), imported)
	s.creator, _ = s.direct.create(admin, "team-a", "keys.save keys.delete")
	s.target, _ = s.direct.create(owner, "team-a", "")
	if o.name == "Enable" {
		require.NoError(t, errOf(s.direct.Disable(t.Context(), owner, s.target.ID, 0)))
	}
	return s
}

func undisturbed(context.Context, string) error { return nil }

// TestPreconditionsOfChanges tests that a change by a key has the key as a
// precondition, and that a change which gives something has the settings too.
func TestPreconditionsOfChanges(t *testing.T) {
	for _, o := range operations {
		for _, byKey := range []bool{true, false} {
			name := "B27 " + o.name + " by a person"
			if byKey {
				name = "B27 " + o.name + " by a key"
			}
			t.Run(name, func(t *testing.T) {
				var last store.Change
				s := newStage(t, o, undisturbed, func(k store.Keys) store.Keys { return changing{k, &last} })
				_, err := s.direct.SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{MaxKeys: 9}}})
				require.NoError(t, err)
				for range 2 {
					require.NoError(t, s.direct.SetSuspended(t.Context(), admin, "team-a", true))
					require.NoError(t, s.direct.SetSuspended(t.Context(), admin, "team-a", false))
				}
				_, err = s.direct.Update(t.Context(), admin, s.creator.ID, apikey.Changes{Name: ptr("leaked")})
				require.NoError(t, err)
				actor, want := owner, []store.Precondition(nil)
				if byKey {
					actor = asKey(s.creator)
					want = append(want, store.Precondition{Key: s.creator.ID, Version: 2})
				}
				if o.gives {
					want = append(want, store.Precondition{Workspace: "team-a", Version: 4}, store.Precondition{Version: 1})
				}
				require.NoError(t, o.do(s.rig, actor, s.target))
				require.ElementsMatch(t, want, last.Preconditions)
			})
		}
	}
	t.Run("B27 Create in another workspace than the key's own", func(t *testing.T) {
		var last store.Change
		s := newStage(t, operation{}, undisturbed, func(k store.Keys) store.Keys { return changing{k, &last} })
		creator, _ := s.direct.create(admin, "team-b", "admin.keys.save")
		require.NoError(t, operations[0].do(s.rig, asKey(creator), apikey.Key{}))
		require.ElementsMatch(t, []store.Precondition{{Key: creator.ID, Version: 1}, {Workspace: "team-a"}, {Workspace: "team-b"}, {}}, last.Preconditions)
	})
	t.Run("B27 a restored key", func(t *testing.T) {
		var last store.Change
		s := newStage(t, operation{}, undisturbed, func(k store.Keys) store.Keys { return changing{k, &last} })
		s.restore(store.Found{Key: store.Key{ID: "k", Workspace: "team-a", Name: "ci", Created: noon}})
		require.ElementsMatch(t, []store.Precondition{{Workspace: "team-a"}, {}}, last.Preconditions)
	})
}

// TestDecidedAgain changes a precondition of a change between its reads and its
// write.
func TestDecidedAgain(t *testing.T) {
	ctx := t.Context()
	rules := func(r *rig, change func(*store.InstanceSettings)) error {
		now, err := r.Settings(ctx, admin)
		if err != nil {
			return err
		}
		change(&now)
		return errOf(r.SaveSettings(ctx, admin, now))
	}
	for _, o := range operations {
		for _, tc := range []struct {
			name      string
			meanwhile func(s *stage) error
			settings  bool // it is a change of settings, which only those that give ask
			want      func(*testing.T, error)
		}{
			{"its key was disabled", func(s *stage) error { return errOf(s.direct.Disable(ctx, admin, s.creator.ID, 0)) }, false, forbidden},
			{"its key was deleted", func(s *stage) error { return s.direct.Delete(ctx, admin, s.creator.ID, 0) }, false, forbidden},
			{"its key lost the right", func(s *stage) error {
				return errOf(s.direct.Update(ctx, admin, s.creator.ID, apikey.Changes{Permissions: ptr(perms("project.list"))}))
			}, false, func(t *testing.T, err error) {
				t.Helper()
				require.ErrorIs(t, err, store.ErrNotFound, "it has no right in the workspace")
			}},
			{"its key was renamed", func(s *stage) error {
				return errOf(s.direct.Update(ctx, admin, s.creator.ID, apikey.Changes{Name: ptr("renamed")}))
			}, false, succeeds},
			{"keys were switched off", func(s *stage) error {
				return rules(s.direct, func(in *store.InstanceSettings) { in.KeysOff = true })
			}, true, forbidden},
			{"the workspace was suspended", func(s *stage) error { return s.direct.SetSuspended(ctx, admin, "team-a", true) }, true, forbidden},
			{"settings were changed that say nothing of it", func(s *stage) error {
				return rules(s.direct, func(in *store.InstanceSettings) { in.Rules.MaxKeys = 100 })
			}, true, succeeds},
		} {
			t.Run("B27 "+o.name+": "+tc.name, func(t *testing.T) {
				var s *stage
				calls := 0
				s = newStage(t, o, func(context.Context, string) error {
					if calls++; calls == 1 {
						require.NoError(t, tc.meanwhile(s))
					}
					return nil
				}, nil)
				before := len(s.events(store.EventQuery{Key: s.target.ID}))
				err := s.note(o.do(s.rig, asKey(s.creator), s.target))
				if tc.settings && !o.gives {
					require.NoError(t, err, "a change that only takes away has no settings as a precondition")
					require.Equal(t, 1, calls)
					return
				}
				tc.want(t, err)
				if err != nil {
					require.Equal(t, 1, calls)
					require.Len(t, s.events(store.EventQuery{Key: s.target.ID}), before)
					return
				}
				require.Equal(t, 2, calls)
			})
		}
	}
}

func forbidden(t *testing.T, err error) {
	t.Helper()
	require.ErrorAs(t, err, new(*apikey.ForbiddenError))
}

func succeeds(t *testing.T, err error) {
	t.Helper()
	require.NoError(t, err)
}

func TestAttemptsAreBounded(t *testing.T) {
	for _, o := range operations {
		t.Run("B27 "+o.name, func(t *testing.T) {
			var s *stage
			calls := 0
			s = newStage(t, o, func(context.Context, string) error {
				calls++
				return errOf(s.direct.Update(t.Context(), admin, s.creator.ID, apikey.Changes{Name: ptr(strings.Repeat("x", calls))}))
			}, nil)
			require.ErrorIs(t, s.note(o.do(s.rig, asKey(s.creator), s.target)), store.ErrConflict)
			require.Equal(t, 100, calls)
		})
	}
}

// TestAnotherVersionIsNotRetried tests that a change with a version, and a
// rotation, fail if another call has just changed the key.
func TestAnotherVersionIsNotRetried(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		calls int
		do    func(*rig, apikey.Key) error
	}{
		"Update of a version": {1, func(r *rig, k apikey.Key) error {
			return errOf(r.Update(ctx, owner, k.ID, apikey.Changes{Name: ptr("mine"), Version: k.Version}))
		}},
		"Disable of a version": {1, func(r *rig, k apikey.Key) error { return errOf(r.Disable(ctx, owner, k.ID, k.Version)) }},
		"Delete of a version":  {1, func(r *rig, k apikey.Key) error { return r.Delete(ctx, owner, k.ID, k.Version) }},
		"Update":               {1, func(r *rig, k apikey.Key) error { return operations[3].do(r, owner, k) }},
		"Rotate":               {1, func(r *rig, k apikey.Key) error { return operations[2].do(r, owner, k) }},
		"AddCredential":        {1, func(r *rig, k apikey.Key) error { return operations[7].do(r, owner, k) }},
		"AddCredential of a version": {1, func(r *rig, k apikey.Key) error {
			spec := aPublicKey("laptop")
			spec.Version = k.Version
			return errOf(r.AddCredential(ctx, owner, k.ID, spec))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var s *stage
			calls := 0
			s = newStage(t, operation{}, func(context.Context, string) error {
				calls++
				_, _, err := s.direct.Rotate(ctx, owner, s.target.ID, apikey.Rotation{Grace: time.Hour})
				return err
			}, nil)
			require.ErrorIs(t, tc.do(s.rig, s.target), store.ErrConflict)
			require.Equal(t, tc.calls, calls)
			now, err := s.Get(ctx, owner, s.target.ID)
			require.NoError(t, err)
			require.Len(t, now.Credentials, 2)
		})
	}
}

// TestNarrowingChangesSucceed tests that a change which only takes away succeeds,
// whatever else changed of the key meanwhile.
func TestNarrowingChangesSucceed(t *testing.T) {
	for _, o := range operations {
		if o.gives {
			continue
		}
		t.Run("B22 "+o.name, func(t *testing.T) {
			var s *stage
			calls := 0
			s = newStage(t, o, func(context.Context, string) error {
				if calls++; calls > 3 {
					return nil
				}
				return errOf(s.direct.Update(t.Context(), owner, s.target.ID, apikey.Changes{Name: ptr(strings.Repeat("x", calls))}))
			}, nil)
			require.NoError(t, o.do(s.rig, owner, s.target))
			if o.name == "Delete" { // of whatever version
				require.Equal(t, 1, calls)
				return
			}
			require.Equal(t, 4, calls)
		})
	}
}

// TestBeforeSeesWhatIsStored tests that Spec.BeforeStore is called once, and again only
// if the key differs.
func TestBeforeSeesWhatIsStored(t *testing.T) {
	ctx := t.Context()
	later := apikey.Expiry{At: noon.Add(2 * time.Hour)}
	for name, tc := range map[string]struct {
		meanwhile apikey.Changes
		calls     int
	}{
		"the same key":     {apikey.Changes{Name: ptr("renamed")}, 1},
		"with another end": {apikey.Changes{Expiry: &later}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var s *stage
			var creator apikey.Key
			creations := 0
			s = newStage(t, operation{}, func(context.Context, string) error {
				if creations++; creations > 1 {
					return nil
				}
				return errOf(s.direct.Update(ctx, admin, creator.ID, tc.meanwhile))
			}, nil)
			creator, _ = s.direct.create(admin, "team-a", "keys.save", func(spec *apikey.Spec) { spec.Expiry = apikey.Expiry{At: noon.Add(time.Hour)} })
			var shown []apikey.Key
			var secrets []string
			key, secret := s.create(asKey(creator), "team-a", "", func(spec *apikey.Spec) {
				spec.BeforeStore = func(_ context.Context, k apikey.Key, secret apikey.Secret) error {
					shown, secrets = append(shown, k), append(secrets, secret.Reveal())
					return nil
				}
			})
			require.Equal(t, 2, creations)
			require.Len(t, shown, tc.calls)
			require.Equal(t, key, shown[len(shown)-1], "the last call has the key as it is stored")
			for i := range shown {
				require.Equal(t, key.ID, shown[i].ID)
				require.Equal(t, secret.Reveal(), secrets[i])
			}
			s.mustLogin(key.ID, secret)
		})
	}
	t.Run("the record of an imported secret is made once", func(t *testing.T) {
		var s *stage
		creations, calls := 0, 0
		s = newStage(t, operation{}, func(context.Context, string) error {
			if creations++; creations > 1 {
				return nil
			}
			return errOf(s.direct.Update(ctx, admin, s.creator.ID, apikey.Changes{Name: ptr("renamed")}))
		}, nil)
		_, err := s.Import(ctx, asKey(s.creator), apikey.ImportSpec{
			Spec: apikey.Spec{Workspace: "team-a", Name: "old", BeforeStore: func(context.Context, apikey.Key, apikey.Secret) error { calls++; return nil }},
			ID:   "legacy", Secret: "hunter2",
		})
		require.NoError(t, err)
		require.Equal(t, []int{2, 1}, []int{creations, calls})
	})
	t.Run("an error of its own is not retried", func(t *testing.T) {
		r, calls := newRig(t), 0
		_, _, err := r.tryCreate(owner, "team-a", "", func(spec *apikey.Spec) {
			spec.BeforeStore = func(context.Context, apikey.Key, apikey.Secret) error { calls++; return store.ErrConflict }
		})
		require.ErrorIs(t, err, store.ErrConflict)
		require.Equal(t, 1, calls)
	})
}

// TestALimitLoweredMeanwhile tests that the rules at the moment of the write apply.
func TestALimitLoweredMeanwhile(t *testing.T) {
	ctx := t.Context()
	for name, rules := range map[string]store.Rules{
		"B27 max_keys": {MaxKeys: 2}, "B27 require_expiry": {RequireExpiry: true}, "B27 max_lifetime": {MaxLifetime: time.Hour},
	} {
		for _, ofWorkspace := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				var s *stage
				calls := 0
				s = newStage(t, operation{}, func(context.Context, string) error {
					calls++
					if ofWorkspace {
						return errOf(s.direct.SaveWorkspace(ctx, admin, store.Workspace{ID: "team-a", Rules: rules}))
					}
					return errOf(s.direct.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{Rules: rules}}))
				}, nil)
				_, _, err := s.tryCreate(owner, "team-a", "")
				require.ErrorAs(t, err, new(*policy.Denied))
				require.Equal(t, 1, calls)
				page, err := s.List(ctx, admin, store.KeyQuery{})
				require.NoError(t, err)
				require.Len(t, page.Keys, 2)
			})
		}
	}
}
