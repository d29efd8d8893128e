package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// secrets is a store.Secrets.
type secrets func(ctx context.Context, secretID string) (store.Found, error)

func (w secrets) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return w(ctx, secretID)
}

// withSecrets changes the results of LookupSecret. change gets the id and may return an error.
func withSecrets(s store.Store, change func(id string, found *store.Found) error) store.Store {
	next := s.Secrets
	s.Secrets = secrets(func(ctx context.Context, id string) (store.Found, error) {
		found, err := next.LookupSecret(ctx, id)
		if err == nil {
			err = change(id, &found)
		}
		if err != nil {
			return store.Found{}, err
		}
		return found, nil
	})
	return s
}

// withIDs changes the ids that LookupSecret gets.
func withIDs(s store.Store, change func(id string) string) store.Store {
	next := s.Secrets
	s.Secrets = secrets(func(ctx context.Context, id string) (store.Found, error) {
		return next.LookupSecret(ctx, change(id))
	})
	return s
}

// onTaken calls do in place of a Create or Update that was refused with ErrCredentialExists.
func onTaken(s store.Store, do func(k store.Key, c store.Change, again func(store.Key) error) error) store.Store {
	return withKeys(s, keys{
		create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
			err := s.Keys.Create(ctx, k, limit, c)
			if errors.Is(err, store.ErrCredentialExists) {
				return do(k, c, func(k store.Key) error { return s.Keys.Create(ctx, k, limit, c) })
			}
			return err
		},
		update: func(ctx context.Context, k store.Key, c store.Change) error {
			err := s.Keys.Update(ctx, k, c)
			if errors.Is(err, store.ErrCredentialExists) {
				return do(k, c, func(k store.Key) error { return s.Keys.Update(ctx, k, c) })
			}
			return err
		},
	})
}

// beforeWrite calls check before each Create and Update.
func beforeWrite(s store.Store, check func(ctx context.Context, k store.Key) error) store.Store {
	return withKeys(s, keys{
		create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
			if err := check(ctx, k); err != nil {
				return err
			}
			return s.Keys.Create(ctx, k, limit, c)
		},
		update: func(ctx context.Context, k store.Key, c store.Change) error {
			if err := check(ctx, k); err != nil {
				return err
			}
			return s.Keys.Update(ctx, k, c)
		},
	})
}

// taken returns ErrCredentialExists if a key but for own has one of the secrets.
func taken(ctx context.Context, s store.Store, k store.Key, own string) error {
	for _, secret := range k.Credentials {
		if found, err := s.Secrets.LookupSecret(ctx, secret.ID); err == nil && found.Key.ID != own {
			return store.ErrCredentialExists
		}
	}
	return nil
}

// withoutSecrets accepts a change whose secrets are taken, without them.
func withoutSecrets(k store.Key, _ store.Change, again func(store.Key) error) error {
	k.Credentials = nil
	return again(k)
}

