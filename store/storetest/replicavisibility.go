package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// visibleChange is a change by one replica that every other one must see.
type visibleChange struct {
	name  string
	needs func(store.Store) bool
	// begin prepares a round, do makes its change, and seen returns an error if the
	// change is not visible. Rounds count from 1.
	begin func(t tester, s store.Store, round int)
	do    func(t tester, s store.Store, round int)
	seen  func(s store.Store, round int) error
}

// replicaVisibility returns the rules that a replica sees the changes of the others.
func replicaVisibility() []replicaRule {
	rules := []replicaRule{}
	for _, c := range slices.Concat(visibleChanges(), visibleSecrets(), visibleRevocations()) {
		rules = append(rules, replicaRule{
			name:  "B07 " + c.name,
			why:   "Once the call has returned, every replica reads the change: a login through another replica that begins after that is refused.",
			needs: c.needs,
			run:   func(t tester, r []store.Store) { readDuring(t, r, c) },
		})
	}
	return rules
}

// readDuring makes the change by one replica while the others read without pause. Each must
// see it in the first read that begins after the call has returned.
func readDuring(t tester, r []store.Store, c visibleChange) {
	rounds := 6
	if soak() {
		rounds = 500
	}
	for round := 1; round <= rounds && !t.Failed(); round++ {
		writer := round % len(r)
		if c.begin != nil {
			c.begin(t, r[writer], round)
		}
		var returned atomic.Bool
		var looking, readers sync.WaitGroup
		for i, s := range r {
			if i == writer {
				continue
			}
			for range 2 {
				looking.Add(1)
				readers.Go(func() {
					_ = c.seen(s, round) // the replica may cache the old record
					looking.Done()
					for {
						late := returned.Load()
						err := c.seen(s, round)
						if late && err != nil {
							t.Errorf("replica %d after the change by replica %d: %v", i, writer, err)
						}
						if late || t.Failed() {
							return
						}
						runtime.Gosched() // lets the writer run
					}
				})
			}
		}
		looking.Wait()
		func() {
			defer readers.Wait()
			defer returned.Store(true)
			c.do(t, r[writer], round)
		}()
	}
}

func visibleChanges() []visibleChange {
	id := func(round int) string { return fmt.Sprint("key-", round) }
	begin := func(t tester, s store.Store, round int) { create(t, s, newKey("team-a", id(round))) }
	return []visibleChange{
		{
			name: "a new key",
			do:   func(t tester, s store.Store, round int) { create(t, s, newKey("team-a", id(round))) },
			seen: func(s store.Store, round int) error {
				_, err := s.Keys.Lookup(background, id(round))
				return err
			},
		},
		{
			name:  "a disabled key",
			begin: begin,
			do: func(t tester, s store.Store, round int) {
				k := newKey("team-a", id(round))
				k.Disabled = true
				update(t, s, k)
			},
			seen: func(s store.Store, round int) error {
				found, err := s.Keys.Lookup(background, id(round))
				return checkSeen("disabled", found.Key.Disabled, err)
			},
		},
		{
			name:  "a deleted key",
			begin: begin,
			do:    func(t tester, s store.Store, round int) { remove(t, s, "team-a", id(round)) },
			seen: func(s store.Store, round int) error {
				_, err := s.Keys.Lookup(background, id(round))
				return checkDeleted(err)
			},
		},
		{
			name:  "a rewritten digest",
			begin: begin,
			do: func(t tester, s store.Store, round int) {
				must(t, "Rehash", s.Upkeep.Rehash(background, id(round), "s1-"+id(round), newKey("team-a", id(round)).Credentials[0].Digest, "better"))
			},
			seen: func(s store.Store, round int) error {
				found, err := s.Keys.Lookup(background, id(round))
				return checkSeen("the digest", err == nil && found.Key.Credentials[0].Digest == "better", err)
			},
		},
		{
			name:  "settings of the instance",
			begin: begin,
			do: func(t tester, s store.Store, round int) {
				in := store.InstanceSettings{Instance: store.Instance{KeysOff: true, Version: int64(round - 1)}}
				must(t, "SetInstance", s.Settings.SetInstance(background, in, store.Change{Now: noon}))
			},
			seen: func(s store.Store, round int) error {
				found, err := s.Keys.Lookup(background, id(round))
				if err != nil {
					return err
				}
				in, err := s.Settings.Instance(background)
				return checkSeen("the version", min(in.Version, found.Instance.Version) == int64(round), err)
			},
		},
		{
			name:  "a suspended workspace",
			begin: begin,
			do: func(t tester, s store.Store, round int) {
				w := store.Workspace{ID: "team-a", Suspended: true, Version: int64(round - 1)}
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{Now: noon}))
			},
			seen: func(s store.Store, round int) error {
				found, err := s.Keys.Lookup(background, id(round))
				if err != nil {
					return err
				}
				w, err := s.Settings.Workspace(background, "team-a")
				return checkSeen("the version", min(w.Version, found.Workspace.Version) == int64(round), err)
			},
		},
		{
			name:  "a deleted workspace",
			begin: func(t tester, s store.Store, round int) { create(t, s, newKey(fmt.Sprint("team-", round), id(round))) },
			do:    func(t tester, s store.Store, round int) { deleteWorkspace(t, s, fmt.Sprint("team-", round)) },
			seen: func(s store.Store, round int) error {
				_, missing := s.Keys.Lookup(background, id(round))
				w, err := s.Settings.Workspace(background, fmt.Sprint("team-", round))
				return errors.Join(checkDeleted(missing), checkSeen("the deletion", w.Deleted, err))
			},
		},
	}
}

