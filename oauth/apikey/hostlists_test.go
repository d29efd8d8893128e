package apikey_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// lists are the lists that a host configures.
type lists struct {
	peppers   []apikey.Pepper
	prefixes  []string
	withdrawn []string
}

func (l lists) in(c *apikey.Config) {
	c.Peppers, c.SecretPrefixes, c.Withdrawn = l.peppers, l.prefixes, l.withdrawn
}

// start tries to start a service.
func start(t *testing.T, st store.Store, l lists) error {
	t.Helper()
	cfg := apikey.Config{Permissions: catalog, Logger: slog.New(slog.DiscardHandler)}
	l.in(&cfg)
	_, err := apikey.New(st, cfg)
	return err
}

func peppers(all ...apikey.Pepper) []apikey.Pepper { return all }

func used(t *testing.T, st store.Store) string {
	t.Helper()
	entries, err := st.HostLists.Entries(t.Context())
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, string(e.List)+" "+e.Name)
	}
	return strings.Join(all, ", ")
}

// TestStartWithoutWhatIsInUse tests that a process does not start without an entry
// of a list that a stored secret uses.
func TestStartWithoutWhatIsInUse(t *testing.T) {
	now := lists{peppers(pepper3, pepper1), []string{"new_", "old_"}, nil}
	other := pepper3
	other.Key = pepper5.Key
	for _, tc := range []struct {
		name string
		next lists
		want []string // in the error; none: it starts
	}{
		{"the same", now, nil},
		{"another order", lists{peppers(pepper1, pepper3), []string{"old_", "new_"}, nil}, nil},
		{"more of each", lists{peppers(pepper3, pepper5, apikey.NoPepper()), []string{"new_", "third_"}, nil}, nil},
		{"B31 without those that were never used", lists{peppers(pepper3), []string{"new_"}, nil}, nil},
		{"B31 without the pepper", lists{peppers(pepper1), []string{"new_"}, nil}, []string{
			"Config.Peppers lacks pepper 3, which is in use and has the fingerprint ", `name "pepper 3" in apikey.Options.Withdrawn`,
		}},
		{"B31 without any pepper", lists{nil, []string{"new_"}, nil}, []string{"Config.Peppers lacks pepper 3"}},
		{"B31 another key under the version", lists{peppers(other), []string{"new_"}, nil}, []string{
			"Config.Peppers: pepper 3 has the fingerprint ", "it is another key",
		}},
		{"B31 another key that is withdrawn as well", lists{peppers(other), []string{"new_"}, []string{"pepper 3"}}, []string{"Options.Withdrawn names pepper 3, which Config.Peppers lists"}},
		{"B31 without the prefix", lists{peppers(pepper3), []string{"old_"}, nil}, []string{"Config.SecretPrefixes lacks secret prefix new_, which is in use: list it"}},
		{"B31 without both", lists{peppers(pepper1), nil, nil}, []string{"lacks pepper 3", "lacks secret prefix new_"}},
		{"B31 the wrong one is withdrawn", lists{peppers(pepper1), []string{"new_"}, []string{"pepper 30", "pepper ", "secret prefix pepper 3"}}, []string{"lacks pepper 3"}},
		{"withdrawn by name", lists{peppers(pepper1), []string{"old_"}, []string{"pepper 3", "secret prefix new_"}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := memstore.New()
			rigOn(t, st, now.in).create(admin, "team-a", "")
			require.Equal(t, "peppers 3, secret_prefixes new_", used(t, st), "not an entry that is only listed")
			err := start(t, st, tc.next)
			if tc.want == nil {
				require.NoError(t, err)
			}
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			if err != nil {
				require.NotContains(t, err.Error(), string(pepper3.Key))
				require.NotContains(t, err.Error(), string(pepper5.Key))
			}
		})
	}
	t.Run("a listed prefix that is withdrawn", func(t *testing.T) {
		err := start(t, memstore.New(), lists{nil, []string{"a_", "b_"}, []string{"secret prefix b_"}})
		require.ErrorContains(t, err, "Options.Withdrawn names secret prefix b_, which Config.SecretPrefixes lists")
	})
	t.Run("B19 a store that cannot be reached", func(t *testing.T) {
		var tap storetest.Tap
		tap.Before(func(context.Context, string) error { return store.ErrUnavailable })
		require.ErrorIs(t, start(t, tap.Over(memstore.New()), lists{}), store.ErrUnavailable)
	})
}

