package galera_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// harm is a failure of a node, and its repair.
type harm struct {
	name       string
	do, mend   func(ctx context.Context, g *servers.Galera, node int) error
	fails      string // a pattern of the errors of the node's clients meanwhile
	unanswered bool   // the clients get no answer and wait for their deadline
}

var harms = []harm{
	{
		name:  "killed",
		do:    func(_ context.Context, g *servers.Galera, node int) error { return g.Nodes[node].Kill() },
		mend:  func(ctx context.Context, g *servers.Galera, node int) error { return g.Nodes[node].Restart(ctx) },
		fails: "connection refused",
	},
	{
		name: "frozen",
		do:   func(_ context.Context, g *servers.Galera, node int) error { return g.Nodes[node].Pause() },
		mend: func(ctx context.Context, g *servers.Galera, node int) error {
			return errors.Join(g.Nodes[node].Resume(), g.Serves(ctx, node))
		},
		fails: context.DeadlineExceeded.Error(), unanswered: true,
	},
	{
		name:  "cut off",
		do:    func(ctx context.Context, g *servers.Galera, node int) error { return g.CutOff(ctx, node) },
		mend:  func(ctx context.Context, g *servers.Galera, node int) error { return g.Rejoin(ctx, node) },
		fails: "the Galera node is not part of the primary component|the Galera node cannot catch up",
	},
}

// A node fails while there are writers at all nodes. Meanwhile its calls fail and the
// others continue. Afterwards it serves the same pool again. No acknowledged change is
// lost, and the streams of the others have no gap.
func TestNodeFails(t *testing.T) { nodeFails(t, patience) }

// nodeFails is TestNodeFails with a bound on how long the other nodes take to write
// again.
func nodeFails(t *testing.T, goOn time.Duration) {
	t.Helper()
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			g := cluster(t)
			stores := open(t, g)
			const bad = 2
			t.Cleanup(func() {
				if t.Failed() {
					_ = h.mend(context.Background(), g, bad)
				}
			})
			streams := []*stream{follow(t, stores[0]), follow(t, stores[1])}
			w := startWriters(t, stores)
			defer w.stop()
			for i := range stores {
				w.reach(t, i, 10)
			}

			ctx := within(t, patience)
			begun := time.Now()
			require.NoError(t, h.do(ctx, g, bad))
			for i := range bad {
				// Two, since one may have been in progress.
				w.reach(t, i, w.count(i)+2)
			}
			took := time.Since(begun)
			t.Logf("the others write again after %s", took)
			require.Less(t, took, goOn)
			answers(t, stores[bad], h)
			for i := range bad {
				w.reach(t, i, w.count(i)+10)
			}

			require.NoError(t, h.mend(within(t, 2*patience), g, bad))
			w.reach(t, bad, w.count(bad)+10)
			w.stop()

			acked := w.acked()
			for i, s := range stores {
				for _, id := range acked {
					_, err := s.Keys.Lookup(within(t, patience), id)
					require.NoError(t, err, "%s at node %d", id, i)
				}
			}
			db := dial(t, g.DSN(0))
			keys := count(t, db, "SELECT COUNT(*) FROM latchkey_keys")
			require.Equal(t, keys, count(t, db, "SELECT COUNT(*) FROM latchkey_events"))
			require.Equal(t, keys, count(t, db, "SELECT seq FROM latchkey_feed"))
			t.Logf("%d acknowledged, %d made, %d failed", len(acked), keys, w.failed.Load())
			for _, s := range streams {
				s.through(t, keys)
			}
		})
	}
}

// answers checks the errors of a node's clients while it is not part of the cluster.
func answers(t *testing.T, s store.Store, h harm) {
	t.Helper()
	limit := patience
	if h.unanswered {
		limit = 200 * time.Millisecond
	}
	for name, call := range map[string]func(ctx context.Context) error{
		"look-up": func(ctx context.Context) error { _, err := s.Keys.Lookup(ctx, "key-0-0"); return err },
		"epochs": func(ctx context.Context) error {
			_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-0", Key: "key-0-0"})
			return err
		},
		"limit": func(ctx context.Context) error { _, _, err := s.Limiter.Advance(ctx, "id", noon, 1, 2); return err },
		"spend": func(ctx context.Context) error {
			return s.OnceIDs.Spend(ctx, store.OnceID{ID: "id", Expires: noon.Add(time.Hour)}, noon)
		},
		"settings": func(ctx context.Context) error {
			return s.Settings.SetInstance(ctx, store.InstanceSettings{}, store.Change{Now: noon})
		},
		"watch": func(ctx context.Context) error {
			return s.Watch.Watch(ctx, func() { t.Error("ready") }, func(store.Notification) {})
		},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		err := call(ctx)
		cancel()
		require.ErrorIs(t, err, store.ErrUnavailable, name)
		require.Regexp(t, h.fails, err.Error(), name)
	}
}

