package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestLoginCosts(t *testing.T) {
	var c counted
	r := rigOn(t, c.around(memstore.New()))
	key, secret := r.create(admin, "team-a", "project.list")
	for range 3 {
		r.rotate(admin, key.ID, apikey.Rotation{Grace: time.Hour})
	}
	wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
	for _, tc := range []struct {
		name, id, secret string
		want             error
		reads, hashes    int64
	}{
		{"a login is one read and one hash, whichever of its secrets", key.ID, secret.Reveal(), nil, 1, 1},
		{"B02 a wrong secret: the same", key.ID, wrong, apikey.ErrInvalidCredentials, 1, 1},
		{"B02 an unknown id: the same", "no-such-key", wrong, apikey.ErrInvalidCredentials, 1, 1},
		{"B24 a typo: no read, no hash", key.ID, secret.Reveal()[:51] + other(secret.Reveal()[51]), apikey.ErrInvalidCredentials, 0, 0},
		{"B24 cut off", key.ID, secret.Reveal()[:40], apikey.ErrInvalidCredentials, 0, 0},
		{"B24 empty", key.ID, "", apikey.ErrInvalidCredentials, 0, 0},
		{"B24 another prefix", key.ID, "xx" + secret.Reveal()[2:], apikey.ErrInvalidCredentials, 0, 0},
		{"B24 very long", key.ID, strings.Repeat("x", 1<<20), apikey.ErrInvalidCredentials, 0, 0},
		{"no id", "", wrong, apikey.ErrInvalidCredentials, 0, 0},
		{"an id that no key can have", key.ID + "\x00", wrong, apikey.ErrInvalidCredentials, 0, 0},
		{"a very long id", strings.Repeat("x", 1<<20), wrong, apikey.ErrInvalidCredentials, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.reads.Store(0)
			c.writes.Store(0)
			before := apikey.Hashes(r.Service)
			_, err := r.login(tc.id, tc.secret)
			require.ErrorIs(t, err, tc.want)
			require.Equal(t, tc.reads, c.reads.Load(), "reads")
			require.Equal(t, tc.hashes, apikey.Hashes(r.Service)-before, "hashes")
			require.Zero(t, c.writes.Load(), "writes")
		})
	}
}

