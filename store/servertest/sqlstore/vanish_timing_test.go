//go:build timing

package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

const (
	// frozenBound is how long a client that vanished may block others.
	frozenBound = 3 * time.Second
	// readBound is how long a read without lock waits may take on a busy machine.
	readBound = time.Second
)

// vanishing is a change that freezes after each of its round trips in turn.
type vanishing struct {
	name string
	do   func(ctx context.Context, s store.Store, n int, settings int64) error
}

var vanishings = []vanishing{
	{"create", func(ctx context.Context, s store.Store, n int, settings int64) error {
		return s.Keys.Create(ctx, key("team-a", fmt.Sprint("frozen-", n)), 10_000, fullChange(n, settings))
	}},
	{"delete", func(ctx context.Context, s store.Store, n int, settings int64) error {
		return s.Keys.Delete(ctx, "team-a", fmt.Sprint("victim-", n), 0, noon, fullChange(n, settings))
	}},
	{"settings", func(ctx context.Context, s store.Store, n int, settings int64) error {
		c := event(fmt.Sprint("frozen event ", n))
		c.Once = &store.OnceID{ID: fmt.Sprint("frozen ", n), Expires: noon.Add(time.Hour)}
		return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Version: settings}}, c)
	}},
}

// fullChange returns a change with an event, a one-time id and preconditions.
func fullChange(n int, settings int64) store.Change {
	c := event(fmt.Sprint("frozen event ", n))
	c.Once = &store.OnceID{ID: fmt.Sprint("frozen ", n), Expires: noon.Add(time.Hour)}
	c.Preconditions = []store.Precondition{{Version: settings}, {Workspace: "team-a"}, {Key: "actor", Version: 1}}
	return c
}

// B28: a client that vanishes after any statement of a change blocks writers of the same
// and of other workspaces for at most three seconds. It does not block readers.
func TestTimingVanishedClients(t *testing.T) {
	for _, e := range engines[:2] {
		for _, v := range vanishings {
			if v.name != "create" && !soak() {
				continue
			}
			t.Run("B28 "+e.name+", "+v.name, func(t *testing.T) {
				t.Parallel()
				vanish(t, e, v)
			})
		}
	}
}

func vanish(t *testing.T, e engine, v vanishing) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	driver, source := e.space(t)
	others := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
	for _, k := range []store.Key{key("team-a", "actor"), key("team-a", "key-1"), key("team-b", "key-2")} {
		require.NoError(t, others.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
	}
	proxy, through := behind(t, driver, source)
	for n := 0; ; n++ {
		require.NoError(t, others.Keys.Create(ctx, key("team-a", fmt.Sprint("victim-", n)), store.NoLimit, store.Change{}))
		settled := frozenAfter(ctx, t, e, v, proxy, dial(t, driver, through), n, func() { checkOthers(ctx, t, others, n, v) })
		if settled {
			require.Greater(t, n, 2, "the client froze during the change")
			return
		}
	}
}

// frozenAfter makes the change through a client that freezes after n round trips, and
// then calls check. It reports whether the change had ended before.
func frozenAfter(ctx context.Context, t *testing.T, e engine, v vanishing, proxy *servers.Proxy, db *sql.DB, n int, check func()) bool {
	t.Helper()
	d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
	require.NoError(t, err)
	s := d.Store()
	// This opens the connection and prepares its statements.
	require.NoError(t, s.Settings.SetInstance(ctx, instance(t, s), store.Change{}))
	require.Eventually(t, func() bool { return db.Stats().InUse == 0 }, patience, time.Millisecond)
	settings := instance(t, s).Version
	before := proxy.Trips()
	proxy.FreezeAfter(n)
	vanished, vanish := context.WithCancel(ctx)
	defer vanish()
	ended := make(chan error, 1)
	go func() { ended <- v.do(vanished, s, n, settings) }()
	over := false
	require.Eventually(t, func() bool {
		select {
		case err := <-ended:
			require.NoError(t, err)
			over = true
		default:
		}
		return over || proxy.Trips() == before+n+1
	}, patience, time.Millisecond)
	if !over {
		check()
	}
	proxy.Abandon()
	vanish()
	if !over {
		require.Error(t, <-ended)
	}
	return over
}

func checkOthers(ctx context.Context, t *testing.T, s store.Store, n int, v vanishing) {
	t.Helper()
	for _, read := range []func() error{
		func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err },
		func() error {
			_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1", Credential: "s1-key-1"})
			return err
		},
	} {
		start := time.Now()
		require.NoError(t, read())
		require.Less(t, time.Since(start), readBound)
	}
	update := func(workspace, id string) error {
		found, err := s.Keys.Lookup(ctx, id)
		if err != nil {
			return err
		}
		found.Key.Disabled = true
		return s.Keys.Update(ctx, found.Key, store.Change{RevokeTokens: true})
	}
	took := make([]time.Duration, 5)
	var all sync.WaitGroup
	for i, write := range []func() error{
		func() error { return update("team-a", "key-1") },
		func() error { return update("team-b", "key-2") },
		func() error {
			return s.Keys.Create(ctx, key("team-a", fmt.Sprint("other-", n)), 10_000, event(fmt.Sprint("other ", n)))
		},
		func() error {
			return s.Settings.SetWorkspace(ctx, store.Workspace{ID: fmt.Sprint("team-", n)}, store.Change{})
		},
	} {
		all.Go(func() {
			start := time.Now()
			if err := write(); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
			took[i] = time.Since(start)
		})
	}
	all.Wait()
	// The settings come last, since the frozen change may have locked them.
	start := time.Now()
	require.NoError(t, s.Settings.SetInstance(ctx, instance(t, s), store.Change{}))
	took[4] = time.Since(start)
	t.Logf("%s, frozen after %d round trips: others waited %v", v.name, n, took)
	for i, d := range took {
		if d > frozenBound {
			t.Errorf("writer %d waited %s", i, d)
		}
	}
}

// The same bound holds for a client that vanishes during a migration.
func TestTimingVanishedMigrations(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			driver, source := e.space(t)
			others := dial(t, driver, source)
			proxy, through := behind(t, driver, source)
			for n := 4; n < 11; n += 2 {
				db := dial(t, driver, through)
				prefix := fmt.Sprintf("t%d_", n)
				d, err := sqlstore.New(db, e.dialect, sqlstore.Config{Prefix: prefix})
				require.NoError(t, err)
				require.NoError(t, db.PingContext(t.Context()))
				before := proxy.Trips()
				proxy.FreezeAfter(n)
				vanished, vanish := context.WithCancel(t.Context())
				defer vanish()
				ended := make(chan error, 1)
				go func() { ended <- d.Migrate(vanished) }()
				require.Eventually(t, func() bool { return proxy.Trips() == before+n+1 }, patience, time.Millisecond)

				other, err := sqlstore.New(others, e.dialect, sqlstore.Config{Prefix: prefix})
				require.NoError(t, err)
				start := time.Now()
				require.NoError(t, other.Migrate(t.Context()))
				t.Logf("frozen after %d round trips: %s", n, time.Since(start))
				require.Less(t, time.Since(start), frozenBound+time.Second) // the migration's own time, too
				vanish()
				require.Error(t, <-ended, "the frozen call ends with its context")
				proxy.Abandon()
			}
		})
	}
}
