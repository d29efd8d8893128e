package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// TestRetire tests that the server counts the secrets that name an older entry,
// logs the count, and removes the record of the entry if there are none.
func TestRetire(t *testing.T) {
	st := memstore.New()
	old := rigOn(t, st, lists{peppers(pepper1), []string{"old_"}, nil}.in)
	active, secret := old.create(admin, "team-a", "")
	old.keep(secret.Reveal())
	idle, _ := old.create(admin, "team-b", "")
	rotated, _ := old.create(admin, "team-b", "")
	r := rigOn(t, st, lists{peppers(pepper3, pepper1), []string{"new_", "old_"}, nil}.in)
	r.keep(secret.Reveal())
	require.Contains(t, r.logs.String(), `entry="pepper 1"`, "B31 logged at start")
	require.Contains(t, r.logs.String(), `entry="secret prefix old_"`)
	left := func(limit int) map[string][]string {
		t.Helper()
		names := map[string][]string{}
		var after *store.KeyCursor
		for more := true; more; more = after != nil {
			page, err := r.Outdated(t.Context(), admin, after, limit)
			require.NoError(t, err)
			for _, key := range page.Keys {
				names[key.ID] = key.Outdated
			}
			after = page.Next
		}
		return names
	}
	both := []string{"pepper 1", "secret prefix old_"}
	require.Equal(t, map[string][]string{active.ID: both, idle.ID: both, rotated.ID: both}, left(1))
	_, err := r.Outdated(t.Context(), owner, nil, 0)
	require.ErrorAs(t, err, new(*apikey.ForbiddenError))

	require.NoError(t, r.Prune(t.Context()))
	require.Contains(t, r.logs.String(), `entry="pepper 1" secrets=3`, "B31 logged")
	require.Equal(t, "peppers 1, secret_prefixes old_", used(t, st))

	r.mustLogin(active.ID, secret)
	r.rotate(admin, rotated.ID, apikey.Rotation{Grace: time.Hour})
	require.Equal(t, map[string][]string{active.ID: both[1:], idle.ID: both, rotated.ID: both}, left(0), "the login rewrote one digest")
	r.clock.Advance(time.Hour)
	require.Equal(t, map[string][]string{active.ID: both[1:], idle.ID: both}, left(0), "an expired secret does not count")
	require.NoError(t, r.Delete(t.Context(), admin, idle.ID, 0))
	require.NoError(t, r.Prune(t.Context()))
	require.Contains(t, r.logs.String(), `remove it from its list or from Withdrawn" entry="pepper 1"`)
	require.Contains(t, r.logs.String(), `entry="secret prefix old_" secrets=1`)
	require.NoError(t, start(t, st, lists{peppers(pepper3), []string{"new_", "old_"}, nil}))
	require.ErrorContains(t, start(t, st, lists{peppers(pepper3), []string{"new_"}, nil}), "lacks secret prefix old_")
}

// TestCountGoesOn tests that an interrupted count goes on with the next Prune, and
// removes no record before it is complete.
func TestCountGoesOn(t *testing.T) {
	below := memstore.New()
	old := rigOn(t, below)
	for range store.MaxPage + 1 {
		_, _, err := old.Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci"})
		require.NoError(t, err)
	}
	var tap storetest.Tap
	r := rigOn(t, tap.Over(below), lists{peppers(pepper3, pepper1), nil, nil}.in)
	ctx, cancel := context.WithCancel(t.Context())
	tap.After(func(call string, err error) error {
		if call == "Keys.List" {
			cancel()
		}
		return err
	})
	require.NoError(t, r.Prune(ctx))
	require.NotContains(t, r.logs.String(), "secrets=")
	require.Equal(t, 2, tap.Take()["Keys.List"])
	tap.After(nil)
	require.NoError(t, r.Prune(t.Context()))
	require.Contains(t, r.logs.String(), fmt.Sprintf(`entry="pepper 1" secrets=%d`, store.MaxPage+1))
	require.Equal(t, 1, tap.Take()["Keys.List"], "the rest")

	tap.After(func(call string, err error) error {
		if call == "Keys.List" {
			return errors.Join(err, store.ErrUnavailable)
		}
		return err
	})
	require.ErrorIs(t, r.Prune(t.Context()), store.ErrUnavailable)
	require.Equal(t, "peppers 1, secret_prefixes lk_", used(t, below))
}

// TestForgottenTooEarly tests that a process records its first pepper again with
// its next count if another process removed the record.
func TestForgottenTooEarly(t *testing.T) {
	st := memstore.New()
	behind := rigOn(t, st, lists{peppers(pepper1, pepper3), nil, nil}.in)
	ahead := rigOn(t, st, lists{peppers(pepper3, pepper1), nil, nil}.in)
	key, _ := behind.create(admin, "team-a", "")
	require.NoError(t, behind.Delete(t.Context(), admin, key.ID, 0))
	require.NoError(t, ahead.Prune(t.Context()))
	require.Equal(t, "secret_prefixes lk_", used(t, st))
	behind.create(admin, "team-a", "")
	require.NoError(t, ahead.Prune(t.Context()))
	require.Equal(t, "peppers 1, secret_prefixes lk_", used(t, st))
}

// TestUsedAgain tests that an entry whose record was removed is recorded when it is
// used again.
func TestUsedAgain(t *testing.T) {
	from := newRig(t)
	key, _ := from.create(admin, "team-a", "")
	r := newRig(t, lists{peppers(pepper3, pepper1), nil, nil}.in)
	for _, id := range []string{key.ID, "another"} {
		put, err := r.Restorer(t.Context(), admin)
		require.NoError(t, err)
		for record, err := range from.Records(t.Context(), admin) {
			require.NoError(t, err)
			record.Key.ID = id
			require.NoError(t, put(record))
		}
		require.Equal(t, "peppers 1, secret_prefixes lk_", used(t, r.store))
		require.NoError(t, r.Delete(t.Context(), admin, id, 0))
		require.NoError(t, r.Prune(t.Context()))
		require.Equal(t, "secret_prefixes lk_", used(t, r.store))
	}
}

// TestNoCountWithoutNeed tests that nothing is counted for a host with one pepper
// and one prefix.
func TestNoCountWithoutNeed(t *testing.T) {
	var tap storetest.Tap
	r := rigOn(t, tap.Over(memstore.New()))
	r.create(admin, "team-a", "")
	tap.Take()
	require.NoError(t, r.Prune(t.Context()))
	require.Zero(t, tap.Take()["Keys.List"])
}