// randomFrom is a source of bytes that depends on the seed alone.
func other(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func randomFrom(seed string) io.Reader {
	return bytes.NewReader(bytes.Repeat([]byte(seed), 100))
}

// TestLifecycle logs in to keys in every state, at the exact instants.
func TestLifecycle(t *testing.T) {
	ctx := context.Background()
	end := noon.Add(time.Hour)
	expires := func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: end} }
	at := func(d time.Duration) func(*rig, apikey.Key) {
		return func(r *rig, _ apikey.Key) { r.clock.Set(end.Add(d)) }
	}
	must := func(t testing.TB, err error) {
		t.Helper()
		require.NoError(t, err)
	}
	for _, tc := range []struct {
		name   string
		spec   func(*apikey.Spec)
		do     func(r *rig, k apikey.Key)
		reason string // of the refusal; "unknown": as for an unknown key; "": works
	}{
		{"live", nil, func(*rig, apikey.Key) {}, ""},
		{"1 ms before its end", expires, at(-time.Millisecond), ""},
		{"at its end", expires, at(0), "expired"},
		{"1 ms after its end", expires, at(time.Millisecond), "expired"},
		{"on the last second of its last day", func(s *apikey.Spec) {
			s.Expiry, _ = apikey.ParseExpiry("2026-07-01")
		}, func(r *rig, _ apikey.Key) { r.clock.Set(time.Date(2026, 7, 1, 23, 59, 59, 0, time.UTC)) }, ""},
		{"when its last day is over", func(s *apikey.Spec) {
			s.Expiry, _ = apikey.ParseExpiry("2026-07-01")
		}, func(r *rig, _ apikey.Key) { r.clock.Set(time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC)) }, "expired"},
		{"disabled", nil, func(r *rig, k apikey.Key) {
			_, err := r.Disable(ctx, owner, k.ID, 0)
			must(r.t, err)
		}, "disabled"},
		{"enabled again", nil, func(r *rig, k apikey.Key) {
			_, err := r.Disable(ctx, owner, k.ID, 0)
			must(r.t, err)
			_, err = r.Enable(ctx, owner, k.ID, 0)
			must(r.t, err)
		}, ""},
		{"deleted", nil, func(r *rig, k apikey.Key) { must(r.t, r.Delete(ctx, owner, k.ID, 0)) }, "unknown"},
		{"secret retired", nil, func(r *rig, k apikey.Key) {
			_, err := r.Retire(ctx, owner, k.ID, k.Credentials[0].ID, 0)
			must(r.t, err)
		}, "unknown"},
		{"rotated", nil, func(r *rig, k apikey.Key) { r.rotate(owner, k.ID, apikey.Rotation{}) }, "unknown"},
		{"rotated, 1 s before the grace ends", nil, func(r *rig, k apikey.Key) {
			r.rotate(owner, k.ID, apikey.Rotation{Grace: time.Hour})
			r.clock.Set(end.Add(-time.Second))
		}, ""},
		{"rotated, when the grace has ended", nil, func(r *rig, k apikey.Key) {
			r.rotate(owner, k.ID, apikey.Rotation{Grace: time.Hour})
			r.clock.Set(end)
		}, "unknown"},
		{"rotated twice, when the first grace has ended", nil, func(r *rig, k apikey.Key) {
			r.rotate(owner, k.ID, apikey.Rotation{Grace: time.Hour})
			r.rotate(owner, k.ID, apikey.Rotation{Grace: 2 * time.Hour})
			r.clock.Set(end)
		}, "unknown"},
		{"prolonged by a rotation, after the end it had", expires, func(r *rig, k apikey.Key) {
			r.rotate(owner, k.ID, apikey.Rotation{Grace: 2 * time.Hour, Changes: apikey.Changes{Expiry: &apikey.Expiry{}}})
			r.clock.Set(end)
		}, "unknown"},
		{"workspace suspended", nil, func(r *rig, _ apikey.Key) { must(r.t, r.SetSuspended(ctx, admin, "team-a", true)) }, "suspended"},
		{"another workspace suspended", nil, func(r *rig, _ apikey.Key) { must(r.t, r.SetSuspended(ctx, admin, "team-b", true)) }, ""},
		{"workspace resumed", nil, func(r *rig, _ apikey.Key) {
			must(r.t, r.SetSuspended(ctx, admin, "team-a", true))
			must(r.t, r.SetSuspended(ctx, admin, "team-a", false))
		}, ""},
		{"workspace deleted", nil, func(r *rig, _ apikey.Key) { must(r.t, r.DeleteWorkspace(ctx, admin, "team-a")) }, "unknown"},
		{"owner removed", nil, func(r *rig, _ apikey.Key) {
			_, err := r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "owner", ID: "olga"})
			must(r.t, err)
		}, "disabled"},
		{"another owner removed", nil, func(r *rig, _ apikey.Key) {
			_, err := r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "owner", ID: "otto"})
			must(r.t, err)
		}, ""},
		{"keys switched off", nil, func(r *rig, _ apikey.Key) {
			_, err := r.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
			must(r.t, err)
		}, "keys_off"},
		{"keys switched on again", nil, func(r *rig, _ apikey.Key) {
			saved, err := r.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
			must(r.t, err)
			saved.KeysOff = false
			_, err = r.SaveSettings(ctx, admin, saved)
			must(r.t, err)
		}, ""},
	} {
		t.Run("B06 "+tc.name, func(t *testing.T) {
			r := newRig(t)
			if tc.spec == nil {
				tc.spec = func(*apikey.Spec) {}
			}
			key, secret := r.create(owner, "team-a", "project.list", tc.spec)
			before := r.mustLogin(key.ID, secret)
			require.False(t, r.revoked(before))
			tc.do(r, key)
			grant, err := r.login(key.ID, secret.Reveal())
			var refused *apikey.RefusedError
			switch {
			case tc.reason == "":
				require.NoError(t, err)
				require.False(t, r.revoked(grant))
			case tc.reason == "unknown":
				require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
				require.True(t, r.revoked(before))
			case errors.As(err, &refused):
				require.Equal(t, tc.reason, refused.Reason)
				require.NotEmpty(t, refused.Description)
				require.Equal(t, []string{tc.reason}, r.reasons())
				require.True(t, r.revoked(before) || tc.reason == "expired" && !before.Expires.After(end))
			default:
				t.Fatalf("got %v", err)
			}
			// With a wrong secret the error says nothing about this.
			_, err = r.login(key.ID, apikey.MustSecret(randomFrom("wrong"), "").Reveal())
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
		})
	}
}