// visibleRevocations are the changes that revoke tokens.
func visibleRevocations() []visibleChange {
	begin := func(t tester, s store.Store, round int) { create(t, s, newKey("team-a", fmt.Sprint("key-", round))) }
	ref := func(round int) store.TokenRef {
		return tokenOf(newKey("team-a", fmt.Sprint("key-", round)), 2)
	}
	var before, settings store.EpochState
	return []visibleChange{
		{
			name:  "the epoch of a change",
			needs: hasEpochs,
			begin: func(t tester, s store.Store, round int) {
				begin(t, s, round)
				before.Key = keyEpoch(t, s, fmt.Sprint("key-", round))
			},
			do: func(t tester, s store.Store, round int) {
				k := newKey("team-a", fmt.Sprint("key-", round))
				k.Credentials = k.Credentials[:1]
				must(t, "Update", s.Keys.Update(background, k, store.Change{Now: noon, RevokeTokens: true}))
			},
			seen: func(s store.Store, round int) error {
				state, err := s.Epochs.Read(background, ref(round))
				return checkSeen("the epoch", state.Key > before.Key && !state.CredentialKnown, err)
			},
		},
		{
			name:  "raised epochs of settings",
			needs: hasEpochs,
			begin: func(t tester, s store.Store, round int) {
				begin(t, s, round)
				settings = store.EpochState{Instance: instance(t, s).Epoch, Workspace: workspace(t, s, "team-a").Epoch}
			},
			do: func(t tester, s store.Store, _ int) {
				in, w := instance(t, s), workspace(t, s, "team-a")
				must(t, "SetInstance", s.Settings.SetInstance(background, in, store.Change{Now: noon, RevokeTokens: true}))
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{Now: noon, RevokeTokens: true}))
			},
			seen: func(s store.Store, round int) error {
				state, err := s.Epochs.Read(background, ref(round))
				return checkSeen("the epochs", state.Instance > settings.Instance && state.Workspace > settings.Workspace, err)
			},
		},
		{
			name:  "a revoked token",
			needs: hasEpochs,
			begin: func(t tester, s store.Store, _ int) {
				if _, err := s.Epochs.Read(background, ref(1)); errors.Is(err, store.ErrNotFound) {
					begin(t, s, 1)
				}
			},
			do: func(t tester, s store.Store, round int) {
				must(t, "Revoke", s.Epochs.Revoke(background, fmt.Sprint("token-", round), farAhead, noon))
			},
			seen: func(s store.Store, round int) error {
				one := ref(1)
				one.TokenID = fmt.Sprint("token-", round)
				state, err := s.Epochs.Read(background, one)
				return checkSeen("revoked", state.Revoked, err)
			},
		},
	}
}

func checkSeen(what string, seen bool, err error) error {
	if err == nil && !seen {
		err = fmt.Errorf("the replica does not see %s", what)
	}
	return err
}

func checkDeleted(err error) error {
	if err == nil {
		return errors.New("the replica still sees the record")
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