// TestWhatIsRecorded tests that the store records an entry as in use before a
// digest or a secret that names it is written.
func TestWhatIsRecorded(t *testing.T) {
	all := lists{peppers(pepper3, pepper1, apikey.NoPepper()), []string{"new_", "old_"}, nil}
	imported := func(secret string) func(*testing.T, *rig) {
		return func(t *testing.T, r *rig) {
			t.Helper()
			_, err := r.Import(t.Context(), admin, apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "ci"}, ID: "brought", Secret: secret, Generated: len(secret) > 30})
			require.NoError(t, err)
		}
	}
	for _, tc := range []struct {
		name string
		do   func(*testing.T, *rig)
		want string
	}{
		{"nothing", func(*testing.T, *rig) {}, ""},
		{"create", func(_ *testing.T, r *rig) { r.create(admin, "team-a", "") }, "peppers 3, secret_prefixes new_"},
		{"import a secret of another system", imported("an imported secret, long enough"), "peppers 3"},
		{"import a slow digest", imported("guess"), ""},
		{"import a secret with the older prefix", imported(apikey.MustSecret(randomFrom("a"), "old_").Reveal()), "peppers 3, secret_prefixes old_"},
		{"restore", func(t *testing.T, r *rig) {
			from := newRig(t, lists{peppers(pepper1), []string{"old_"}, nil}.in)
			key, _ := from.create(admin, "team-a", "")
			restore(t, from, r, key.ID)
		}, "peppers 1, secret_prefixes old_"},
	} {
		t.Run("B31 "+tc.name, func(t *testing.T) {
			r := newRig(t, all.in, func(c *apikey.Config) { c.Imported = true })
			tc.do(t, r)
			require.Equal(t, tc.want, used(t, r.store))
		})
	}
	t.Run("B31 rotate, and a digest that a login rewrites", func(t *testing.T) {
		st := memstore.New()
		key, secret := rigOn(t, st, lists{peppers(apikey.NoPepper()), []string{"old_"}, nil}.in).create(admin, "team-a", "")
		require.Equal(t, "peppers 0, secret_prefixes old_", used(t, st))
		r := rigOn(t, st, all.in)
		r.mustLogin(key.ID, secret)
		require.Equal(t, "peppers 0, peppers 3, secret_prefixes old_", used(t, st))
		r.rotate(admin, key.ID, apikey.Rotation{})
		require.Equal(t, "peppers 0, peppers 3, secret_prefixes new_, secret_prefixes old_", used(t, st))
	})
	t.Run("B31 a secret whose entry cannot be recorded is not written", func(t *testing.T) {
		var tap storetest.Tap
		r := rigOn(t, tap.Over(memstore.New()), all.in)
		tap.Before(func(_ context.Context, call string) error {
			if call == "HostLists.Record" {
				return store.ErrUnavailable
			}
			return nil
		})
		_, _, err := r.tryCreate(admin, "team-a", "")
		require.ErrorIs(t, err, store.ErrUnavailable)
		page, err := r.List(t.Context(), admin, store.KeyQuery{})
		require.NoError(t, err)
		require.Empty(t, page.Keys)
	})
	t.Run("B31 two processes with different keys under one version", func(t *testing.T) {
		st := memstore.New()
		other := pepper3
		other.Key = pepper5.Key
		one := rigOn(t, st, lists{peppers(pepper3), nil, nil}.in)
		others := []*rig{ // nothing was in use when they started
			rigOn(t, st, lists{peppers(other), nil, nil}.in), rigOn(t, st, lists{peppers(other, pepper1), nil, nil}.in),
		}
		one.create(admin, "team-a", "")
		for _, two := range others {
			_, _, err := two.tryCreate(admin, "team-a", "")
			require.ErrorContains(t, err, "has the same version and another key")
			require.NotErrorIs(t, err, store.ErrConflict)
			require.ErrorContains(t, two.Prune(t.Context()), "Config.Peppers: pepper 3 has the fingerprint")
		}
	})
	t.Run("once for each process", func(t *testing.T) {
		var tap storetest.Tap
		r := rigOn(t, tap.Over(memstore.New()), all.in)
		for range 3 {
			r.create(admin, "team-a", "")
		}
		require.Equal(t, 1, tap.Take()["HostLists.Record"])
		require.NoError(t, r.Prune(t.Context()))
		r.create(admin, "team-a", "")
		require.Zero(t, tap.Take()["HostLists.Record"])
	})
}

func restore(t *testing.T, from, to *rig, id string) {
	t.Helper()
	put, err := to.Restorer(t.Context(), admin)
	require.NoError(t, err)
	for record, err := range from.Records(t.Context(), admin) {
		require.NoError(t, err)
		if record.Key.ID == id {
			require.NoError(t, put(record))
		}
	}
}

// TestRestoreAnUnknownPrefix tests that a secret that could not log in is not
// restored.
func TestRestoreAnUnknownPrefix(t *testing.T) {
	from := newRig(t, lists{peppers(pepper1), []string{"old_"}, nil}.in)
	from.create(admin, "team-a", "")
	put, err := newRig(t).Restorer(t.Context(), admin)
	require.NoError(t, err)
	for record, err := range from.Records(t.Context(), admin) {
		require.NoError(t, err)
		require.ErrorContains(t, put(record), "Config.SecretPrefixes")
	}
}