func TestTokenNeverOutlives(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) { c.TokenLifetime = time.Hour })
	key, old := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(30*time.Minute + 999*time.Millisecond)} })
	require.Equal(t, noon.Add(30*time.Minute), r.mustLogin(key.ID, old).Expires, "its key, cut to the second")
	login, err := r.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: old.Reveal()})
	require.NoError(t, err)
	login.Key().Credentials[0].ID = "changed in a copy"
	shown, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Equal(t, shown, login.Key())
	r.rotate(owner, key.ID, apikey.Rotation{Grace: 10 * time.Minute})
	require.Equal(t, noon.Add(10*time.Minute), r.mustLogin(key.ID, old).Expires, "the grace of its secret")
	r.clock.Advance(900 * time.Millisecond)
	grant := r.mustLogin(key.ID, old)
	require.Equal(t, noon, grant.IssuedAt, "whole seconds")
	require.Equal(t, noon.Add(10*time.Minute), grant.Expires)
}

// TestClockStepsBack tests that nothing that ended works again if the clock is set
// back.
func TestClockStepsBack(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	r.clock.Advance(time.Hour)
	grant := r.mustLogin(key.ID, secret)
	require.NoError(t, r.Flush(t.Context()))
	_, fresh := r.rotate(owner, key.ID, apikey.Rotation{})
	_, err := r.Disable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	r.clock.Advance(-2 * time.Hour)
	require.True(t, r.revoked(grant), "B08")
	_, err = r.login(key.ID, secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B08 a retired secret")
	_, err = r.login(key.ID, fresh.Reveal())
	require.IsType(t, &apikey.RefusedError{}, err, "B08 a disabled key")
	_, err = r.Enable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	again := r.mustLogin(key.ID, fresh)
	require.False(t, r.revoked(again))
	require.True(t, r.revoked(grant))
	require.Equal(t, noon.Add(-time.Hour), again.IssuedAt)

	require.NoError(t, r.Flush(t.Context()))
	shown, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Equal(t, noon.Add(-time.Hour), shown.Credentials[0].LastUsed, "the new secret's")
	require.Equal(t, noon.Add(time.Hour), shown.LastUsed, "the last use does not go back")
}

func TestScopes(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "project.list project.save")
	for _, tc := range []struct{ name, asked, got, missing string }{
		{"none: all", "", "project.list project.save", ""},
		{"one", "project.save", "project.save", ""},
		{"one too many", "project.delete project.save", "", "project.delete"},
		{"unknown", "nonsense", "", "nonsense"},
		{"B21 another case", "Project.list", "", "Project.list"},
		{"B21 a wildcard", "project.*", "", "project.*"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			grant, err := r.loginFor(key.ID, secret.Reveal(), perms(tc.asked))
			if tc.missing == "" {
				require.NoError(t, err)
				require.Equal(t, tc.got, grant.Permissions.String())
				return
			}
			var missing *apikey.RefusedError
			require.ErrorAs(t, err, &missing)
			require.Equal(t, tc.missing, missing.Missing.String())
			require.Equal(t, "scope", r.reasons()[len(r.reasons())-1])
		})
	}
}

