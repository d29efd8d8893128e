package storetest_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// recordBreakages are faults of epochs, preconditions and lists.
func recordBreakages() []breakage {
	return []breakage{
		{"does not raise a key's epoch", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				c.RevokeTokens = false
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Epochs/a change raises the key's epoch if RevokeTokens is set", "Epochs/each raise is higher"}},

		{"raises a key's epoch with every change", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				c.RevokeTokens = true
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Epochs/a change raises the key's epoch if RevokeTokens is set"}},

		{"does not raise the epochs of settings", func(s store.Store) store.Store {
			return withRaises(s, false)
		}, []string{"Epochs/settings raise their epochs if RevokeTokens is set", "Epochs/epochs follow the store's clock", "Epochs/each raise is higher"}},

		{"raises the epochs of settings with every change", func(s store.Store) store.Store {
			return withRaises(s, true)
		}, []string{"Epochs/settings raise their epochs if RevokeTokens is set"}},

		{"counts epochs from 1", func(s store.Store) store.Store {
			first := map[string]int64{}
			count := func(k *store.Key) {
				if first[k.ID] == 0 {
					first[k.ID] = k.Epoch - 1
				}
				k.Epoch -= first[k.ID]
			}
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				count(&found.Key)
				return found, err
			}})
		}, []string{"Epochs/epochs follow the store's clock"}},

		{"raises epochs in steps of a thousand", func(s store.Store) store.Store {
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				found.Key.Epoch -= found.Key.Epoch % 1000
				return found, err
			}})
		}, []string{"Epochs/each raise is higher"}},

		{"answers with the epochs of the token", func(s store.Store) store.Store {
			next := s.Epochs
			s.Epochs = epochs{Epochs: next, read: func(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
				state, err := next.Read(ctx, ref)
				state.Key = max(state.Key, ref.Epochs[2])
				return state, err
			}}
			return s
		}, []string{"Epochs/the token's epochs do not change the result"}},

		{"ignores preconditions", func(s store.Store) store.Store {
			return withoutPreconditions(s, func(store.Precondition) bool { return true })
		}, []string{
			"Preconditions/Create depends on an acting key", "Preconditions/Update depends on an acting key that is deleted",
			"Preconditions/Delete depends on the instance", "Preconditions/SetInstance depends on a workspace saved before",
			"Preconditions/SetWorkspace depends on an acting key", "Preconditions/DeleteWorkspace depends on the key's workspace",
			"Preconditions/a higher version or an unknown key is ErrConflict", "Preconditions/B27 no creation succeeds on outdated preconditions",
		}},

		{"ignores preconditions of version 0", func(s store.Store) store.Store {
			return withoutPreconditions(s, func(p store.Precondition) bool { return p.Version == 0 })
		}, []string{"Preconditions/Create depends on the key's workspace", "Preconditions/a higher version or an unknown key is ErrConflict"}},

		{"refuses settings that were never saved", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				for _, p := range c.Preconditions {
					if p.Version == 0 {
						return store.ErrConflict
					}
				}
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Preconditions/Create succeeds if its preconditions hold"}},

		{"checks preconditions before the one-time id", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				return checkFirst(ctx, s, c, func() error { return s.Keys.Create(ctx, k, limit, c) })
			}})
		}, []string{"Preconditions/a spent one-time id comes before preconditions"}},

		{"checks preconditions before the write, not with it", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				return checkFirst(ctx, s, c, func() error {
					runtime.Gosched()
					c.Preconditions = nil
					return s.Keys.Create(ctx, k, limit, c)
				})
			}})
		}, []string{"Preconditions/B27 no creation succeeds on outdated preconditions"}},

		{"returns local time as its clock", func(s store.Store) store.Store {
			s.Upkeep = upkeep{Upkeep: s.Upkeep, clock: func(context.Context) (time.Time, error) {
				return time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600)), nil
			}}
			return s
		}, []string{"Clock/reads the store's clock"}},

		{"keeps the last Until of a list entry", func(s store.Store) store.Store {
			next := s.HostLists
			s.HostLists = hostLists{HostLists: next, record: func(ctx context.Context, entries ...store.ListEntry) error {
				for _, e := range entries {
					if err := next.Forget(ctx, e.List, e.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				return next.Record(ctx, entries...)
			}}
			return s
		}, []string{"Lists/the later Until stays", "Lists/another fingerprint is ErrConflict"}},

		{"records the entries of a list one by one", func(s store.Store) store.Store {
			next := s.HostLists
			s.HostLists = hostLists{HostLists: next, record: func(ctx context.Context, entries ...store.ListEntry) error {
				for _, e := range entries {
					if err := next.Record(ctx, e); err != nil {
						return err
					}
				}
				return nil
			}}
			return s
		}, []string{"Lists/another fingerprint is ErrConflict"}},

		{"forgets all entries of a list", func(s store.Store) store.Store {
			next := s.HostLists
			s.HostLists = hostLists{HostLists: next, forget: func(ctx context.Context, list store.ListName, name string) error {
				entries, err := next.Entries(ctx)
				for _, e := range entries {
					err = errors.Join(err, next.Forget(ctx, e.List, e.Name))
				}
				return err
			}}
			return s
		}, []string{"Lists/forget removes one entry"}},

		{"lists entries unsorted", func(s store.Store) store.Store {
			next := s.HostLists
			s.HostLists = hostLists{HostLists: next, entries: func(ctx context.Context) ([]store.ListEntry, error) {
				entries, err := next.Entries(ctx)
				slices.Reverse(entries)
				return entries, err
			}}
			return s
		}, []string{"Lists/records entries", "Lists/concurrent records of one entry"}},
	}
}

