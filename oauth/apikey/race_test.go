package apikey_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestQuotaRace tests that the limit holds exactly if many replicas create keys at
// once.
func TestQuotaRace(t *testing.T) {
	const limit, replicas, each = 10, 3, 12
	for name, configure := range map[string]func(*apikey.Config){
		"B05 policy.MaxKeys": func(c *apikey.Config) { c.Policy = policy.MaxKeys(limit) },
		"B05 settings":       func(c *apikey.Config) { c.DefaultRules.MaxKeys = limit },
		"B05 the lower of both": func(c *apikey.Config) {
			c.Policy, c.DefaultRules.MaxKeys = policy.MaxKeys(limit), limit+5
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range harness.Rounds(6, 1000) {
				st := memstore.New()
				var made, denied atomic.Int64
				var wg sync.WaitGroup
				for range replicas {
					r := rigOn(t, st, configure)
					for range each {
						wg.Go(func() {
							_, _, err := r.tryCreate(owner, "team-a", "")
							var refused *policy.Denied
							switch {
							case err == nil:
								made.Add(1)
							case errors.As(err, &refused) && refused.Reason == "This workspace may hold at most 10 keys.":
								denied.Add(1)
							default:
								t.Error(err)
							}
						})
					}
				}
				wg.Wait()
				require.EqualValues(t, limit, made.Load())
				require.EqualValues(t, replicas*each-limit, denied.Load())
				page, err := st.Keys.List(t.Context(), store.KeyQuery{})
				require.NoError(t, err)
				require.Len(t, page.Keys, limit)
				events, err := st.Events.List(t.Context(), store.EventQuery{Limit: store.MaxPage})
				require.NoError(t, err)
				require.Len(t, events.Events, limit, "a failed creation leaves nothing")
			}
		})
	}
}

func TestQuota(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, func(c *apikey.Config) { c.DefaultRules.MaxKeys = 2 })
	one, _ := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(time.Second)} })
	two, _ := r.create(owner, "team-a", "")
	_, err := r.Disable(ctx, owner, two.ID, 0)
	require.NoError(t, err)
	r.clock.Advance(time.Hour)
	_, _, err = r.tryCreate(owner, "team-a", "")
	require.Error(t, err, "B05 disabled and expired keys count")
	r.create(admin, "team-b", "")
	require.NoError(t, r.Delete(ctx, owner, one.ID, 0))
	three, secret := r.create(owner, "team-a", "")
	w, _, err := r.Workspace(ctx, owner, "team-a")
	require.NoError(t, err)
	require.Equal(t, 2, w.Keys)
	w.Rules.MaxKeys = 1
	w, err = r.SaveWorkspace(ctx, admin, w)
	require.NoError(t, err)
	r.mustLogin(three.ID, secret)
	r.rotate(owner, three.ID, apikey.Rotation{})
	_, err = r.Enable(ctx, owner, two.ID, 0)
	require.NoError(t, err, "a lower limit disables no key")
	w.Rules.MaxKeys = store.Unlimited
	_, err = r.SaveWorkspace(ctx, admin, w)
	require.NoError(t, err)
	r.create(owner, "team-a", "")
	r.create(owner, "team-a", "")
}

// TestLoginDuringRotate tests that at every moment the old or the new secret works.
func TestLoginDuringRotate(t *testing.T) {
	for name, grace := range map[string]time.Duration{"B22 at once": 0, "B22 with grace": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *apikey.Config) { c.Budgets = apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1} })
				key, secret := r.create(owner, "team-a", "project.list")
				var olds, news atomic.Int64
				for round := range harness.Rounds(100, 10_000) {
					old, rotated := secret, make(chan struct{})
					var wg sync.WaitGroup
					for range 4 {
						wg.Go(func() {
							if grant, err := r.login(key.ID, old.Reveal()); err == nil {
								olds.Add(1)
								<-rotated
								if r.revoked(grant) != (grace == 0) {
									t.Errorf("round %d: a token of the old secret: revoked is %t", round, r.revoked(grant))
								}
								return
							} else if grace > 0 || !errors.Is(err, apikey.ErrInvalidCredentials) {
								t.Errorf("round %d: %v", round, err)
							}
							<-rotated
							if grant, err := r.login(key.ID, secret.Reveal()); err != nil || r.revoked(grant) {
								t.Errorf("round %d: neither secret works: %v", round, err)
							}
							news.Add(1)
						})
					}
					for range round % 4 { // give the logins a lead, on one processor too
						runtime.Gosched()
					}
					_, fresh, err := r.Rotate(context.Background(), owner, key.ID, apikey.Rotation{Grace: grace})
					require.NoError(t, err)
					secret = fresh
					close(rotated)
					wg.Wait()
					r.clock.Advance(grace)
				}
				t.Logf("%d logins with the old secret, %d with the new", olds.Load(), news.Load())
				require.Positive(t, olds.Load())
				r.keep(secret.Reveal())
			})
		})
	}
}

