package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// uniqueRules are the rules that no two keys have a credential with one id.
func uniqueRules() []rule {
	return []rule{
		{
			name: "another key's credential is ErrCredentialExists",
			why:  "Create and Update fail with ErrCredentialExists, which wraps ErrExists, if another key has a credential with one of the ids, whatever its kind and the workspace and state of that key, and change nothing.",
			run: func(t tester, s store.Store) {
				disabled := keyWith("team-a", "disabled", "taken-1")
				disabled.Disabled = true
				expired := keyWith("team-b", "expired", "other", "taken-2")
				expired.NotAfter, expired.Credentials[1].NotAfter = noon.AddDate(-20, 0, 0), noon.AddDate(-20, 0, 0)
				create(t, s, disabled, expired, newKey("team-b", "kinds"), keyWith("team-a", "own", "own-1", "own-2"))
				for _, taken := range []string{"taken-1", "taken-2", "p1-kinds", "t1-kinds"} {
					for n, secrets := range [][]string{{taken}, {"new", taken}, {taken, "new"}, {"own-2", "new", taken}} {
						what := fmt.Sprintf("with %q", secrets)
						of := func(id string) store.Key {
							k := keyWith("team-a", id, secrets...)
							switch c := &k.Credentials[slices.Index(secrets, taken)]; n {
							case 1:
								c.PublicKey = &store.PublicKey{JWK: "{}"}
							case 2:
								c.Trust = &store.Trust{Issuer: "github"}
							}
							return k
						}
						if secrets[0] != "own-2" {
							err := s.Keys.Create(background, of("new"), 3, store.Change{Now: noon})
							wantError(t, "Create "+what, err, store.ErrCredentialExists)
						}
						err := s.Keys.Update(background, of("own"), store.Change{Now: noon, RevokeTokens: true})
						wantError(t, "Update "+what, err, store.ErrCredentialExists)
					}
				}
				wantOwner(t, s, "disabled", "taken-1")
				wantOwner(t, s, "expired", "other", "taken-2")
				wantOwner(t, s, "kinds", "s1-kinds", "s2-kinds", "p1-kinds", "t1-kinds")
				wantOwner(t, s, "own", "own-1", "own-2")
				wantNoOwner(t, s, "new")
				_, err := s.Keys.Lookup(background, "new")
				wantError(t, "Lookup", err, store.ErrNotFound)
				equal(t, "number of keys", workspace(t, s, "team-a").Keys, 2)
				must(t, "Create without it", s.Keys.Create(background, keyWith("team-a", "new", "new"), 3, store.Change{Now: noon}))
				wantOwner(t, s, "new", "new")
			},
		},
		{
			name: "a removed secret is free",
			why:  "Once a secret was removed from its key, another key may have the id at once.",
			run: func(t tester, s store.Store) {
				create(t, s, keyWith("team-a", "key-1", "first", "second"), keyWith("team-b", "key-2"))
				update(t, s, keyWith("team-a", "key-1", "third"))
				wantNoOwner(t, s, "first", "second")
				create(t, s, keyWith("team-b", "key-3", "first"))
				update(t, s, keyWith("team-b", "key-2", "second"))
				wantOwner(t, s, "key-1", "third")
				wantOwner(t, s, "key-2", "second")
				wantOwner(t, s, "key-3", "first")
				k := keyWith("team-a", "key-1", "first")
				k.Version = 2
				wantError(t, "Update of the first key", s.Keys.Update(background, k, store.Change{Now: noon}), store.ErrCredentialExists)
			},
		},
		{
			name: "the secrets of a deleted key are free",
			why:  "A deleted key is found by none of its secrets, and another key may have their ids at once, although the key's own id stays taken.",
			run: func(t tester, s store.Store) {
				create(t, s, keyWith("team-a", "key-1", "first", "second"), keyWith("team-a", "key-2", "other"))
				remove(t, s, "team-a", "key-1")
				wantNoOwner(t, s, "first", "second")
				create(t, s, keyWith("team-b", "key-3", "first"))
				update(t, s, keyWith("team-a", "key-2", "other", "second"))
				wantOwner(t, s, "key-3", "first")
				wantOwner(t, s, "key-2", "other", "second")
				purge(t, s, farAhead, 1)
				create(t, s, keyWith("team-b", "key-1", "third"))
				wantOwner(t, s, "key-1", "third")
				wantOwner(t, s, "key-3", "first")
			},
		},
		{
			name: "the secrets of a deleted workspace are free",
			why:  "The keys of a deleted workspace are found by none of their secrets, and other keys may have their ids at once.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-b", "key-3"))
				deleteWorkspace(t, s, "team-a")
				wantNoOwner(t, s, "s1-key-1", "s2-key-1", "p1-key-1", "t1-key-1", "s1-key-2", "s2-key-2", "p1-key-2", "t1-key-2")
				create(t, s, keyWith("team-b", "key-4", "s1-key-1", "s2-key-2", "p1-key-1", "t1-key-2"))
				wantOwner(t, s, "key-4", "s1-key-1", "s2-key-2", "p1-key-1", "t1-key-2")
				wantOwner(t, s, "key-3", "s1-key-3", "s2-key-3")
			},
		},
		{
			name: "checks in order",
			why:  "Create and Update check the secrets last: after the one-time id, the preconditions, the workspace or the key, the id or the version, and the limit.",
			run:  secretOrder,
		},
		{
			name: "one secret, many creates and updates",
			why:  "Of N concurrent calls of Create and Update that give one secret id to different keys, exactly one succeeds.",
			run:  func(t tester, s store.Store) { raceSecret(t, []store.Store{s}) },
		},
		{
			name: "a deletion does not take the secret from the next key",
			why:  "A key that got a secret's id while the key that had it was deleted or rotated is found by it.",
			run:  func(t tester, s store.Store) { raceFreedSecret(t, []store.Store{s}) },
		},
	}
}