// withRaises raises the epochs of settings with every save, or with none.
func withRaises(s store.Store, always bool) store.Store {
	next := s.Settings
	s.Settings = settings{Settings: next,
		setInstance: func(ctx context.Context, in store.InstanceSettings, c store.Change) error {
			c.RevokeTokens = always
			return next.SetInstance(ctx, in, c)
		},
		setWorkspace: func(ctx context.Context, w store.Workspace, c store.Change) error {
			c.RevokeTokens = always
			return next.SetWorkspace(ctx, w, c)
		},
	}
	return s
}

// withoutPreconditions removes the preconditions for which ignored returns true.
func withoutPreconditions(s store.Store, ignored func(store.Precondition) bool) store.Store {
	less := func(c store.Change) store.Change {
		c.Preconditions = slices.DeleteFunc(slices.Clone(c.Preconditions), ignored)
		return c
	}
	next := s.Settings
	s.Settings = settings{Settings: next,
		setInstance: func(ctx context.Context, in store.InstanceSettings, c store.Change) error {
			return next.SetInstance(ctx, in, less(c))
		},
		setWorkspace: func(ctx context.Context, w store.Workspace, c store.Change) error {
			return next.SetWorkspace(ctx, w, less(c))
		},
		deleteWorkspace: func(ctx context.Context, id string, at time.Time, c store.Change) error {
			return next.DeleteWorkspace(ctx, id, at, less(c))
		},
	}
	return withKeys(s, keys{
		create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
			return s.Keys.Create(ctx, k, limit, less(c))
		},
		update: func(ctx context.Context, k store.Key, c store.Change) error { return s.Keys.Update(ctx, k, less(c)) },
		remove: func(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
			return s.Keys.Delete(ctx, workspace, id, version, at, less(c))
		},
	})
}

// checkFirst checks the preconditions of c, and then calls do.
func checkFirst(ctx context.Context, s store.Store, c store.Change, do func() error) error {
	for _, p := range c.Preconditions {
		version := current(ctx, s, p.Key).Version
		if p.Key == "" {
			in, err := s.Settings.Instance(ctx)
			if version = in.Version; p.Workspace != "" {
				var w store.Workspace
				w, err = s.Settings.Workspace(ctx, p.Workspace)
				version = w.Version
			}
			if err != nil {
				return err
			}
		}
		if version != p.Version {
			return store.ErrConflict
		}
	}
	return do()
}