// A pool leaves a node that was cut off. Once new connections lead to another node, the
// first call succeeds.
func TestPoolLeavesANode(t *testing.T) {
	g := cluster(t)
	stores := open(t, g)
	ctx := within(t, 2*patience)
	const bad = 2
	proxy, err := servers.NewProxy(g.Nodes[bad].Addr())
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	db := dial(t, "root@tcp("+proxy.Addr()+")/test?interpolateParams=true")
	s := migrated(t, db, sqlstore.Config{})
	require.NoError(t, stores[0].Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1")))
	calls := map[string]func() error{
		"look-up": func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err },
		"limit":   func() error { _, _, err := s.Limiter.Advance(ctx, "id", noon, 1, time.Hour); return err },
		"create":  func() error { return s.Keys.Create(ctx, key("team-a", "key-2"), store.NoLimit, event("event-2")) },
	}
	hold(t, db, 5)
	require.NoError(t, g.CutOff(ctx, bad))
	t.Cleanup(func() { require.NoError(t, g.Rejoin(context.Background(), bad)) })
	// The first call is also the first of its Database.
	for name, call := range calls {
		proxy.Retarget(g.Nodes[bad].Addr())
		db.SetMaxIdleConns(0)
		db.SetMaxIdleConns(12)
		hold(t, db, 5)
		proxy.Retarget(g.Nodes[0].Addr())
		require.NoError(t, call(), name)
	}
}

// hold opens n connections, which the pool then keeps.
func hold(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	for range n {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer c.Close()
	}
}

// writers create keys through each node until they are stopped.
type writers struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	failed atomic.Int64
	mu     sync.Mutex
	made   [nodes][]string // the acknowledged ids
}

func startWriters(t *testing.T, stores []store.Store) *writers {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writers{cancel: cancel}
	for i, s := range stores {
		w.all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("key-%d-%d", i, n)
				bounded, end := context.WithTimeout(ctx, 5*time.Second)
				err := s.Keys.Create(bounded, key(fmt.Sprint("team-", i), id), store.NoLimit, event(id))
				end()
				if err != nil {
					if !errors.Is(err, store.ErrUnavailable) {
						t.Error(err)
					}
					w.failed.Add(1)
					continue
				}
				w.mu.Lock()
				w.made[i] = append(w.made[i], id)
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *writers) stop() { w.cancel(); w.all.Wait() }

func (w *writers) count(node int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.made[node])
}

func (w *writers) acked() (ids []string) {
	for i := range w.made {
		ids = append(ids, w.made[i]...)
	}
	return ids
}

// reach waits until n creations through a node were acknowledged.
func (w *writers) reach(t *testing.T, node, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return w.count(node) >= n }, patience, 5*time.Millisecond, "node %d does not write", node)
}

// A node that was frozen reports that it is ready for seconds after the others have
// expelled it, and could return old data. No call that begins after a change through
// another node has returned gets old data.
func TestThawedNode(t *testing.T) {
	g := cluster(t)
	stores := open(t, g)
	const thawed = 2
	for round := range 3 {
		ctx := within(t, 2*patience)
		k := key("team-a", fmt.Sprint("key-", round))
		require.NoError(t, stores[0].Keys.Create(ctx, k, store.NoLimit, event("create-"+k.ID)))
		ref := store.TokenRef{Workspace: k.Workspace, Key: k.ID, Credential: k.Credentials[0].ID}
		old, err := stores[thawed].Epochs.Read(ctx, ref)
		require.NoError(t, err)

		require.NoError(t, g.Nodes[thawed].Pause())
		t.Cleanup(func() { _ = g.Nodes[thawed].Resume() })
		disabled := k
		disabled.Disabled = true
		change := event("disable-" + k.ID)
		change.RevokeTokens = true
		require.NoError(t, stores[0].Keys.Update(ctx, disabled, change))
		in, err := stores[0].Settings.Instance(ctx)
		require.NoError(t, err)
		require.NoError(t, stores[0].Settings.SetInstance(ctx, in, store.Change{Now: noon}))

		s := stores[thawed]
		reads := map[string]func() error{
			"look-up": func() error {
				found, err := s.Keys.Lookup(ctx, k.ID)
				return stale(err, !found.Key.Disabled)
			},
			"look-up of a secret": func() error {
				found, err := s.Secrets.LookupSecret(ctx, k.Credentials[0].ID)
				return stale(err, !found.Key.Disabled)
			},
			"epochs": func() error {
				state, err := s.Epochs.Read(ctx, ref)
				return stale(err, state.Key == old.Key)
			},
			"settings": func() error {
				now, err := s.Settings.Instance(ctx)
				return stale(err, now.Version == in.Version)
			},
			"create": func() error {
				c := event("none")
				c.Preconditions = []store.Precondition{{Key: k.ID, Version: 1}}
				err := s.Keys.Create(ctx, key("team-a", "none"), store.NoLimit, c)
				if errors.Is(err, store.ErrConflict) {
					return nil
				}
				return stale(err, true)
			},
		}
		var all sync.WaitGroup
		var refused atomic.Int64
		for name, read := range reads {
			for range 4 {
				all.Go(func() {
					for {
						err := read()
						if err == nil || errors.Is(err, errStale) || ctx.Err() != nil {
							if err != nil {
								t.Errorf("%s: %v", name, err)
							}
							return
						}
						if !errors.Is(err, store.ErrUnavailable) {
							t.Errorf("%s: %v", name, err)
						}
						refused.Add(1)
					}
				})
			}
		}
		require.NoError(t, g.Nodes[thawed].Resume())
		all.Wait()
		t.Logf("%d calls were refused", refused.Load())
		require.NoError(t, g.Serves(ctx, thawed))
	}
}

var errStale = errors.New("the node returned old data")

func stale(err error, old bool) error {
	if err == nil && old {
		return errStale
	}
	return err
}
