package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// replicas returns stores on the same tables, each with its own pool.
func replicas(t *testing.T, e engine, n int) (stores []store.Store, db *sql.DB) {
	t.Helper()
	driver, source := e.space(t)
	for range n {
		db = dial(t, driver, source)
		stores = append(stores, e.tables(t, db, sqlstore.Config{}).Store())
	}
	return stores, db
}

func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }

// outcomes returns the indexes of the calls that succeeded. An error other than lost fails
// the test.
func outcomes(t *testing.T, errs []error, lost error) (won []int) {
	t.Helper()
	for i, err := range errs {
		if err == nil {
			won = append(won, i)
			continue
		}
		require.ErrorIs(t, err, lost)
	}
	return won
}

// events returns the ids of all audit events.
func events(t *testing.T, s store.Store) []string {
	t.Helper()
	page, err := s.Events.List(context.Background(), store.EventQuery{Limit: store.MaxPage})
	require.NoError(t, err)
	require.Nil(t, page.Next)
	ids := []string{}
	for _, e := range page.Events {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestRacesAcrossReplicas(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		stores, db := replicas(t, e, 3)
		for _, try := range []struct {
			name string
			race func(t *testing.T, stores []store.Store)
		}{
			{"B05 creates under a limit of 10", raceLimit},
			{"B22 64 rotations with one version", raceRotations},
			{"B22 a login during rotations finds one secret, the old or the new", raceLogins},
			{"B18 64 spends of one id", raceSpends},
			{"64 attempts at one instant", raceAttempts},
			{"64 writers of every kind: each change has both its event and its notification, or neither", everyKind},
		} {
			wipe(t, db)
			t.Run(try.name, func(t *testing.T) { try.race(t, stores) })
		}
	})
}

func raceLimit(t *testing.T, stores []store.Store) {
	ctx := context.Background()
	rounds, writers := 2, 64
	if soak() {
		rounds, writers = 1000, 200
	}
	for round := range rounds {
		space := fmt.Sprint("team-", round)
		name := func(i int) string { return fmt.Sprintf("key-%d-%d", round, i) }
		errs := race(writers, func(i int) error {
			return stores[i%3].Keys.Create(ctx, key(space, name(i)), 10, event(name(i)))
		})
		won := outcomes(t, errs, store.ErrLimit)
		require.Len(t, won, 10)
		w, err := stores[0].Settings.Workspace(ctx, space)
		require.NoError(t, err)
		require.Equal(t, 10, w.Keys)
		page, err := stores[1].Keys.List(ctx, store.KeyQuery{Workspace: space})
		require.NoError(t, err)
		require.Len(t, page.Keys, 10)
		want := []string{}
		for _, i := range won {
			want = append(want, name(i))
		}
		slices.Sort(want)
		require.Equal(t, want, events(t, stores[2]), "an event for each key, and for no other")
		_, err = stores[0].Events.Prune(ctx, noon.Add(time.Second))
		require.NoError(t, err)
	}
}

func raceRotations(t *testing.T, stores []store.Store) {
	ctx := context.Background()
	require.NoError(t, stores[0].Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
	for version := int64(1); version <= 3; version++ {
		errs := race(64, func(i int) error {
			k := key("team-a", "key-1")
			k.Version, k.Credentials[0].ID = version, fmt.Sprintf("s%d-%d", version, i)
			return stores[i%3].Keys.Update(ctx, k, event(k.Credentials[0].ID))
		})
		won := outcomes(t, errs, store.ErrConflict)
		require.Len(t, won, 1)
		found, err := stores[1].Keys.Lookup(ctx, "key-1")
		require.NoError(t, err)
		require.Equal(t, version+1, found.Key.Version)
		require.Equal(t, fmt.Sprintf("s%d-%d", version, won[0]), found.Key.Credentials[0].ID)
		require.Len(t, events(t, stores[0]), int(version))
	}
}

func raceLogins(t *testing.T, stores []store.Store) {
	ctx := context.Background()
	rotations := 30
	if soak() {
		rotations = 10_000
	}
	require.NoError(t, stores[0].Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
	rotated := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for last, epoch := int64(0), int64(0); ; {
				select {
				case <-rotated:
					return
				default:
				}
				found, err := stores[i%2].Keys.Lookup(ctx, "key-1")
				k := found.Key
				if err != nil || k.Version < last || len(k.Credentials) != 1 || k.Credentials[0].ID != fmt.Sprintf("s%d-key-1", k.Version) || (k.Version > last) != (k.Epoch > epoch) {
					t.Errorf("after version %d: %v, %d secrets of version %d: %v", last, k.Version, len(k.Credentials), k.Epoch, err)
					return
				}
				last, epoch = k.Version, k.Epoch
			}
		})
	}
	for version := range int64(rotations) {
		k := key("team-a", "key-1")
		k.Version, k.Credentials[0].ID = version+1, fmt.Sprintf("s%d-key-1", version+2)
		require.NoError(t, stores[2].Keys.Update(ctx, k, store.Change{RevokeTokens: true}))
	}
	close(rotated)
	readers.Wait()
}