func secretOrder(t tester, s store.Store) {
	must(t, "Create", s.Keys.Create(background, keyWith("team-a", "key-1", "taken"), store.NoLimit, change("spent")))
	create(t, s, keyWith("team-a", "key-2", "own"))
	deleteWorkspace(t, s, "deleted")
	again := store.Change{Once: onceID("spent"), Now: noon}
	outdated := store.Change{Preconditions: []store.Precondition{{Version: 7}}, Now: noon}
	for _, attempt := range []struct {
		what, workspace, id string
		limit               int
		change              store.Change
		want                error
	}{
		{"one-time id spent", "team-a", "new", store.NoLimit, again, store.ErrExists},
		{"precondition outdated", "team-a", "new", store.NoLimit, outdated, store.ErrConflict},
		{"workspace deleted", "deleted", "new", store.NoLimit, change("1"), store.ErrNotFound},
		{"id taken", "team-a", "key-2", store.NoLimit, change("2"), store.ErrExists},
		{"limit reached", "team-a", "new", 2, change("3"), store.ErrLimit},
		{"below the limit", "team-a", "new", 3, change("4"), store.ErrCredentialExists},
	} {
		k := keyWith(attempt.workspace, attempt.id, "taken")
		wantError(t, "Create, "+attempt.what, s.Keys.Create(background, k, attempt.limit, attempt.change), attempt.want)
	}
	for _, attempt := range []struct {
		what, workspace, id string
		version             int64
		change              store.Change
		want                error
	}{
		{"one-time id spent", "team-a", "key-2", 1, again, store.ErrExists},
		{"precondition outdated", "team-a", "key-2", 1, outdated, store.ErrConflict},
		{"missing", "team-a", "new", 1, change("1"), store.ErrNotFound},
		{"another workspace", "team-b", "key-2", 1, change("2"), store.ErrNotFound},
		{"another version", "team-a", "key-2", 2, change("3"), store.ErrConflict},
		{"this version", "team-a", "key-2", 1, change("4"), store.ErrCredentialExists},
	} {
		k := keyWith(attempt.workspace, attempt.id, "own", "taken")
		k.Version = attempt.version
		wantError(t, "Update, "+attempt.what, s.Keys.Update(background, k, attempt.change), attempt.want)
	}
}

