package apikey_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// TestCountedWhileInUse tests a count that began before a secret named an entry:
// the entry is recorded again at the latest by the next count of a process that
// uses it.
func TestCountedWhileInUse(t *testing.T) {
	older := lists{peppers(pepper1, pepper3), []string{"old_", "new_"}, nil}
	newer := lists{peppers(pepper3, pepper1), []string{"new_", "old_"}, nil}
	t.Run("B31 a digest that a login rewrites while another replica counts", func(t *testing.T) {
		st := memstore.New()
		key, secret := rigOn(t, st, older.in).create(admin, "team-a", "")
		var tap storetest.Tap
		behind := rigOn(t, tap.Over(st), older.in)
		ahead := rigOn(t, st, newer.in)
		ahead.keep(secret.Reveal())
		once := false
		tap.After(func(call string, err error) error {
			if call == "Keys.List" && !once {
				once = true
				ahead.mustLogin(key.ID, secret)
			}
			return err
		})
		require.NoError(t, behind.Prune(t.Context()))
		require.NoError(t, ahead.Prune(t.Context()))
		require.ErrorContains(t, start(t, st, lists{peppers: peppers(pepper1), prefixes: []string{"old_"}}), "lacks pepper 3")
	})
	t.Run("B31 a key restored behind the place where a count was cut off", func(t *testing.T) {
		from := newRig(t, lists{peppers(pepper1), []string{"old_"}, nil}.in)
		restored, _ := from.create(admin, "team-b", "")
		below := memstore.New()
		first := rigOn(t, below, lists{peppers(pepper3), []string{"new_"}, nil}.in)
		first.clock.Set(from.clock.Now().Add(1))
		for range store.MaxPage + 1 {
			_, _, err := first.Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci"})
			require.NoError(t, err)
		}
		var tap storetest.Tap
		r := rigOn(t, tap.Over(below), newer.in)
		ctx, cancel := context.WithCancel(t.Context())
		tap.After(func(call string, err error) error {
			if call == "Keys.List" {
				cancel()
			}
			return err
		})
		require.NoError(t, r.Prune(ctx))
		restore(t, from, r, restored.ID)
		require.NoError(t, r.Prune(t.Context()))
		require.Zero(t, tap.Take()["HostLists.Forget"])
		require.ErrorContains(t, start(t, below, lists{peppers: peppers(pepper3), prefixes: []string{"new_"}}), "lacks pepper 1")
	})
	t.Run("B31 a key restored while the entry is forgotten", func(t *testing.T) {
		from := newRig(t, lists{peppers(pepper1), []string{"old_"}, nil}.in)
		restored, _ := from.create(admin, "team-b", "")
		var tap storetest.Tap
		r := rigOn(t, tap.Over(memstore.New()), newer.in)
		once := false
		tap.Before(func(_ context.Context, call string) error {
			if call == "HostLists.Forget" && !once {
				once = true
				restore(t, from, r, restored.ID)
			}
			return nil
		})
		require.NoError(t, r.Prune(t.Context()))
		require.True(t, once)
		require.Equal(t, "peppers 1, secret_prefixes old_", used(t, r.store))
	})
}
