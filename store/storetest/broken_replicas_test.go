package storetest_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// replicaBreakage damages each of several replicas. A damaged replica alone would pass.
type replicaBreakage struct {
	name   string
	damage func(i int, s store.Store) store.Store
	rules  []string
}

func replicaBreakages() []replicaBreakage {
	return []replicaBreakage{
		{"counts keys in its own memory", func(_ int, s store.Store) store.Store {
			var mu sync.Mutex
			keysOf := map[string]int{}
			return withKeys(s, keys{
				create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
					mu.Lock()
					defer mu.Unlock()
					if limit != store.NoLimit && keysOf[k.Workspace] >= limit {
						return store.ErrLimit
					}
					keysOf[k.Workspace]++
					return s.Keys.Create(ctx, k, store.NoLimit, c)
				},
				remove: func(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
					mu.Lock()
					keysOf[workspace]--
					mu.Unlock()
					return s.Keys.Delete(ctx, workspace, id, version, at, c)
				},
			})
		}, []string{"B05 creates under a limit, 200 at once", "B05 creates and deletes under a limit"}},

		{"stores keys in its own memory", func(_ int, s store.Store) store.Store {
			own := memstore.New()
			s.Keys, s.Settings = own.Keys, own.Settings
			return s
		}, []string{"one id, many creates", "one change, sent to every replica", "B07 a new key"}},

		{"accepts every rotation", func(_ int, s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				for {
					k.Version = current(ctx, s, k.ID).Version
					if err := s.Keys.Update(ctx, k, c); !errors.Is(err, store.ErrConflict) {
						return err
					}
				}
			}})
		}, []string{"B22 rotations with one version"}},

		{"accepts every save", func(_ int, s store.Store) store.Store {
			next := s.Settings
			s.Settings = settings{Settings: next,
				setInstance: func(ctx context.Context, in store.InstanceSettings, c store.Change) error {
					for {
						stored, _ := next.Instance(ctx)
						in.Version = stored.Version
						if err := next.SetInstance(ctx, in, c); !errors.Is(err, store.ErrConflict) {
							return err
						}
					}
				},
			}
			return s
		}, []string{"settings with one version"}},

		{"stores the ring in its own memory", func(_ int, s store.Store) store.Store {
			s.SigningKeys = memstore.New().SigningKeys
			return s
		}, []string{"rings with one version"}},

		{"spends ids in its own memory", func(_ int, s store.Store) store.Store {
			s.OnceIDs = memstore.New().OnceIDs
			return s
		}, []string{"B18 one of many spends wins"}},

		{"limits in its own memory", func(_ int, s store.Store) store.Store {
			s.Limiter = memstore.New().Limiter
			return s
		}, []string{"B18 one limit over all"}},

		{"has its own clock", func(i int, s store.Store) store.Store {
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				found.Key.Epoch -= int64(i) * time.Hour.Microseconds()
				return found, err
			}})
		}, []string{"each raise is higher"}},

		{"checks preconditions in its own memory", func(_ int, s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				return checkFirst(ctx, s, c, func() error {
					runtime.Gosched()
					c.Preconditions = nil
					return s.Keys.Create(ctx, k, limit, c)
				})
			}})
		}, []string{"B27 no creation succeeds on outdated preconditions"}},

		{"counts uses in its own memory", func(_ int, s store.Store) store.Store {
			s.Usage = memstore.New().Usage
			return s
		}, []string{"no count is lost"}},

		{"caches that a workspace exists", func(i int, s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				err := s.Keys.Create(ctx, k, limit, c)
				if i != 0 && errors.Is(err, store.ErrNotFound) {
					return nil // reports a key as stored that was refused
				}
				return err
			}, list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				page, err := s.Keys.List(ctx, q)
				if i != 0 && len(page.Keys) == 0 {
					page.Keys = []store.Key{{ID: "left over"}}
				}
				return page, err
			}})
		}, []string{"creates while the workspace is deleted"}},

		{"caches look-ups", func(_ int, s store.Store) store.Store {
			return withKeys(s, keys{lookup: caching(s.Keys.Lookup)})
		}, []string{
			"B07 a new key", "B07 a disabled key", "B07 a deleted key", "B07 a rewritten digest",
			"B07 settings of the instance", "B07 a suspended workspace", "B07 a deleted workspace",
		}},

		{"caches epochs", func(_ int, s store.Store) store.Store {
			s.Epochs = epochs{Epochs: s.Epochs, read: caching(s.Epochs.Read)}
			return s
		}, []string{"B07 the epoch of a change", "B07 raised epochs of settings", "B07 a revoked token"}},

		{"gets notifications of other replicas without the key", func(_ int, s store.Store) store.Store {
			var mine sync.Map
			next := s.Watch
			s.Watch = watch(func(ctx context.Context, ready func(), notify func(store.Notification)) error {
				return next.Watch(ctx, ready, func(n store.Notification) {
					if _, ok := mine.Load(n.Key); !ok {
						n.Key = ""
					}
					notify(n)
				})
			})
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				mine.Store(k.ID, true)
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"each replica gets the notifications of the others", "sequence numbers over all replicas"}},

		{"numbers notifications by itself", func(i int, s store.Store) store.Store {
			next := s.Watch
			s.Watch = watch(func(ctx context.Context, ready func(), notify func(store.Notification)) error {
				return next.Watch(ctx, ready, func(n store.Notification) {
					if n.Kind != store.NotificationHeartbeat {
						n.Sequence *= uint64(i + 1)
					}
					notify(n)
				})
			})
			return s
		}, []string{"sequence numbers over all replicas"}},

		{"stores a rotation in two steps", func(_ int, s store.Store) store.Store {
			var mu sync.Mutex
			half := map[string]bool{}
			return withKeys(s, keys{
				update: func(ctx context.Context, k store.Key, c store.Change) error {
					mu.Lock()
					half[k.ID] = true
					mu.Unlock()
					err := s.Keys.Update(ctx, k, c)
					return err
				},
				lookup: func(ctx context.Context, id string) (store.Found, error) {
					found, err := s.Keys.Lookup(ctx, id)
					mu.Lock()
					defer mu.Unlock()
					if half[id] && len(found.Key.Credentials) > 1 {
						found.Key.Credentials = found.Key.Credentials[:1]
						delete(half, id)
					}
					return found, err
				},
			})
		}, []string{"B22 rotations with one version"}},
	}
}

// caching calls next once for each argument, and then returns the same result.
func caching[K comparable, V any](next func(context.Context, K) (V, error)) func(context.Context, K) (V, error) {
	type answer struct {
		value V
		err   error
	}
	var mu sync.Mutex
	known := map[K]answer{}
	return func(ctx context.Context, k K) (V, error) {
		mu.Lock()
		defer mu.Unlock()
		a, ok := known[k]
		if !ok {
			a.value, a.err = next(ctx, k)
			known[k] = a
		}
		return a.value, a.err
	}
}
