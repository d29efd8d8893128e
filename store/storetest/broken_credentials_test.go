package storetest_test

import (
	"context"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/store"
)

// onCreate changes the credentials of keys that are created.
func onCreate(change func(c *store.Credential)) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
			k = k.Clone()
			for i := range k.Credentials {
				change(&k.Credentials[i])
			}
			return s.Keys.Create(ctx, k, limit, c)
		}})
	}
}

// onPublicKeys and onTrusts are onCreate for one kind.
func onPublicKeys(change func(p *store.PublicKey)) func(store.Store) store.Store {
	return onCreate(func(c *store.Credential) {
		if c.PublicKey != nil {
			change(c.PublicKey)
		}
	})
}

func onTrusts(change func(t *store.Trust)) func(store.Store) store.Store {
	return onCreate(func(c *store.Credential) {
		if c.Trust != nil {
			change(c.Trust)
		}
	})
}

// onUpdate takes something from what the caller of Update sends for a credential that stays.
func onUpdate(take func(stored *store.Credential, sent store.Credential)) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		sent := map[string]store.Credential{}
		return withKeys(s, keys{
			update: func(ctx context.Context, k store.Key, c store.Change) error {
				for _, old := range current(ctx, s, k.ID).Credentials {
					if i := slices.IndexFunc(k.Credentials, func(c store.Credential) bool { return c.ID == old.ID }); i >= 0 {
						sent[old.ID] = k.Clone().Credentials[i]
					}
				}
				return s.Keys.Update(ctx, k, c)
			},
			lookup: func(ctx context.Context, id string) (store.Found, error) {
				found, err := s.Keys.Lookup(ctx, id)
				for i := range found.Key.Credentials {
					if c := &found.Key.Credentials[i]; sent[c.ID].ID != "" {
						take(c, sent[c.ID])
					}
				}
				return found, err
			},
		})
	}
}

// sharing returns the same parts of a key with each Lookup.
func sharing(share func(got, before *store.Credential)) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		before := map[string]store.Credential{}
		return withKeys(s, keys{lookup: func(ctx context.Context, id string) (store.Found, error) {
			found, err := s.Keys.Lookup(ctx, id)
			for i := range found.Key.Credentials {
				got := &found.Key.Credentials[i]
				if old, known := before[got.ID]; known {
					share(got, &old)
				}
				before[got.ID] = *got
			}
			return found, err
		}})
	}
}

// keepingTheCallers returns, with each Lookup, what pointers in the key led to that was passed.
func keepingTheCallers(s store.Store) store.Store {
	passed := map[string]store.Credential{}
	keep := func(k *store.Key) {
		for _, c := range k.Credentials {
			if _, stays := passed[c.ID]; !stays {
				passed[c.ID] = c
			}
		}
	}
	return withKeys(s, keys{
		create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
			keep(&k)
			return s.Keys.Create(ctx, k, limit, c)
		},
		update: func(ctx context.Context, k store.Key, c store.Change) error {
			keep(&k)
			return s.Keys.Update(ctx, k, c)
		},
		lookup: func(ctx context.Context, id string) (store.Found, error) {
			found, err := s.Keys.Lookup(ctx, id)
			for i := range found.Key.Credentials {
				c := &found.Key.Credentials[i]
				c.PublicKey, c.Trust = passed[c.ID].PublicKey, passed[c.ID].Trust
			}
			found.Key = found.Key.Clone()
			return found, err
		},
	})
}

