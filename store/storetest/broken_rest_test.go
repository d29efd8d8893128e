package storetest_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func changeBreakages() []breakage {
	return []breakage{
		{"loses the event", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				c.Events = nil
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Change/Update writes its event and spends its one-time id"}},

		{"writes the event of a refused change", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				if err := s.Events.Append(ctx, c.Events...); err != nil {
					return err
				}
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Change/Update, conflict: writes nothing", "Change/Update, foreign: writes nothing"}},

		{"accepts a spent one-time id in a change", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				c.Once = nil
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Create/checks in order", "OnceIDs/B18 a spend and a change share ids", "Races/one change, sent many times"}},

		{"spends the one-time id of a refused change", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				if c.Once != nil {
					if err := s.OnceIDs.Spend(ctx, *c.Once, c.Now); err != nil {
						return err
					}
				}
				c.Once = nil
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Change/Create, limit: writes nothing", "Change/Create, id taken: writes nothing"}},

		{"never frees a one-time id", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				c.Now = time.Time{}
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Change/Update accepts an expired one-time id"}},

		{"ignores the version of settings", func(s store.Store) store.Store {
			next := s.Settings
			s.Settings = settings{Settings: next, setInstance: func(ctx context.Context, in store.InstanceSettings, c store.Change) error {
				stored, _ := next.Instance(ctx)
				in.Version = stored.Version
				return next.SetInstance(ctx, in, c)
			}}
			return s
		}, []string{"Settings/another version is ErrConflict", "Races/settings with one version", "Change/SetInstance, conflict: writes nothing"}},

		{"leaves out zero durations of reminders", func(s store.Store) store.Store {
			next := s.Settings
			s.Settings = settings{Settings: next, setInstance: func(ctx context.Context, in store.InstanceSettings, c store.Change) error {
				in.Reminders.Before = slices.DeleteFunc(slices.Clone(in.Reminders.Before), func(before time.Duration) bool { return before == 0 })
				return next.SetInstance(ctx, in, c)
			}}
			return s
		}, []string{"Settings/reminders keep their places"}},

		{"deletes a workspace but not its keys", func(s store.Store) store.Store {
			next := s.Settings
			s.Settings = settings{Settings: next, deleteWorkspace: func(ctx context.Context, id string, _ time.Time, c store.Change) error {
				w, _ := next.Workspace(ctx, id)
				w.Suspended = true
				return next.SetWorkspace(ctx, w, c)
			}}
			return s
		}, []string{"Workspaces/deletes all keys", "Workspaces/a deleted record stays", "Workspaces/deleted is final"}},

		{"deletes a workspace through its settings", func(s store.Store) store.Store {
			next := s.Settings
			s.Settings = settings{Settings: next, setWorkspace: func(ctx context.Context, w store.Workspace, c store.Change) error {
				if w.Deleted {
					return next.DeleteWorkspace(ctx, w.ID, w.Updated, c)
				}
				return next.SetWorkspace(ctx, w, c)
			}}
			return s
		}, []string{"Settings/only DeleteWorkspace deletes"}},

		{"purges at the instant itself", func(s store.Store) store.Store {
			next := s.Upkeep
			s.Upkeep = upkeep{Upkeep: next, purge: func(ctx context.Context, before time.Time) (int, error) {
				return next.Purge(ctx, before.Add(time.Microsecond))
			}}
			return s
		}, []string{"Upkeep/purge removes old tombstones"}},

		{"raises the version with each use", func(s store.Store) store.Store {
			next := s.Upkeep
			s.Upkeep = upkeep{Upkeep: next, recordUses: func(ctx context.Context, uses []store.Use) error {
				for _, use := range uses {
					if k := current(ctx, s, use.Key); k.ID != "" {
						_ = s.Keys.Update(ctx, k, store.Change{})
					}
				}
				return next.RecordUses(ctx, uses)
			}}
			return s
		}, []string{"Upkeep/RecordUses records a use", "Upkeep/upkeep does not conflict with a change"}},

		{"rewrites any digest", func(s store.Store) store.Store {
			next := s.Upkeep
			s.Upkeep = upkeep{Upkeep: next, rehash: func(ctx context.Context, key, secret, from, to string) error {
				for _, held := range current(ctx, s, key).Credentials {
					if held.ID == secret {
						from = held.Digest
					}
				}
				return next.Rehash(ctx, key, secret, from, to)
			}}
			return s
		}, []string{"Upkeep/rehash compares the digest"}},
	}
}

func otherBreakages() []breakage {
	return []breakage{
		{"adds an event twice", func(s store.Store) store.Store {
			next := s.Events
			var extra []store.Event
			s.Events = events{Events: next,
				append: func(ctx context.Context, list ...store.Event) error {
					extra = append(extra, list...)
					return nil
				},
				list: func(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
					page, err := next.List(ctx, q)
					page.Events = append(page.Events, extra...)
					return page, err
				},
			}
			return s
		}, []string{"Events/an id is added once"}},

		{"lists events at the end of the span", func(s store.Store) store.Store {
			next := s.Events
			s.Events = events{Events: next, list: func(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
				if !q.To.IsZero() {
					q.To = q.To.Add(time.Microsecond)
				}
				return next.List(ctx, q)
			}}
			return s
		}, []string{"Events/conditions"}},

		{"prunes events at the instant itself", func(s store.Store) store.Store {
			next := s.Events
			s.Events = events{Events: next, prune: func(ctx context.Context, before time.Time) (int, error) {
				return next.Prune(ctx, before.Add(time.Microsecond))
			}}
			return s
		}, []string{"Events/prune removes what is older"}},

		{"returns zero epochs for an unknown key", func(s store.Store) store.Store {
			next := s.Epochs
			s.Epochs = epochs{Epochs: next, read: func(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
				state, err := next.Read(ctx, ref)
				if errors.Is(err, store.ErrNotFound) {
					return store.EpochState{}, nil
				}
				return state, err
			}}
			return s
		}, []string{"Epochs/an unknown key is ErrNotFound", "Epochs/another workspace is ErrNotFound", "Epochs/a deleted key's tokens are refused"}},

		{"reports unsaved settings as saved", func(s store.Store) store.Store {
			next := s.Epochs
			s.Epochs = epochs{Epochs: next, read: func(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
				state, err := next.Read(ctx, ref)
				state.InstanceVersion = max(state.InstanceVersion, 1)
				return state, err
			}}
			return s
		}, []string{"Epochs/says whether the instance's settings were saved"}},

		{"forgets revocations", func(s store.Store) store.Store {
			next := s.Epochs
			s.Epochs = epochs{Epochs: next, read: func(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
				state, err := next.Read(ctx, ref)
				state.Revoked = false
				return state, err
			}}
			return s
		}, []string{"Epochs/revoke revokes one token"}},

		{"spends a one-time id twice", func(s store.Store) store.Store {
			next := s.OnceIDs
			s.OnceIDs = onceIDs{OnceIDs: next, spend: func(ctx context.Context, id store.OnceID, now time.Time) error {
				if err := next.Spend(ctx, id, now); !errors.Is(err, store.ErrExists) {
					return err
				}
				return nil
			}}
			return s
		}, []string{"OnceIDs/B18 an id is spent once", "OnceIDs/B18 one of many spends wins", "OnceIDs/expires by the caller's clock"}},

		{"expires one-time ids by its own clock", func(s store.Store) store.Store {
			next := s.OnceIDs
			s.OnceIDs = onceIDs{OnceIDs: next, spend: func(ctx context.Context, id store.OnceID, _ time.Time) error {
				return next.Spend(ctx, id, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
			}}
			return s
		}, []string{"OnceIDs/expires by the caller's clock"}},

		{"joins space and id", func(s store.Store) store.Store {
			next := s.OnceIDs
			s.OnceIDs = onceIDs{OnceIDs: next, spend: func(ctx context.Context, id store.OnceID, now time.Time) error {
				id.Space, id.ID = "", id.Space+":"+id.ID
				return next.Spend(ctx, id, now)
			}}
			return s
		}, []string{"OnceIDs/spaces are separate"}},

		{"accepts every rotation", func(s store.Store) store.Store {
			next := s.SigningKeys
			s.SigningKeys = signingKeys{SigningKeys: next, set: func(ctx context.Context, r store.Ring) error {
				stored, _ := next.Ring(ctx)
				r.Version = stored.Version
				return next.SetRing(ctx, r)
			}}
			return s
		}, []string{"SigningKeys/another version is ErrConflict"}},

		{"shows usage to every workspace", func(s store.Store) store.Store {
			next := s.Usage
			s.Usage = usage{Usage: next, byDay: func(ctx context.Context, _, key string, from, to time.Time) ([]store.Count, error) {
				return next.ByDay(ctx, "team-a", key, from, to)
			}}
			return s
		}, []string{"Usage/another workspace sees nothing"}},

		{"replaces counts", func(s store.Store) store.Store {
			next := s.Usage
			s.Usage = usage{Usage: next, add: func(ctx context.Context, counts []store.Count) error {
				_, _ = next.Prune(ctx, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
				return next.Add(ctx, counts)
			}}
			return s
		}, []string{"Usage/adds up by day", "Usage/no count is lost"}},

		{"counts refused attempts", func(s store.Store) store.Store {
			next := s.Limiter
			s.Limiter = limiter(func(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
				ahead, moved, err := next.Advance(ctx, id, now, by, window)
				if !moved && by > 0 {
					ahead, _, err = next.Advance(ctx, id, now, by, 24*time.Hour)
				}
				return ahead, moved, err
			})
			return s
		}, []string{"Limiter/moves within the window", "Limiter/refills as time goes by"}},

		{"counts all ids together", func(s store.Store) store.Store {
			next := s.Limiter
			s.Limiter = limiter(func(ctx context.Context, _ string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
				return next.Advance(ctx, "", now, by, window)
			})
			return s
		}, []string{"Limiter/ids do not share their count"}},

		{"blocks for as long as a clock was ahead", func(s store.Store) store.Store {
			latest := map[string]time.Time{}
			next := s.Limiter
			s.Limiter = limiter(func(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
				if latest[id].After(now) {
					return latest[id].Sub(now), false, nil
				}
				latest[id] = now
				return next.Advance(ctx, id, now, by, window)
			})
			return s
		}, []string{"Limiter/B29 a wrong clock blocks for one window at most"}},

		{"allows everything to a clock that is behind", func(s store.Store) store.Store {
			latest := map[string]time.Time{}
			next := s.Limiter
			s.Limiter = limiter(func(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
				if latest[id].After(now) {
					return by, true, nil
				}
				latest[id] = now
				return next.Advance(ctx, id, now, by, window)
			})
			return s
		}, []string{"Limiter/a clock that is behind allows nothing at once"}},

		{"limits nothing", func(s store.Store) store.Store {
			s.Limiter = limiter(func(_ context.Context, _ string, _ time.Time, by, _ time.Duration) (time.Duration, bool, error) {
				return by, true, nil
			})
			return s
		}, []string{"Limiter/exactly window/step attempts at one instant pass", "Limiter/a step longer than the window never moves"}},

		{"skips sequence numbers", func(s store.Store) store.Store {
			next := s.Watch
			s.Watch = watch(func(ctx context.Context, ready func(), notify func(store.Notification)) error {
				return next.Watch(ctx, ready, func(n store.Notification) { n.Sequence *= 2; notify(n) })
			})
			return s
		}, []string{"Watch/sequence numbers rise by one"}},

		{"is ready without listening", func(s store.Store) store.Store {
			s.Watch = watch(func(_ context.Context, ready func(), _ func(store.Notification)) error {
				ready()
				return store.ErrUnavailable
			})
			return s
		}, []string{"Watch/sends a notification for every change", "Watch/ends with its context"}},

		{"sends notifications without the workspace", func(s store.Store) store.Store {
			next := s.Watch
			s.Watch = watch(func(ctx context.Context, ready func(), notify func(store.Notification)) error {
				return next.Watch(ctx, ready, func(n store.Notification) { n.Workspace = ""; notify(n) })
			})
			return s
		}, []string{"Watch/sends a notification for every change", "Watch/a refused change sends no notification"}},

		{"watches without heartbeats", func(s store.Store) store.Store {
			next := s.Watch
			s.Watch = watch(func(ctx context.Context, ready func(), notify func(store.Notification)) error {
				return next.Watch(ctx, ready, func(n store.Notification) {
					if n.Kind != store.NotificationHeartbeat {
						notify(n)
					}
				})
			})
			return s
		}, []string{"Watch/heartbeats repeat the last number"}},
	}
}