func raceSpends(t *testing.T, stores []store.Store) {
	ctx := context.Background()
	for round := range 4 {
		errs := race(64, func(i int) error {
			id := store.OnceID{Space: "jti", ID: fmt.Sprint("id-", round), Value: fmt.Sprint(i), Expires: noon.Add(time.Hour)}
			return stores[i%3].OnceIDs.Spend(ctx, id, noon)
		})
		won := outcomes(t, errs, store.ErrExists)
		require.Len(t, won, 1)
		kept, err := stores[0].OnceIDs.Find(ctx, "jti", fmt.Sprint("id-", round), noon)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(won[0]), kept.Value)
	}
}

func raceAttempts(t *testing.T, stores []store.Store) {
	ctx := context.Background()
	for round := range 4 {
		var mu sync.Mutex
		moved := 0
		errs := race(64, func(i int) error {
			_, passed, err := stores[i%3].Limiter.Advance(ctx, fmt.Sprint("id-", round), noon, time.Hour, 10*time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if passed {
				moved++
			}
			return err
		})
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 10, moved)
	}
}

func everyKind(t *testing.T, stores []store.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, id := range []string{"shared", "doomed"} {
		require.NoError(t, stores[0].Keys.Create(ctx, key("team-a", id), store.NoLimit, store.Change{}))
	}
	ready, ended := make(chan struct{}), make(chan error, 1)
	notifications := make(chan store.Notification, 1000)
	go func() {
		ended <- stores[0].Watch.Watch(ctx, func() { close(ready) }, func(n store.Notification) { notifications <- n })
	}()
	<-ready
	first := <-notifications
	errs := race(64, func(i int) error {
		s, name := stores[i%3], fmt.Sprintf("change-%02d", i)
		switch i % 6 {
		case 0:
			return s.Keys.Create(ctx, key("team-a", fmt.Sprint("new-", i/12)), store.NoLimit, event(name))
		case 1:
			return s.Keys.Update(ctx, key("team-a", "shared"), event(name))
		case 2:
			return s.Keys.Delete(ctx, "team-a", "doomed", 0, noon, event(name))
		case 3:
			return s.Settings.SetInstance(ctx, store.InstanceSettings{}, event(name))
		case 4:
			return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a"}, event(name))
		default:
			return s.Settings.DeleteWorkspace(ctx, fmt.Sprint("team-", i/18), noon, event(name))
		}
	})
	want := []string{}
	for i, err := range errs {
		if err == nil {
			want = append(want, fmt.Sprintf("change-%02d", i))
			continue
		}
		require.False(t, errors.Is(err, store.ErrUnavailable), err)
	}
	require.Equal(t, want, events(t, stores[1]))
	for n := 1; n <= len(want); {
		got := <-notifications
		if got.Kind == store.NotificationHeartbeat {
			continue
		}
		require.Equal(t, first.Sequence+uint64(n), got.Sequence)
		n++
	}
	for got := range notifications {
		if require.Equal(t, store.NotificationHeartbeat, got.Kind, "a notification for each change, and no other"); got.Sequence == first.Sequence+uint64(len(want)) {
			break
		}
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.True(t, strings.HasPrefix(want[0], "change-"))
}