func credentialBreakages() []breakage {
	fields, kinds, stays := "Create/keeps every field", "Credentials/keeps every kind", "Credentials/an update keeps what stays"
	copies, largest := "Create/copies in and out", "Credentials/keeps the largest key"
	isSecret := func(id string, k store.Key) bool {
		i := slices.IndexFunc(k.Credentials, func(c store.Credential) bool { return c.ID == id })
		return i >= 0 && k.Credentials[i].IsSecret()
	}
	cut := func(text string, most int) string { return text[:min(len(text), most)] }
	return []breakage{
		{"does not store names of credentials", onCreate(func(c *store.Credential) { c.Name = "" }), []string{fields, kinds}},
		{"does not store public keys", onCreate(func(c *store.Credential) { c.PublicKey = nil }), []string{fields, kinds}},
		{"does not store trusts", onCreate(func(c *store.Credential) { c.Trust = nil }), []string{fields, kinds}},
		{"does not store EndpointAudience", onPublicKeys(func(p *store.PublicKey) { p.EndpointAudience = false }), []string{fields, kinds}},
		{"does not store LongAssertions", onPublicKeys(func(p *store.PublicKey) { p.LongAssertions = false }), []string{fields, kinds}},
		{"takes EndpointAudience for LongAssertions", onPublicKeys(func(p *store.PublicKey) { p.LongAssertions = p.EndpointAudience }), []string{kinds}},
		{"ends a JWK at a line", onPublicKeys(func(p *store.PublicKey) { p.JWK, _, _ = strings.Cut(p.JWK, "\n") }), []string{kinds}},
		{"does not store the issuer of a trust", onTrusts(func(t *store.Trust) { t.Issuer = "" }), []string{fields, kinds}},
		{"stores one claim only", onTrusts(func(t *store.Trust) { t.Claims = t.Claims[:min(len(t.Claims), 1)] }), []string{fields, kinds}},
		{"reverses the claims", onTrusts(func(t *store.Trust) { slices.Reverse(t.Claims) }), []string{fields, kinds}},
		{"drops claims without a name", onTrusts(func(t *store.Trust) {
			t.Claims = slices.DeleteFunc(t.Claims, func(c store.Claim) bool { return c.Name == "" })
		}), []string{kinds}},
		{"stores a claim once", onTrusts(func(t *store.Trust) {
			known := map[string]bool{}
			t.Claims = slices.DeleteFunc(t.Claims, func(c store.Claim) bool { was := known[c.Name]; known[c.Name] = true; return was })
		}), []string{kinds}},

		{"shares public keys", sharing(func(got, before *store.Credential) { got.PublicKey = before.PublicKey }), []string{copies}},
		{"shares trusts", sharing(func(got, before *store.Credential) { got.Trust = before.Trust }), []string{copies}},
		{"shares claims", sharing(func(got, before *store.Credential) {
			if got.Trust != nil {
				got.Trust.Claims = before.Trust.Claims
			}
		}), []string{copies}},
		{"keeps the caller's public keys and trusts", keepingTheCallers, []string{copies}},

		{"takes the name of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.Name = sent.Name }), []string{stays}},
		{"takes the hint of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.Hint = sent.Hint }), []string{stays}},
		{"takes the prefix of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.Prefix = sent.Prefix }), []string{stays}},
		{"takes the digest of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.Digest = sent.Digest }), []string{stays}},
		{"takes from the caller whether a secret was generated", onUpdate(func(c *store.Credential, sent store.Credential) { c.Generated = sent.Generated }), []string{stays}},
		{"takes the creation of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.Created = sent.Created }), []string{stays}},
		{"takes the creator of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.CreatedBy = sent.CreatedBy }), []string{stays}},
		{"takes the last use of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.LastUsed = sent.LastUsed }), []string{stays}},
		{"takes the public key of a credential that stays", onUpdate(func(c *store.Credential, sent store.Credential) { c.PublicKey = sent.PublicKey }), []string{stays}},
		{"takes another public key under an old id", onUpdate(func(c *store.Credential, sent store.Credential) {
			if c.PublicKey != nil && sent.PublicKey != nil {
				c.PublicKey = sent.PublicKey
			}
		}), []string{stays}},
		{"takes other claims under an old id", onUpdate(func(c *store.Credential, sent store.Credential) {
			if c.Trust != nil && sent.Trust != nil {
				c.Trust.Claims = sent.Trust.Claims
			}
		}), []string{stays}},
		{"makes a trust of a secret that stays", onUpdate(func(c *store.Credential, sent store.Credential) {
			if c.IsSecret() {
				c.Trust = sent.Trust
			}
		}), []string{stays}},
		{"keeps the expiry of a trust that stays", onUpdate(func(c *store.Credential, _ store.Credential) { c.NotAfter = c.Created }), []string{stays, "Update/replaces the record"}},

		{"records the uses of secrets only", func(s store.Store) store.Store {
			next := s.Upkeep
			s.Upkeep = upkeep{Upkeep: next, recordUses: func(ctx context.Context, uses []store.Use) error {
				return next.RecordUses(ctx, slices.DeleteFunc(slices.Clone(uses), func(u store.Use) bool {
					return !isSecret(u.Credential, current(ctx, s, u.Key))
				}))
			}}
			return s
		}, []string{"Credentials/records the uses of every kind"}},

		{"knows the tokens of secrets only", func(s store.Store) store.Store {
			next := s.Epochs
			s.Epochs = epochs{Epochs: next, read: func(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
				state, err := next.Read(ctx, ref)
				state.CredentialKnown = isSecret(ref.Credential, current(ctx, s, ref.Key))
				return state, err
			}}
			return s
		}, []string{"Epochs/reads a key's epochs"}},

		{"finds a key by its secrets only", func(s store.Store) store.Store {
			return withSecrets(s, func(id string, found *store.Found) error {
				if !isSecret(id, found.Key) {
					return store.ErrNotFound
				}
				return nil
			})
		}, []string{"Secrets/finds a key by each of its credentials"}},

		{"compares new ids with those of secrets only", func(s store.Store) store.Store {
			return onTaken(s, func(k store.Key, c store.Change, again func(store.Key) error) error {
				for _, added := range k.Credentials {
					found, err := s.Secrets.LookupSecret(context.Background(), added.ID)
					if err == nil && found.Key.ID != k.ID && isSecret(added.ID, found.Key) {
						return store.ErrCredentialExists
					}
				}
				return withoutSecrets(k, c, again)
			})
		}, []string{"Secrets/another key's credential is ErrCredentialExists"}},

		{"compares the ids of new secrets only", func(s store.Store) store.Store {
			return onTaken(s, func(k store.Key, c store.Change, again func(store.Key) error) error {
				if slices.ContainsFunc(k.Credentials, func(c store.Credential) bool { return !c.IsSecret() }) {
					return withoutSecrets(k, c, again)
				}
				return store.ErrCredentialExists
			})
		}, []string{"Secrets/another key's credential is ErrCredentialExists"}},

		{"ignores the creators of trusts", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				page, err := s.Keys.List(ctx, q)
				page.Keys = slices.DeleteFunc(page.Keys, func(k store.Key) bool {
					return q.CreatorID != "" && k.CreatedBy.ID != q.CreatorID && !slices.ContainsFunc(k.Credentials, func(c store.Credential) bool {
						return c.IsSecret() && c.CreatedBy.ID == q.CreatorID
					})
				})
				return page, err
			}})
		}, []string{"List/keys of a creator"}},

		{"cuts ids of credentials", onCreate(func(c *store.Credential) { c.ID = cut(c.ID, 254) }), []string{largest}},
		{"cuts names of credentials", onCreate(func(c *store.Credential) { c.Name = cut(c.Name, 1023) }), []string{largest}},
		{"cuts public keys", onPublicKeys(func(p *store.PublicKey) { p.JWK = cut(p.JWK, 4095) }), []string{largest}},
		{"cuts names of issuers", onTrusts(func(t *store.Trust) { t.Issuer = cut(t.Issuer, 254) }), []string{largest}},
		{"cuts names of claims", onTrusts(func(t *store.Trust) {
			for i := range t.Claims {
				t.Claims[i].Name = cut(t.Claims[i].Name, 254)
			}
		}), []string{largest}},
		{"cuts claims", onTrusts(func(t *store.Trust) {
			for i := range t.Claims {
				t.Claims[i].Value = cut(t.Claims[i].Value, 1023)
			}
		}), []string{largest}},
		{"stores few claims", onTrusts(func(t *store.Trust) { t.Claims = t.Claims[:min(len(t.Claims), 15)] }), []string{largest}},
		{"stores few credentials", func(s store.Store) store.Store {
			return withKeys(s, keys{create: func(ctx context.Context, k store.Key, limit int, c store.Change) error {
				k.Credentials = k.Credentials[:min(len(k.Credentials), 31)]
				return s.Keys.Create(ctx, k, limit, c)
			}})
		}, []string{largest}},
		{"lists public keys and trusts as secrets", func(s store.Store) store.Store {
			return withKeys(s, keys{list: func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
				page, err := s.Keys.List(ctx, q)
				for _, k := range page.Keys {
					for i := range k.Credentials {
						k.Credentials[i].PublicKey, k.Credentials[i].Trust = nil, nil
					}
				}
				return page, err
			}})
		}, []string{largest, "List/shows whole keys"}},
	}
}