// TestBruteForce tests that the attacker is throttled and the victim is not.
func TestBruteForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.RefuseAfter = 0 }) // the default
		key, secret := r.create(owner, "team-a", "")
		wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
		attempt := func(c apikey.Credentials) error {
			_, err := r.Authenticate(t.Context(), c)
			return err
		}
		var throttled, refused atomic.Int64
		var wg sync.WaitGroup
		tries := harness.Rounds(25, 250)
		for range 40 {
			wg.Go(func() {
				for range tries {
					var limit *apikey.ThrottledError
					switch err := attempt(apikey.Credentials{ID: key.ID, Secret: wrong, Address: addrA}); {
					case errors.As(err, &limit):
						throttled.Add(1)
					case errors.Is(err, apikey.ErrInvalidCredentials):
						refused.Add(1)
					}
					if err := attempt(apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: addrB}); err != nil {
						t.Error("B04 the victim is refused", err)
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 60, refused.Load(), "B04")
		require.EqualValues(t, 40*tries-60, throttled.Load(), "B04")
		observed := map[string]int{}
		for _, reason := range r.reasons() {
			observed[reason]++
		}
		require.Equal(t, map[string]int{"unknown_or_wrong": 60, "throttled": 40*tries - 60}, observed)
		require.NoError(t, attempt(apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: addrA}), "B04 a correct secret is never throttled")
		require.ErrorIs(t, attempt(apikey.Credentials{ID: key.ID, Secret: wrong, Address: addrB}), apikey.ErrInvalidCredentials, "B04 another address has its own budget")
		var limit *apikey.ThrottledError
		require.ErrorAs(t, attempt(apikey.Credentials{ID: key.ID, Secret: wrong, Address: addrA}), &limit)
		require.Equal(t, time.Minute/120, limit.RetryAfter, "the whole budget of the address is used up too")
		r.clock.Advance(time.Second)
		require.ErrorIs(t, attempt(apikey.Credentials{ID: key.ID, Secret: wrong, Address: addrA}), apikey.ErrInvalidCredentials, "B04 after the wait")
	})
}