func TestPrefixes(t *testing.T) {
	st := memstore.New()
	key, secret := rigOn(t, st, lists{peppers(pepper1), []string{"old_"}, nil}.in).create(admin, "team-a", "")
	r := rigOn(t, st, lists{peppers(pepper1), []string{"new_", "old_"}, nil}.in)
	r.keep(secret.Reveal())
	r.mustLogin(key.ID, secret)
	newer, fresh := r.create(admin, "team-a", "")
	require.True(t, strings.HasPrefix(fresh.Reveal(), "new_"), "B31 new secrets begin with the first")
	back := rigOn(t, st, lists{peppers(pepper1), []string{"old_", "new_"}, nil}.in)
	back.keep(fresh.Reveal())
	back.mustLogin(newer.ID, fresh)
	_, err := rigOn(t, st, lists{peppers(pepper1), []string{"new_"}, []string{"secret prefix old_"}}.in).login(key.ID, secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	t.Run("B11 none of them gets into an error as a scope", func(t *testing.T) {
		for _, plain := range []string{secret.Reveal(), fresh.Reveal()} {
			_, err := r.loginFor(newer.ID, fresh.Reveal(), perms(plain))
			require.Error(t, err)
			require.NotContains(t, err.Error(), plain)
		}
	})
}

// TestWithdrawnPepper tests that secrets with a withdrawn pepper are refused, and
// that the digests that name it are logged until there are none.
func TestWithdrawnPepper(t *testing.T) {
	st := memstore.New()
	key, secret := rigOn(t, st).create(admin, "team-a", "")
	r := rigOn(t, st, lists{peppers(pepper3), nil, []string{"pepper 1"}}.in)
	r.keep(secret.Reveal())
	require.Contains(t, r.logs.String(), `entry="pepper 1" withdrawn=true`)
	_, err := r.login(key.ID, secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	require.NotErrorIs(t, err, store.ErrUnavailable)
	require.NoError(t, r.Prune(t.Context()))
	require.Contains(t, r.logs.String(), `entry="pepper 1" secrets=1`)
	_, secret = r.rotate(admin, key.ID, apikey.Rotation{})
	r.mustLogin(key.ID, secret)
	require.NoError(t, r.Prune(t.Context()))
	require.NoError(t, start(t, st, lists{peppers: peppers(pepper3)}), "B31 nothing is left of it")
}

// TestWithdrawnPrefix tests that secrets with a withdrawn prefix are refused like wrong
// ones, also where imported secrets are accepted.
func TestWithdrawnPrefix(t *testing.T) {
	for name, configure := range map[string]func(*apikey.Config){"imports": imports, "no imports": func(*apikey.Config) {}} {
		t.Run(name, func(t *testing.T) {
			st := memstore.New()
			key, secret := rigOn(t, st, lists{peppers(pepper1), []string{"old_"}, nil}.in).create(admin, "team-a", "")
			r := rigOn(t, st, lists{peppers(pepper1), []string{"lk_"}, []string{"secret prefix old_"}}.in, configure)
			r.keep(secret.Reveal())
			before := apikey.Hashes(r.Service)
			_, err := r.login(key.ID, secret.Reveal())
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			require.LessOrEqual(t, apikey.Hashes(r.Service)-before, int64(1), "B02")
		})
	}
}

// TestReplicasOfBothOrders tests that logins to replicas in the middle of a rolling
// deploy rewrite each digest once.
func TestReplicasOfBothOrders(t *testing.T) {
	var tap storetest.Tap
	st := tap.Over(memstore.New())
	key, secret := rigOn(t, st).create(admin, "team-a", "")
	behind := rigOn(t, st, lists{peppers(pepper1, pepper3), nil, nil}.in)
	ahead := rigOn(t, st, lists{peppers(pepper3, pepper1), nil, nil}.in)
	tap.Take()
	var all sync.WaitGroup
	errs := make([]error, 64)
	for i := range errs {
		all.Go(func() { _, errs[i] = []*rig{behind, ahead}[i%2].login(key.ID, secret.Reveal()) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	found, err := st.Keys.Lookup(t.Context(), key.ID)
	require.NoError(t, err)
	text, err := json.Marshal(found.Key.Credentials)
	require.NoError(t, err)
	require.Contains(t, string(text), "hmac-sha256$3$", "B31")
	tap.Take()
	for range 8 {
		behind.mustLogin(key.ID, secret)
		ahead.mustLogin(key.ID, secret)
	}
	require.Zero(t, tap.Take()["Upkeep.Rehash"], "B31 no digest is written back and forth")
}
