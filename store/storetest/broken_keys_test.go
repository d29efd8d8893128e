package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// breakage is a fault that a driver may have, and the rules that must find it.
type breakage struct {
	name   string
	damage func(s store.Store) store.Store
	rules  []string
}

func breakages() []breakage {
	return slices.Concat(keyBreakages(), secretBreakages(), credentialBreakages(), workspaceBreakages(), changeBreakages(), recordBreakages(), otherBreakages())
}

func withKeys(s store.Store, k keys) store.Store {
	k.Keys = s.Keys
	s.Keys = k
	return s
}

// withInstance changes the instance's settings that are saved.
func withInstance(s store.Store, change func(in *store.Instance)) store.Store {
	next := s.Settings
	s.Settings = settings{Settings: next, setInstance: func(ctx context.Context, in store.InstanceSettings, c store.Change) error {
		change(&in.Instance)
		return next.SetInstance(ctx, in, c)
	}}
	return s
}

func keyBreakages() []breakage {
	return []breakage{
		{"lists keys without their settings", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				page, err := s.Keys.List(ctx, q)
				page.Workspaces, page.Instance = nil, store.Instance{}
				return page, err
			}})
		}, []string{"List/returns the settings of the keys"}},

		{"does not store admin permissions", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				k.AdminPermissions = scope.Set{}
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Create/keeps every field"}},

		{"does not store that a key may be used directly", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				k.Direct = false
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Create/keeps every field"}},

		{"does not change that a key may be used directly", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				k.Direct = current(ctx, s, k.ID).Direct
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Update/replaces the record"}},

		{"does not store DirectOff", func(s store.Store) store.Store {
			return withInstance(s, func(in *store.Instance) { in.DirectOff = false })
		}, []string{"Settings/keeps every field", "Lookup/returns the settings of the key", "Secrets/returns the settings of the key"}},

		{"takes KeysOff for DirectOff", func(s store.Store) store.Store {
			return withInstance(s, func(in *store.Instance) { in.DirectOff = in.KeysOff })
		}, []string{"Settings/keeps every field"}},

		{"does not store the limits of requests", func(s store.Store) store.Store {
			return withInstance(s, func(in *store.Instance) { in.Rules.KeyRequests, in.Rules.WorkspaceRequests = 0, 0 })
		}, []string{"Settings/keeps every field"}},

		{"ignores the limit", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, _ int, c store.Change) error {
				return s.Keys.Create(ctx, k, store.NoLimit, c)
			}})
		}, []string{"Create/the limit holds", "Create/disabled and expired keys count", "Races/B05 creates under a limit"}},

		{"counts keys before the write, not with it", func(s store.Store) store.Store {
			// All calls of a round count before the first of them creates.
			var mu sync.Mutex
			arrived := map[string]int{}
			gates := map[string]chan struct{}{}
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				w, err := s.Settings.Workspace(ctx, k.Workspace)
				if err != nil {
					return err
				}
				mu.Lock()
				if gates[k.Workspace] == nil {
					gates[k.Workspace] = make(chan struct{})
				}
				gate := gates[k.Workspace]
				if arrived[k.Workspace]++; arrived[k.Workspace] == 24 {
					close(gate)
				}
				mu.Unlock()
				<-gate
				if w.Keys >= limit {
					return store.ErrLimit
				}
				return s.Keys.Create(ctx, k, store.NoLimit, c)
			}})
		}, []string{"Races/B05 creates under a limit"}},

		{"checks the limit before the id", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				if w, _ := s.Settings.Workspace(ctx, k.Workspace); limit != store.NoLimit && w.Keys >= limit {
					return store.ErrLimit
				}
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Create/checks in order"}},

		{"stores the version that the caller passes", func(s store.Store) store.Store {
			var version int64
			return withKeys(s, keys{
				create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
					version = k.Version
					return s.Keys.Create(ctx, k, limit, c)
				},
				lookup: func(ctx context.Context, id string) (store.Found, error) {
					found, err := s.Keys.Lookup(ctx, id)
					found.Key.Version = version
					return found, err
				},
			})
		}, []string{"Create/starts at version 1"}},

		{"folds the case of ids", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				k.ID = strings.ToLower(k.ID)
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{"Create/ids are compared byte by byte"}},

		{"shares slices", func(s store.Store) store.Store {
			kept := map[string]store.Found{}
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				if found, ok := kept[id]; ok {
					return found, nil
				}
				found, err := s.Keys.Lookup(ctx, id)
				if err == nil {
					kept[id] = found
				}
				return found, err
			}})
		}, []string{"Create/copies in and out"}},

		{"returns local times", func(s store.Store) store.Store {
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				found.Key.Created = found.Key.Created.In(time.FixedZone("east", 3600))
				return found, err
			}})
		}, []string{"Create/stores times in UTC"}},

		{"returns a zero record for a missing key", func(s store.Store) store.Store {
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				if errors.Is(err, store.ErrNotFound) {
					return store.Found{}, nil
				}
				return found, err
			}})
		}, []string{"Lookup/missing is ErrNotFound", "Delete/removes the key"}},

		{"hides expired keys", func(s store.Store) store.Store {
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				if err == nil && !found.Key.NotAfter.IsZero() && found.Key.NotAfter.Before(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
					return store.Found{}, store.ErrNotFound
				}
				return found, err
			}})
		}, []string{"Lookup/finds disabled and expired keys"}},

		{"returns no settings with a key", func(s store.Store) store.Store {
			return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				found.Instance = store.Instance{}
				return found, err
			}})
		}, []string{"Lookup/returns the settings of the key"}},

		{"ignores the version", func(s store.Store) store.Store {
			return withKeys(s, keys{
				update: func(ctx context.Context, k store.Key, c store.Change) error {
					k.Version = current(ctx, s, k.ID).Version
					return s.Keys.Update(ctx, k, c)
				},
				remove: func(ctx context.Context, workspace, id string, _ int64, at time.Time, c store.Change) error {
					return s.Keys.Delete(ctx, workspace, id, 0, at, c)
				},
			})
		}, []string{"Update/another version is ErrConflict", "Races/B22 rotations with one version", "Delete/compares the version"}},

		{"allows changes from another workspace", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				k.Workspace = current(ctx, s, k.ID).Workspace
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Update/another workspace is ErrNotFound"}},

		{"returns a conflict to another workspace", func(s store.Store) store.Store {
			return withKeys(s, keys{remove: func(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
				if now := current(ctx, s, id).Version; now != 0 && version != 0 && version != now {
					return store.ErrConflict
				}
				return s.Keys.Delete(ctx, workspace, id, version, at, c)
			}})
		}, []string{"Update/another workspace is ErrNotFound", "Update/checks in order"}},

		{"stores the epoch that the caller passes", func(s store.Store) store.Store {
			last := map[string]int64{}
			return withKeys(s, keys{
				update: func(ctx context.Context, k store.Key, c store.Change) error {
					last[k.ID] = k.Epoch
					return s.Keys.Update(ctx, k, c)
				},
				lookup: func(ctx context.Context, id string) (store.Found, error) {
					found, err := s.Keys.Lookup(ctx, id)
					if epoch, ok := last[id]; ok {
						found.Key.Epoch = epoch
					}
					return found, err
				},
			})
		}, []string{"Epochs/a change raises the key's epoch if RevokeTokens is set"}},

		{"restores an old digest", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				err := s.Keys.Update(ctx, k, c)
				for i, held := range current(ctx, s, k.ID).Credentials {
					if err == nil && i < len(k.Credentials) {
						_ = s.Upkeep.Rehash(ctx, k.ID, held.ID, held.Digest, k.Credentials[i].Digest)
					}
				}
				return err
			}})
		}, []string{"Update/keeps the digests"}},

		{"leaves no tombstone", func(s store.Store) store.Store {
			return withKeys(s, keys{remove: func(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
				err := s.Keys.Delete(ctx, workspace, id, version, at, c)
				_, _ = s.Upkeep.Purge(ctx, at.AddDate(100, 0, 0))
				return err
			}})
		}, []string{"Delete/leaves a tombstone", "Upkeep/purge removes old tombstones"}},

		{"uses counts as cursors", func(s store.Store) store.Store {
			// The cursor becomes the number of keys shown so far.
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				skip := 0
				if q.After != nil {
					skip, _ = strconv.Atoi(q.After.ID)
				}
				limit := q.Limit
				q.After, q.Limit = nil, store.MaxPage
				page, err := s.Keys.List(ctx, q)
				page.Keys = page.Keys[min(skip, len(page.Keys)):]
				if limit > 0 && len(page.Keys) > limit {
					page.Keys = page.Keys[:limit]
					page.Next = &store.KeyCursor{ID: strconv.Itoa(skip + limit)}
				}
				return page, err
			}})
		}, []string{"Cursor/keys are created and deleted between pages", "Cursor/the key of the cursor is deleted"}},

		{"offers a next page after the last", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				page, err := s.Keys.List(ctx, q)
				if n := len(page.Keys); n > 0 && n == q.Limit && page.Next == nil {
					page.Next = &store.KeyCursor{ID: page.Keys[n-1].ID, Time: page.Keys[n-1].Created, Name: page.Keys[n-1].Name}
				}
				return page, err
			}})
		}, []string{"List/the size of a page"}},

		{"shortens large pages silently", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				q.Limit = min(max(q.Limit, 0), store.MaxPage)
				return s.Keys.List(ctx, q)
			}})
		}, []string{"List/the size of a page"}},

		{"lists all workspaces", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				q.Workspace = ""
				return s.Keys.List(ctx, q)
			}})
		}, []string{"List/a workspace sees its own keys only", "Cursor/a cursor gives no access to another workspace"}},

		{"ignores the creators of secrets", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				if q.CreatorID != "" {
					q.CreatedBy.ID, q.CreatorID = q.CreatorID, ""
				}
				return s.Keys.List(ctx, q)
			}})
		}, []string{"List/keys of a creator"}},

		{"matches a prefix of a creator's id", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				if q.CreatorID == "crea" {
					q.CreatorID = "creator"
				}
				return s.Keys.List(ctx, q)
			}})
		}, []string{"List/keys of a creator"}},

		{"ignores a condition", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				q.NotAfterTo = time.Time{}
				return s.Keys.List(ctx, q)
			}})
		}, []string{"List/conditions"}},

		{"loses the requested permissions", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				k.RequestedPermissions = scope.Set{}
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Update/replaces the record"}},

		{"ignores a context that has ended", func(s store.Store) store.Store {
			return withKeys(s, keys{
				create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
					return s.Keys.Create(context.WithoutCancel(ctx), k, limit, c)
				},
				lookup: func(ctx context.Context, id string) (store.Found, error) {
					return s.Keys.Lookup(context.WithoutCancel(ctx), id)
				},
			})
		}, []string{"Context/Keys.Create", "Context/Keys.Lookup"}},

		{"checks the context after the write", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				if err := s.Keys.Update(context.WithoutCancel(ctx), k, c); err != nil {
					return err
				}
				return ctx.Err()
			}})
		}, []string{"Context/Keys.Update"}},
	}
}