func TestTwoRotatesAtOnce(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(owner, "team-a", "")
	for range harness.Rounds(100, 10_000) {
		var wins, conflicts atomic.Int64
		var won sync.Map
		var wg sync.WaitGroup
		current, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		for i := range 2 {
			wg.Go(func() {
				_, secret, err := r.Rotate(context.Background(), owner, key.ID, apikey.Rotation{Changes: apikey.Changes{Version: current.Version}})
				switch {
				case err == nil:
					wins.Add(1)
					won.Store(i, secret)
				case errors.Is(err, store.ErrConflict) && secret.Reveal() == "":
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, wins.Load(), "B22 one wins")
		require.EqualValues(t, 1, conflicts.Load())
		won.Range(func(_, secret any) bool {
			r.mustLogin(key.ID, secret.(apikey.Secret))
			return true
		})
	}
}

// TestNoTokenAfterTheEnd logs in many times while a key ends: once the call has
// returned, every token from before, during or after it is revoked.
func TestNoTokenAfterTheEnd(t *testing.T) {
	ctx := context.Background()
	ways := map[string]func(r *rig, k apikey.Key, secret apikey.Secret) error{
		"Disable": func(r *rig, k apikey.Key, _ apikey.Secret) error {
			_, err := r.Disable(ctx, owner, k.ID, 0)
			return err
		},
		"Delete": func(r *rig, k apikey.Key, _ apikey.Secret) error { return r.Delete(ctx, owner, k.ID, 0) },
		"Rotate": func(r *rig, k apikey.Key, _ apikey.Secret) error {
			_, _, err := r.Rotate(ctx, owner, k.ID, apikey.Rotation{})
			return err
		},
		"Retire": func(r *rig, k apikey.Key, _ apikey.Secret) error {
			_, err := r.Retire(ctx, owner, k.ID, k.Credentials[0].ID, 0)
			return err
		},
		"RevokeSecret": func(r *rig, k apikey.Key, secret apikey.Secret) error {
			return r.RevokeSecret(ctx, apikey.Credentials{ID: k.ID, Secret: secret.Reveal()})
		},
		"Suspend":         func(r *rig, _ apikey.Key, _ apikey.Secret) error { return r.SetSuspended(ctx, admin, "team-a", true) },
		"DeleteWorkspace": func(r *rig, _ apikey.Key, _ apikey.Secret) error { return r.DeleteWorkspace(ctx, admin, "team-a") },
		"keys off": func(r *rig, _ apikey.Key, _ apikey.Secret) error {
			_, err := r.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
			return err
		},
	}
	for name, end := range ways {
		t.Run("B22 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tokens := 0
				for round := range harness.Rounds(5, 2_000) {
					r := newRig(t)
					key, secret := r.create(owner, "team-a", "project.list")
					login := func() (*apikey.Grant, error) { return r.login(key.ID, secret.Reveal()) }
					tokens += endMeanwhile(t, r, login, func() error { return end(r, key, secret) }, round)
				}
				t.Log(tokens, "tokens were issued meanwhile")
			})
		})
	}
}

// TestNoTokenAfterTheEndOfAPublicKey is TestNoTokenAfterTheEnd for logins with a public
// key, in a key that has others.
func TestNoTokenAfterTheEndOfAPublicKey(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(r *rig, k apikey.Key, id string) error{
		"Retire": func(r *rig, k apikey.Key, id string) error { return errOf(r.Retire(ctx, owner, k.ID, id, 0)) },
		"AddCredential": func(r *rig, k apikey.Key, id string) error {
			spec := aPublicKey("next")
			spec.Replaces = id
			return errOf(r.AddCredential(ctx, owner, k.ID, spec))
		},
		"DisableAllBy": func(r *rig, _ apikey.Key, _ string) error { return errOf(r.DisableAllBy(ctx, admin, manager.Ref())) },
	} {
		t.Run("B22 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for round := range harness.Rounds(5, 2_000) {
					r := newRig(t, trusting)
					key, _ := r.create(owner, "team-a", "project.list")
					spec, private := withPrivate("first")
					id := last(r.add(manager, key.ID, spec)).ID
					login := func() (*apikey.Grant, error) { return r.assert(key.ID, private) }
					endMeanwhile(t, r, login, func() error { return end(r, key, id) }, round)
				}
			})
		})
	}
}

func endMeanwhile(t *testing.T, r *rig, login func() (*apikey.Grant, error), end func() error, round int) int {
	var mu sync.Mutex
	var tokens []*apikey.Grant
	var stop atomic.Bool
	var wg sync.WaitGroup
	started := make(chan struct{}, 3)
	for range 3 {
		wg.Go(func() {
			for first := true; first || !stop.Load(); first = false {
				grant, err := login()
				if first {
					started <- struct{}{}
				}
				if err != nil {
					return
				}
				mu.Lock()
				tokens = append(tokens, grant)
				mu.Unlock()
			}
		})
	}
	<-started
	err := end()
	if _, loginErr := login(); loginErr == nil {
		t.Errorf("round %d: a login after the end works", round)
	}
	stop.Store(true)
	wg.Wait()
	require.NoError(t, err)
	for _, token := range tokens {
		if !r.revoked(token) {
			t.Fatalf("round %d: a token with epochs %v of %d outlives the end", round, token.Epochs, len(tokens))
		}
	}
	return len(tokens)
}

// TestDisableWinsAgainstChanges tests that Disable is tried again until it succeeds
// while the key keeps changing.
func TestDisableWinsAgainstChanges(t *testing.T) {
	for range 50 {
		r := newRig(t)
		key, secret := r.create(owner, "team-a", "")
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 20 {
				_, _ = r.Update(context.Background(), owner, key.ID, apikey.Changes{Name: ptr(string(rune('a' + i)))})
			}
		})
		_, err := r.Disable(t.Context(), owner, key.ID, 0)
		wg.Wait()
		require.NoError(t, err)
		_, err = r.loginFor(key.ID, secret.Reveal(), scope.Set{})
		require.Error(t, err)
	}
}