// raceSecret gives one secret id to new keys and to existing ones at once, through all replicas.
func raceSecret(t tester, r []store.Store) {
	const callers = 24
	rounds := 4
	if soak() {
		rounds = 1000
	}
	for round := range rounds {
		one := fmt.Sprint("secret-", round)
		id := func(i int) string { return fmt.Sprintf("key-%d-%d", round, i) }
		own := func(i int) string { return "of-" + id(i) }
		for i := 1; i < callers; i += 2 {
			create(t, of(r, i), keyWith("team-a", id(i)))
		}
		errs := race(callers, func(i int) error {
			k := keyWith([]string{"team-b", "team-a"}[i%2], id(i), own(i), one)
			if i%2 == 1 {
				return of(r, i).Keys.Update(background, k, store.Change{Now: noon})
			}
			return of(r, i).Keys.Create(background, k, store.NoLimit, store.Change{Now: noon})
		})
		equal(t, "calls that succeeded", wins(t, "Create or Update", errs, store.ErrCredentialExists), 1)
		for i, err := range errs {
			s := of(r, i+round)
			if err == nil {
				wantOwner(t, s, id(i), own(i), one)
			} else {
				wantNoOwner(t, s, own(i))
			}
		}
		if t.Failed() {
			return
		}
	}
}

// raceFreedSecret deletes or rotates a key while others take its secret's id.
func raceFreedSecret(t tester, r []store.Store) {
	rounds := 8
	if soak() {
		rounds = 1000
	}
	for round := range rounds {
		one := fmt.Sprint("secret-", round)
		id := func(i int) string { return fmt.Sprintf("key-%d-%d", round, i) }
		create(t, of(r, round), keyWith("team-a", id(0), one))
		errs := race(8, func(i int) error {
			s := of(r, i+round)
			switch {
			case i > 0:
				return s.Keys.Create(background, keyWith("team-b", id(i), one), store.NoLimit, store.Change{Now: noon})
			case round%2 == 0:
				return s.Keys.Delete(background, "team-a", id(0), 0, noon, store.Change{Now: noon})
			}
			return s.Keys.Update(background, keyWith("team-a", id(0)), store.Change{Now: noon})
		})
		must(t, "the removal of the secret", errs[0])
		s, taken := of(r, round+1), wins(t, "Create", errs, store.ErrCredentialExists)-1
		if taken == 0 {
			create(t, s, keyWith("team-b", id(1), one))
			errs[1] = nil
		} else {
			equal(t, "creates that succeeded", taken, 1)
		}
		for i, err := range errs {
			if i > 0 && err == nil {
				wantOwner(t, s, id(i), one)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// visibleSecrets are the changes of secrets that every replica must see.
func visibleSecrets() []visibleChange {
	id := func(round int) string { return fmt.Sprint("key-", round) }
	begin := func(t tester, s store.Store, round int) { create(t, s, newKey("team-a", id(round))) }
	removed := func(s store.Store, round int) error {
		_, err := s.Secrets.LookupSecret(background, "s1-"+id(round))
		return checkDeleted(err)
	}
	return []visibleChange{
		{
			name: "a rotated secret", needs: hasSecrets, begin: begin,
			do: func(t tester, s store.Store, round int) {
				k := newKey("team-a", id(round))
				k.Credentials = append(k.Credentials[1:], store.Credential{ID: "s3-" + id(round), Digest: "d", Created: noon})
				update(t, s, k)
			},
			seen: func(s store.Store, round int) error {
				found, err := s.Secrets.LookupSecret(background, "s3-"+id(round))
				return errors.Join(checkSeen("the new secret", found.Key.Version == 2, err), removed(s, round))
			},
		},
		{
			name: "a deleted key's secret", needs: hasSecrets, begin: begin,
			do:   func(t tester, s store.Store, round int) { remove(t, s, "team-a", id(round)) },
			seen: removed,
		},
		{
			name: "settings, by secret", needs: hasSecrets, begin: begin,
			do: func(t tester, s store.Store, round int) {
				in := store.InstanceSettings{Instance: store.Instance{DirectOff: round%2 == 1, Version: int64(round - 1)}}
				must(t, "SetInstance", s.Settings.SetInstance(background, in, store.Change{}))
			},
			seen: func(s store.Store, round int) error {
				found, err := s.Secrets.LookupSecret(background, "s1-"+id(round))
				return checkSeen("DirectOff", found.Instance.Version >= int64(round), err)
			},
		},
	}
}