func TestPeppers(t *testing.T) {
	st := memstore.New()
	with := func(peppers ...apikey.Pepper) *rig {
		return rigOn(t, st, func(c *apikey.Config) { c.Peppers = peppers })
	}
	digest := func(id string) string {
		found, err := st.Keys.Lookup(t.Context(), id)
		require.NoError(t, err)
		return found.Key.Credentials[0].Digest
	}
	key, secret := with().create(admin, "team-a", "")
	require.Regexp(t, `^sha256\$0\$`, digest(key.ID))
	version := key.Version
	with(apikey.NoPepper(), pepper1).mustLogin(key.ID, secret)
	require.Regexp(t, `^sha256\$0\$`, digest(key.ID), "B31 a pepper that is listed last is not used yet")
	with(pepper1, apikey.NoPepper()).mustLogin(key.ID, secret)
	require.Regexp(t, `^hmac-sha256\$1\$`, digest(key.ID), "B01 rewritten under the new pepper")
	with(apikey.NoPepper(), pepper1).mustLogin(key.ID, secret)
	require.Regexp(t, `^hmac-sha256\$1\$`, digest(key.ID), "B31 and not back")
	r := with(pepper3, pepper1, apikey.NoPepper())
	r.mustLogin(key.ID, secret)
	require.Regexp(t, `^hmac-sha256\$3\$`, digest(key.ID))
	require.NoError(t, r.Prune(t.Context()))
	with(pepper3).mustLogin(key.ID, secret)
	shown, err := with(pepper3).Get(t.Context(), admin, key.ID)
	require.NoError(t, err)
	require.Equal(t, version, shown.Version, "rewriting a digest is no change")

	blind := st
	blind.HostLists = memstore.New().HostLists // of a process that started before pepper 3 was used
	_, err = rigOn(t, blind).login(key.ID, secret.Reveal())
	require.ErrorIs(t, err, store.ErrUnavailable, "B01 a pepper that is missing is the host's fault, not the caller's")
	require.NotErrorIs(t, err, apikey.ErrInvalidCredentials)
	impostor := pepper3
	impostor.Key = pepper1.Key
	_, err = rigOn(t, blind, func(c *apikey.Config) { c.Peppers = []apikey.Pepper{impostor} }).login(key.ID, secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
}

// TestEditedRows tests that a digest matches only in its own record.
func TestEditedRows(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(admin, "team-a", "")
	victim, _ := r.create(admin, "team-b", "admin.project.list")
	found, err := r.store.Keys.Lookup(t.Context(), key.ID)
	require.NoError(t, err)
	target, err := r.store.Keys.Lookup(t.Context(), victim.ID)
	require.NoError(t, err)
	edited := target.Key
	edited.Credentials = found.Key.Credentials
	require.ErrorIs(t, r.store.Keys.Update(t.Context(), edited, store.Change{Now: noon}), store.ErrCredentialExists)
	without := found.Key
	without.Credentials = nil
	require.NoError(t, r.store.Keys.Update(t.Context(), without, store.Change{Now: noon}))
	require.NoError(t, r.store.Keys.Update(t.Context(), edited, store.Change{Now: noon}))
	_, err = r.login(victim.ID, secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B01 a digest moved to another row")

	require.NoError(t, r.store.Keys.Delete(t.Context(), "team-b", victim.ID, 0, noon, store.Change{Now: noon}))
	moved := found.Key
	moved.ID, moved.Workspace = "moved", "team-b"
	require.NoError(t, r.store.Keys.Create(t.Context(), moved, store.NoLimit, store.Change{Now: noon}))
	_, err = r.login("moved", secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B01 a row copied under another id")
}

func TestRandomFails(t *testing.T) {
	for name, random := range map[string]io.Reader{
		"B25 an error":   iotest.ErrReader(errors.New("no entropy")),
		"B25 short":      strings.NewReader("only a few bytes"),
		"B25 only zeros": bytes.NewReader(make([]byte, 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *apikey.Config) { c.Random = random })
			_, secret, err := r.tryCreate(admin, "team-a", "")
			require.Error(t, err)
			require.Empty(t, secret.Reveal())
			require.Empty(t, r.events(store.EventQuery{}))
		})
	}
}

func TestHostSuspendsAWorkspace(t *testing.T) {
	active, says := true, error(nil)
	r := newRig(t, func(c *apikey.Config) {
		c.Workspaces = func(context.Context, string) (bool, error) { return active, says }
	})
	key, secret := r.create(admin, "team-a", "")
	_, err := r.Disable(t.Context(), admin, key.ID, 0)
	require.NoError(t, err)
	active = false
	_, _, err = r.tryCreate(admin, "team-a", "")
	require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	_, err = r.Enable(t.Context(), admin, key.ID, 0)
	require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	active = true
	_, err = r.Enable(t.Context(), admin, key.ID, 0)
	require.NoError(t, err)
	active = false
	_, err = r.login(key.ID, secret.Reveal())
	var refused *apikey.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "suspended", refused.Reason)
	_, err = r.login(key.ID, apikey.MustSecret(randomFrom("wrong"), "").Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "the host is asked only if the secret is right")
	says = errors.New("the host's database is down")
	_, err = r.login(key.ID, secret.Reveal())
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotErrorIs(t, err, apikey.ErrInvalidCredentials)
	_, _, err = r.tryCreate(admin, "team-a", "")
	require.ErrorIs(t, err, store.ErrUnavailable)
	active, says = true, nil
	r.mustLogin(key.ID, secret)
}

// careless compares ids without case, as some databases do.
type careless struct{ store.Keys }

func (c careless) Lookup(ctx context.Context, id string) (store.Found, error) {
	return c.Keys.Lookup(ctx, strings.ToLower(id))
}

func TestIDsAreExact(t *testing.T) {
	st := memstore.New()
	key, secret := rigOn(t, st).create(owner, "team-a", "")
	st.Keys, st.Epochs = careless{st.Keys}, shared{st.Epochs}
	r := rigOn(t, st)
	r.keep(secret.Reveal())
	r.mustLogin(key.ID, secret)
	_, err := r.login(strings.ToUpper(key.ID), secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	_, err = r.Get(t.Context(), owner, strings.ToUpper(key.ID))
	require.ErrorIs(t, err, store.ErrNotFound)
}

func BenchmarkLogin(b *testing.B) {
	keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Options: apikey.Options{Peppers: []apikey.Pepper{pepper1}}})
	require.NoError(b, err)
	key, secret, err := keys.Create(b.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: perms("project.list project.save")})
	require.NoError(b, err)
	c := apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: addrA}
	b.ReportAllocs()
	for b.Loop() {
		login, err := keys.Authenticate(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := keys.Issue(b.Context(), login, apikey.Request{}); err != nil {
			b.Fatal(err)
		}
	}
}
