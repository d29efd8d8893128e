package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// stopper is a change after which no key may be created. Creators read the changed
// record before each creation, and name it as a precondition.
type stopper struct {
	name string
	read func(s store.Store) (p store.Precondition, allowed bool, err error)
	end  func(s store.Store) error
}

var stoppers = []stopper{
	{
		name: "the acting key is disabled",
		read: func(s store.Store) (store.Precondition, bool, error) {
			found, err := s.Keys.Lookup(context.Background(), "actor")
			return store.Precondition{Key: "actor", Version: found.Key.Version}, !found.Key.Disabled, err
		},
		end: func(s store.Store) error {
			found, err := s.Keys.Lookup(context.Background(), "actor")
			if err != nil {
				return err
			}
			found.Key.Disabled = true
			return s.Keys.Update(context.Background(), found.Key, store.Change{RevokeTokens: true})
		},
	},
	{
		name: "the acting key is deleted",
		read: func(s store.Store) (store.Precondition, bool, error) {
			found, err := s.Keys.Lookup(context.Background(), "actor")
			if errors.Is(err, store.ErrNotFound) {
				return store.Precondition{}, false, nil
			}
			return store.Precondition{Key: "actor", Version: found.Key.Version}, true, err
		},
		end: func(s store.Store) error {
			return s.Keys.Delete(context.Background(), "team-a", "actor", 0, noon, store.Change{})
		},
	},
	{
		name: "keys are switched off",
		read: func(s store.Store) (store.Precondition, bool, error) {
			in, err := s.Settings.Instance(context.Background())
			return store.Precondition{Version: in.Version}, !in.KeysOff, err
		},
		end: func(s store.Store) error {
			in, err := s.Settings.Instance(context.Background())
			if err != nil {
				return err
			}
			in.KeysOff = true
			return s.Settings.SetInstance(context.Background(), in, store.Change{RevokeTokens: true})
		},
	},
	{
		name: "a workspace that was never saved gets a limit",
		read: func(s store.Store) (store.Precondition, bool, error) {
			w, err := s.Settings.Workspace(context.Background(), "team-b")
			return store.Precondition{Workspace: "team-b", Version: w.Version}, w.Rules.MaxKeys == 0, err
		},
		end: func(s store.Store) error {
			return s.Settings.SetWorkspace(context.Background(), store.Workspace{ID: "team-b", Rules: store.Rules{MaxKeys: 1}}, store.Change{})
		},
	},
}

// Creators through three Databases create keys until they read that they may not. The
// change that ends them is made meanwhile. Once it has returned, no key is created any
// more.
func TestPreconditionsHoldAtTheWrite(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		stores, db := replicas(t, e, 3)
		rounds := 3
		if soak() {
			rounds = 60
		}
		for _, try := range stoppers {
			t.Run("B27 "+try.name, func(t *testing.T) {
				conflicts, longest := 0, time.Duration(0)
				for range rounds {
					wipe(t, db)
					require.NoError(t, stores[0].Keys.Create(context.Background(), key("team-a", "actor"), store.NoLimit, store.Change{}))
					lost, took := raceStopper(t, stores, try, func() int {
						return count(t, db, "SELECT COUNT(*) FROM latchkey_keys WHERE id <> "+literal(e, "actor"))
					})
					conflicts, longest = conflicts+lost, max(longest, took)
				}
				t.Logf("%d creations conflicted, the change took %s at most", conflicts, longest)
			})
		}
	})
}

func raceStopper(t *testing.T, stores []store.Store, o stopper, keys func() int) (conflicts int, took time.Duration) {
	t.Helper()
	const creators = 12
	var made, lost atomic.Int64
	errs := make([]error, creators)
	var all sync.WaitGroup
	for i := range creators {
		all.Go(func() { errs[i] = createUntilStopped(stores[i%3], o, i, &made, &lost) })
	}
	require.Eventually(t, func() bool { return made.Load() > 30 }, patience, time.Millisecond)
	begun := time.Now()
	require.NoError(t, o.end(stores[2]))
	took, before := time.Since(begun), keys()
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, before, keys(), "no key is created after the change")
	require.EqualValues(t, made.Load(), before)
	return int(lost.Load()), took
}

func createUntilStopped(s store.Store, o stopper, creator int, made, lost *atomic.Int64) error {
	for n := 0; ; n++ {
		p, allowed, err := o.read(s)
		if err != nil || !allowed {
			return err
		}
		k := key(fmt.Sprint("team-", creator%4), fmt.Sprintf("key-%d-%d", creator, n))
		k.CreatedBy = store.ActorRef{Kind: "key", ID: "actor"}
		err = s.Keys.Create(context.Background(), k, store.NoLimit, store.Change{Preconditions: []store.Precondition{p}})
		switch {
		case err == nil:
			made.Add(1)
		case errors.Is(err, store.ErrConflict):
			lost.Add(1)
		default:
			return err
		}
	}
}

// literal returns a text as an SQL literal.
func literal(e engine, text string) string {
	if e.name == "SQLite" {
		return fmt.Sprintf("x'%x'", text)
	}
	return "'" + text + "'"
}

// On MySQL and MariaDB the row of each precondition is written, since the nodes of a
// Galera cluster do not compare rows that were only locked.
func TestPreconditionsAreWritten(t *testing.T) {
	ctx := context.Background()
	e := engines[1]
	db := e.connect(t)
	s := e.tables(t, db, sqlstore.Config{}).Store()
	require.NoError(t, s.Keys.Create(ctx, key("team-a", "actor"), store.NoLimit, store.Change{}))
	locks := func() []int {
		return []int{
			count(t, db, "SELECT SUM(locks) FROM latchkey_stripes"),
			count(t, db, "SELECT COALESCE(SUM(locks), 0) FROM latchkey_workspaces WHERE id = 'team-b'"),
			count(t, db, "SELECT locks FROM latchkey_keys WHERE id = 'actor'"),
		}
	}
	c := store.Change{Preconditions: []store.Precondition{{}, {Workspace: "team-b"}, {Key: "actor", Version: 1}}}
	k := key("team-a", "key-1")
	require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, c))
	before := locks()
	require.NoError(t, s.Keys.Update(ctx, k, c))
	after := locks()
	for i := range after {
		require.Equal(t, before[i]+1, after[i], "row %d", i)
	}
	require.NoError(t, s.Settings.SetInstance(ctx, store.InstanceSettings{}, store.Change{}))
	require.Equal(t, 16, count(t, db, "SELECT COUNT(*) FROM latchkey_stripes WHERE version = 1"), "a change of settings writes all")
}
