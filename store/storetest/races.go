package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func raceRules() []rule {
	limits := "Of N concurrent creates under a limit L into an empty workspace exactly min(N, L) succeed, and the others are ErrLimit."
	return []rule{
		{name: "B05 creates under a limit", why: limits, run: func(t tester, s store.Store) { raceLimit(t, []store.Store{s}, 24, 6) }},
		{name: "B05 creates under a limit, 200 at once, 1,000 rounds", soak: true, why: limits, run: func(t tester, s store.Store) { raceLimit(t, []store.Store{s}, 200, 1000) }},
		{
			name: "B05 creates and deletes under a limit",
			why:  "Deletes that interleave with creates free one place each: the workspace never holds more keys than the limit.",
			run:  func(t tester, s store.Store) { raceLimitDeletes(t, []store.Store{s}) },
		},
		{
			name: "one id, many creates",
			why:  "Of N concurrent creates with one id exactly one succeeds, whatever their workspaces.",
			run: func(t tester, s store.Store) {
				for round := range 4 {
					errs := race(16, func(i int) error {
						k := newKey(fmt.Sprint("team-", i%4), fmt.Sprint("key-", round))
						return s.Keys.Create(background, k, store.NoLimit, store.Change{})
					})
					equal(t, "creates that succeeded", wins(t, "Create", errs, store.ErrExists), 1)
				}
				equal(t, "keys", len(list(t, s, store.KeyQuery{})), 4)
			},
		},
		{
			name: "B22 rotations with one version",
			why:  "Of N concurrent updates with one version exactly one succeeds: two rotations at once must not lose a secret that was shown.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				for version := int64(1); version <= 4; version++ {
					errs := race(16, func(i int) error {
						k := newKey("team-a", "key-1")
						k.Version = version
						k.Credentials[1] = store.Credential{ID: fmt.Sprintf("s%d-%d", version, i), Digest: "d", Created: noon}
						c := store.Change{Events: []store.Event{newEvent(k.Credentials[1].ID)}}
						return s.Keys.Update(background, k, c)
					})
					equal(t, "updates that succeeded", wins(t, "Update", errs, store.ErrConflict), 1)
					k := lookup(t, s, "key-1").Key
					equal(t, "Version", k.Version, version+1)
					for i, err := range errs {
						if err == nil {
							equal(t, "the secret that is stored", k.Credentials[1].ID, fmt.Sprintf("s%d-%d", version, i))
						}
					}
				}
				equal(t, "events, one for each update that succeeded", len(eventIDs(t, s)), 4)
			},
		},
		{
			name: "deletes of one key",
			why:  "Of N concurrent deletes one succeeds, and one place is freed.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"))
				errs := race(16, func(int) error {
					return s.Keys.Delete(background, "team-a", "key-1", 0, noon, store.Change{})
				})
				equal(t, "deletes that succeeded", wins(t, "Delete", errs, store.ErrNotFound), 1)
				equal(t, "number of keys", workspace(t, s, "team-a").Keys, 1)
			},
		},
		{
			name: "settings with one version",
			why:  "Of N concurrent saves with one version exactly one succeeds, for the instance and for a workspace, also for the first save.",
			run: func(t tester, s store.Store) {
				for version := range int64(3) {
					errs := race(16, func(i int) error {
						in := store.InstanceSettings{Instance: store.Instance{Version: version, Rules: store.Rules{MaxKeys: i}}}
						return s.Settings.SetInstance(background, in, store.Change{})
					})
					equal(t, "SetInstance that succeeded", wins(t, "SetInstance", errs, store.ErrConflict), 1)
					errs = race(16, func(i int) error {
						w := store.Workspace{ID: "team-a", Version: version, Rules: store.Rules{MaxKeys: i}}
						return s.Settings.SetWorkspace(background, w, store.Change{})
					})
					equal(t, "SetWorkspace that succeeded", wins(t, "SetWorkspace", errs, store.ErrConflict), 1)
				}
			},
		},
		{
			name: "rewrites of one digest",
			why:  "Of N concurrent rewrites of one digest exactly one succeeds.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				errs := race(16, func(i int) error {
					return s.Upkeep.Rehash(background, "key-1", "s1-key-1", k.Credentials[0].Digest, fmt.Sprint("better-", i))
				})
				equal(t, "rewrites that succeeded", wins(t, "Rehash", errs, store.ErrConflict), 1)
			},
		},
		{
			name: "B22 changes while a login rewrites a digest",
			why:  "Update keeps the digest that is stored when it writes, so that no concurrent change brings back a digest that a login has replaced.",
			run: func(t tester, s store.Store) {
				first := newKey("team-a", "key-1").Credentials[0].Digest
				create(t, s, newKey("team-a", "key-1"))
				for round := range 8 {
					next := fmt.Sprint("better-", round)
					errs := race(8, func(i int) error {
						if i == 3 {
							return s.Upkeep.Rehash(background, "key-1", "s1-key-1", first, next)
						}
						found, err := s.Keys.Lookup(background, "key-1")
						if err == nil {
							err = s.Keys.Update(background, found.Key, store.Change{})
						}
						return err
					})
					must(t, "Rehash", errs[3])
					wins(t, "Update", errs, store.ErrConflict)
					equal(t, "Digest", lookup(t, s, "key-1").Key.Credentials[0].Digest, next)
					first = next
				}
			},
		},
		{
			name: "one change, sent many times",
			why:  "Of N concurrent changes with one one-time id exactly one is made: a client that retries creates one key.",
			run: func(t tester, s store.Store) {
				for round := range 4 {
					errs := race(16, func(i int) error {
						c := store.Change{Once: onceID(fmt.Sprint("request-", round)), Now: noon}
						return s.Keys.Create(background, newKey("team-a", fmt.Sprintf("key-%d-%d", round, i)), store.NoLimit, c)
					})
					equal(t, "creates that succeeded", wins(t, "Create", errs, store.ErrExists), 1)
				}
				equal(t, "number of keys", workspace(t, s, "team-a").Keys, 4)
			},
		},
		{
			name: "creates while the workspace is deleted",
			why:  "DeleteWorkspace is atomic: no key of a concurrent create is left in a deleted workspace.",
			run: func(t tester, s store.Store) {
				for round := range 4 {
					id := fmt.Sprint("team-", round)
					errs := race(16, func(i int) error {
						if i == 7 {
							return s.Settings.DeleteWorkspace(background, id, noon, store.Change{Now: noon})
						}
						return s.Keys.Create(background, newKey(id, fmt.Sprintf("key-%d-%d", round, i)), store.NoLimit, store.Change{})
					})
					wins(t, "Create", errs, store.ErrNotFound)
					equalList(t, "keys left", list(t, s, store.KeyQuery{Workspace: id}), []string{})
					equal(t, "number of keys", workspace(t, s, id).Keys, 0)
				}
			},
		},
	}
}