func secretBreakages() []breakage {
	early := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	isEarly := func(t time.Time) bool { return !t.IsZero() && t.Before(early) }
	hides := func(hidden func(id string, k store.Key) bool) func(store.Store) store.Store {
		return func(s store.Store) store.Store {
			return withSecrets(s, func(id string, found *store.Found) error {
				if hidden(id, found.Key) {
					return store.ErrNotFound
				}
				return nil
			})
		}
	}
	edits := func(edit func(found *store.Found)) func(store.Store) store.Store {
		return func(s store.Store) store.Store {
			return withSecrets(s, func(_ string, found *store.Found) error { edit(found); return nil })
		}
	}
	reads := func(change func(id string) string) func(store.Store) store.Store {
		return func(s store.Store) store.Store { return withIDs(s, change) }
	}
	unknown, bytewise := "Secrets/an unknown id is ErrNotFound", "Secrets/ids are compared byte by byte"
	exists := "Secrets/another key's credential is ErrCredentialExists"
	freed := []string{"Secrets/a removed secret is free", "Secrets/the secrets of a deleted key are free", "Secrets/the secrets of a deleted workspace are free"}
	return []breakage{
		{"finds a key by its first secret only", hides(func(id string, k store.Key) bool { return k.Credentials[0].ID != id }), []string{"Secrets/finds a key by each of its credentials"}},
		{"finds no disabled key by a secret", hides(func(_ string, k store.Key) bool { return k.Disabled }), []string{"Secrets/finds disabled and expired keys and secrets"}},
		{"finds no expired key by a secret", hides(func(_ string, k store.Key) bool { return isEarly(k.NotAfter) }), []string{"Secrets/finds disabled and expired keys and secrets"}},
		{"finds no key by an expired secret", hides(func(id string, k store.Key) bool {
			return slices.ContainsFunc(k.Credentials, func(s store.Credential) bool { return s.ID == id && isEarly(s.NotAfter) })
		}), []string{"Secrets/finds disabled and expired keys and secrets"}},
		{"returns no settings of the instance by a secret", edits(func(f *store.Found) { f.Instance = store.Instance{} }), []string{"Secrets/returns the settings of the key"}},
		{"returns no settings of the workspace by a secret", edits(func(f *store.Found) { f.Workspace = store.Workspace{} }), []string{"Secrets/finds a key by each of its credentials", "Secrets/returns the settings of the key"}},
		{"returns the one secret only", edits(func(f *store.Found) { f.Key.Credentials = f.Key.Credentials[:1] }), []string{"Secrets/finds a key by each of its credentials"}},

		{"returns a zero record for an unknown secret", func(s store.Store) store.Store {
			next := s.Secrets
			s.Secrets = secrets(func(ctx context.Context, id string) (store.Found, error) {
				found, err := next.LookupSecret(ctx, id)
				if errors.Is(err, store.ErrNotFound) {
					err = nil
				}
				return found, err
			})
			return s
		}, []string{unknown, "Secrets/a rotation adds and removes"}},
		{"is down for an id that is not UTF-8", func(s store.Store) store.Store {
			next := s.Secrets
			s.Secrets = secrets(func(ctx context.Context, id string) (store.Found, error) {
				if strings.ToValidUTF8(id, "") != id {
					return store.Found{}, store.ErrUnavailable
				}
				return next.LookupSecret(ctx, id)
			})
			return s
		}, []string{unknown}},
		{"folds the case of secret ids", reads(strings.ToLower), []string{unknown, bytewise}},
		{"ignores trailing space of secret ids", reads(func(id string) string { return strings.TrimRight(id, " ") }), []string{unknown, bytewise}},
		{"ends secret ids at a NUL", reads(func(id string) string { id, _, _ = strings.Cut(id, "\x00"); return id }), []string{unknown}},
		{"drops what is not UTF-8 of secret ids", reads(func(id string) string { return strings.Replace(id, "\xff", "1", 1) }), []string{unknown}},
		{"cuts long secret ids", reads(func(id string) string { return id[:min(len(id), 254)] }), []string{bytewise}},
		{"takes secret ids for patterns", reads(func(id string) string { return strings.NewReplacer("_", "-").Replace(id) }), []string{unknown, bytewise}},

		{"ignores a context that has ended, by a secret", func(s store.Store) store.Store {
			next := s.Secrets
			s.Secrets = secrets(func(ctx context.Context, id string) (store.Found, error) {
				return next.LookupSecret(context.WithoutCancel(ctx), id)
			})
			return s
		}, []string{"Context/Secrets.LookupSecret"}},

		{"shares slices by a secret", func(s store.Store) store.Store {
			s.Secrets = secrets(caching(s.Secrets.LookupSecret))
			return s
		}, []string{"Secrets/returns a copy"}},

		{"keeps removed secrets", func(s store.Store) store.Store {
			next, kept := s.Secrets, map[string]store.Found{}
			s.Secrets = secrets(func(ctx context.Context, id string) (store.Found, error) {
				found, err := next.LookupSecret(ctx, id)
				if err == nil {
					kept[id] = found
				} else if old, ok := kept[id]; ok {
					return old, nil
				}
				return found, err
			})
			look := s.Secrets
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				err := s.Keys.Create(ctx, k, limit, c)
				for _, secret := range k.Credentials {
					_, _ = look.LookupSecret(ctx, secret.ID)
				}
				return err
			}})
		}, append(freed, "Secrets/a rotation adds and removes")},

		{"keeps the ids of removed secrets taken", func(s store.Store) store.Store {
			owner := map[string]string{}
			return beforeWrite(s, func(_ context.Context, k store.Key) error {
				for _, secret := range k.Credentials {
					if of := owner[secret.ID]; of != "" && of != k.ID {
						return store.ErrCredentialExists
					}
					owner[secret.ID] = k.ID
				}
				return nil
			})
		}, freed},

		{"does not give a removed secret back to its key", func(s store.Store) store.Store {
			removed := map[string]bool{}
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				for _, secret := range current(ctx, s, k.ID).Credentials {
					removed[secret.ID] = !slices.ContainsFunc(k.Credentials, func(s store.Credential) bool { return s.ID == secret.ID })
				}
				if slices.ContainsFunc(k.Credentials, func(s store.Credential) bool { return removed[s.ID] }) {
					return store.ErrCredentialExists
				}
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Secrets/a rotation adds and removes"}},

		{"refuses an update with the key's own secrets", func(s store.Store) store.Store {
			return withKeys(s, keys{update: func(ctx context.Context, k store.Key, c store.Change) error {
				if err := taken(ctx, s, k, ""); err != nil {
					return err
				}
				return s.Keys.Update(ctx, k, c)
			}})
		}, []string{"Secrets/an update keeps its own secrets"}},

		{"loses a secret whose digest is rewritten", func(s store.Store) store.Store {
			lost, next := map[string]bool{}, s.Upkeep
			s.Upkeep = upkeep{Upkeep: next, rehash: func(ctx context.Context, key, secret, from, to string) error {
				lost[secret] = true
				return next.Rehash(ctx, key, secret, from, to)
			}}
			return hides(func(id string, _ store.Key) bool { return lost[id] })(s)
		}, []string{"Secrets/uses and rewritten digests keep the secret"}},

		{"accepts another key's secret", func(s store.Store) store.Store { return onTaken(s, withoutSecrets) },
			[]string{exists, "Secrets/one secret, many creates and updates", "Change/Create, secret taken: writes nothing", "Change/Update, secret taken: writes nothing"}},

		{"refuses another key's secret like a taken id", func(s store.Store) store.Store {
			return onTaken(s, func(store.Key, store.Change, func(store.Key) error) error { return store.ErrExists })
		}, []string{exists}},

		{"checks the first secret only", func(s store.Store) store.Store {
			return onTaken(s, func(k store.Key, _ store.Change, again func(store.Key) error) error {
				k.Credentials = k.Credentials[:1]
				return again(k)
			})
		}, []string{exists}},

		{"checks the secrets of the workspace only", func(s store.Store) store.Store {
			return onTaken(s, func(k store.Key, c store.Change, again func(store.Key) error) error {
				for _, secret := range k.Credentials {
					if found, err := s.Secrets.LookupSecret(context.Background(), secret.ID); err == nil && found.Key.ID != k.ID && found.Key.Workspace == k.Workspace {
						return store.ErrCredentialExists
					}
				}
				return withoutSecrets(k, c, again)
			})
		}, []string{exists}},

		{"writes the event of a refused secret", func(s store.Store) store.Store {
			return onTaken(s, func(_ store.Key, c store.Change, _ func(store.Key) error) error {
				return errors.Join(store.ErrCredentialExists, s.Events.Append(context.Background(), c.Events...))
			})
		}, []string{"Change/Create, secret taken: writes nothing", "Change/Update, secret taken: writes nothing"}},

		{"spends the one-time id of a refused secret", func(s store.Store) store.Store {
			return onTaken(s, func(_ store.Key, c store.Change, _ func(store.Key) error) error {
				return errors.Join(store.ErrCredentialExists, s.OnceIDs.Spend(context.Background(), *c.Once, c.Now))
			})
		}, []string{"Change/Create, secret taken: writes nothing", "Change/Update, secret taken: writes nothing"}},

		{"takes the other ids of a refused key", func(s store.Store) store.Store {
			return onTaken(s, func(k store.Key, _ store.Change, _ func(store.Key) error) error {
				k.Workspace, k.ID = "team-a", "left over"
				k.Credentials = k.Credentials[:1]
				_ = s.Keys.Create(context.Background(), k, store.NoLimit, store.Change{})
				return store.ErrCredentialExists
			})
		}, []string{exists, "Change/Create, secret taken: writes nothing"}},

		{"checks the secrets first", func(s store.Store) store.Store {
			return beforeWrite(s, func(ctx context.Context, k store.Key) error { return taken(ctx, s, k, k.ID) })
		}, []string{"Secrets/checks in order"}},

		{"checks the secrets before the limit", taking(store.ErrLimit), []string{"Secrets/checks in order"}},
		{"checks the secrets before the id and the one-time id", taking(store.ErrExists), []string{"Secrets/checks in order"}},
		{"checks the secrets before the version and the preconditions", taking(store.ErrConflict), []string{"Secrets/checks in order"}},
		{"checks the secrets before the workspace", taking(store.ErrNotFound), []string{"Secrets/checks in order"}},

		{"checks the secrets before the write, not with it", func(s store.Store) store.Store {
			// All calls of a round check before the first of them writes.
			var mu sync.Mutex
			arrived, gates := map[string]int{}, map[string]chan struct{}{}
			return beforeWrite(onTaken(s, withoutSecrets), func(ctx context.Context, k store.Key) error {
				if len(k.Credentials) < 2 {
					return nil
				}
				err := taken(ctx, s, k, k.ID)
				one := k.Credentials[1].ID
				mu.Lock()
				if gates[one] == nil {
					gates[one] = make(chan struct{})
				}
				gate := gates[one]
				if arrived[one]++; arrived[one] == 24 {
					close(gate)
				}
				mu.Unlock()
				<-gate
				return err
			})
		}, []string{"Secrets/one secret, many creates and updates"}},

		{"takes the secret of a deleted key from the next one", func(s store.Store) store.Store {
			return takesFreed(s, &sync.Map{})
		}, []string{"Secrets/the secrets of a deleted key are free", "Secrets/a deletion does not take the secret from the next key"}},
	}
}

// taking returns ErrCredentialExists in place of another error, if both are true.
func taking(other error) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		instead := func(ctx context.Context, k store.Key, err error) error {
			if errors.Is(err, other) && taken(ctx, s, k, k.ID) != nil {
				return store.ErrCredentialExists
			}
			return err
		}
		return withKeys(s, keys{
			create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				return instead(ctx, k, s.Keys.Create(ctx, k, limit, c))
			},
			update: func(ctx context.Context, k store.Key, c store.Change) error {
				return instead(ctx, k, s.Keys.Update(ctx, k, c))
			},
		})
	}
}

// takesFreed finds no key any more by a secret of a key that was deleted.
func takesFreed(s store.Store, deleted *sync.Map) store.Store {
	hiding := withSecrets(s, func(id string, _ *store.Found) error {
		if _, ok := deleted.Load(id); ok {
			return store.ErrNotFound
		}
		return nil
	})
	return withKeys(hiding, keys{remove: func(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
		for _, secret := range current(ctx, s, id).Credentials {
			deleted.Store(secret.ID, true)
		}
		return s.Keys.Delete(ctx, workspace, id, version, at, c)
	}})
}

func secretReplicaBreakages() []replicaBreakage {
	var deleted sync.Map // what the replicas share
	return []replicaBreakage{
		{"checks secrets in its own memory", func(_ int, s store.Store) store.Store {
			own := memstore.New()
			return beforeWrite(onTaken(s, withoutSecrets), func(ctx context.Context, k store.Key) error {
				return own.Keys.Create(ctx, store.Key{ID: k.ID, Workspace: k.Workspace, Credentials: k.Credentials}, store.NoLimit, store.Change{})
			})
		}, []string{"one secret, many creates and updates"}},

		{"takes the secret of a deleted key from the next one", func(_ int, s store.Store) store.Store {
			return takesFreed(s, &deleted)
		}, []string{"a deletion does not take the secret from the next key"}},

		{"caches look-ups by secret", func(_ int, s store.Store) store.Store {
			s.Secrets = secrets(caching(s.Secrets.LookupSecret))
			return s
		}, []string{"B07 a rotated secret", "B07 a deleted key's secret", "B07 settings, by secret"}},
	}
}