func raceLimit(t tester, r []store.Store, n, rounds int) {
	const limit = 10
	for round := range rounds {
		id := fmt.Sprint("team-", round)
		errs := race(n, func(i int) error {
			return of(r, i).Keys.Create(background, plainKey(id, fmt.Sprintf("key-%d-%d", round, i)), limit, store.Change{Now: noon})
		})
		equal(t, "creates that succeeded", wins(t, "Create", errs, store.ErrLimit), limit)
		s := of(r, round)
		equal(t, "number of keys", workspace(t, s, id).Keys, limit)
		equal(t, "keys", len(list(t, s, store.KeyQuery{Workspace: id})), limit)
		if t.Failed() {
			return
		}
	}
}

func raceLimitDeletes(t tester, r []store.Store) {
	const limit = 3
	rounds := 10
	if soak() {
		rounds = 1000
	}
	// living counts a key from after its creation to before its deletion, so it is
	// never more than the true number.
	var living, most atomic.Int64
	errs := race(12, func(i int) error {
		s, other := of(r, i), of(r, i+1)
		for round := range rounds {
			id := fmt.Sprintf("key-%d-%d", i, round)
			err := s.Keys.Create(background, plainKey("team-a", id), limit, store.Change{Now: noon})
			if errors.Is(err, store.ErrLimit) {
				continue
			}
			if err != nil {
				return err
			}
			for n := living.Add(1); ; {
				if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			w, err := other.Settings.Workspace(background, "team-a")
			if err != nil {
				return err
			}
			if w.Keys > limit {
				return fmt.Errorf("the workspace holds %d keys under a limit of %d", w.Keys, limit)
			}
			living.Add(-1)
			if err := other.Keys.Delete(background, "team-a", id, 0, noon.Add(time.Second), store.Change{Now: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, err := range errs {
		must(t, "creating and deleting", err)
	}
	if most.Load() > limit {
		t.Errorf("%d keys existed at once under a limit of %d", most.Load(), limit)
	}
	s := r[0]
	equal(t, "number of keys", workspace(t, s, "team-a").Keys, 0)
	for i := range limit {
		must(t, "Create afterwards", s.Keys.Create(background, plainKey("team-a", fmt.Sprint("last-", i)), limit, store.Change{}))
	}
	err := s.Keys.Create(background, plainKey("team-a", "one-more"), limit, store.Change{})
	wantError(t, "Create above the limit", err, store.ErrLimit)
}
