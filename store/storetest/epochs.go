package storetest

import (
	"fmt"
	"math"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func epochRules() []rule {
	return []rule{
		{
			name: "reads a key's epochs",
			why:  "Read brings the three epochs and whether the secret that was exchanged still stands; epochs never raised are 0, a key's own starts at 1.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				wantState(t, s, tokenOf(k, "s1"), store.EpochState{Key: 1, SecretKnown: true, SecretNotAfter: k.Secrets[0].NotAfter})
				wantState(t, s, tokenOf(k, "s2"), store.EpochState{Key: 1, SecretKnown: true})
				wantState(t, s, tokenOf(k, "none"), store.EpochState{Key: 1})
				wantState(t, s, tokenOf(k, ""), store.EpochState{Key: 1})
			},
		},
		{
			name: "a key without epochs is ErrNotFound",
			why:  "A token of a key that is not known must be refused, so its epochs are an error, never zeros.",
			run: func(t tester, s store.Store) {
				establish(t, s, newKey("team-a", "key-1"))
				for _, ref := range []store.TokenRef{{}, {Workspace: "team-a", Key: "none", Secret: "s1"}, {Workspace: "team-a", Secret: "s1"}} {
					_, err := s.Epochs.Read(background, ref)
					wantError(t, "Read", err, store.ErrNotFound)
				}
			},
		},
		{
			name: "a foreign workspace is ErrNotFound",
			why:  "A token that names another workspace than its key's must be refused.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k, newKey("team-b", "key-2"))
				for _, foreign := range []string{"team-b", "Team-a", ""} {
					ref := tokenOf(k, "s1")
					ref.Workspace = foreign
					_, err := s.Epochs.Read(background, ref)
					wantError(t, "Read in "+foreign, err, store.ErrNotFound)
				}
			},
		},
		{
			name: "a change raises the key's epoch",
			why:  "A change and its epoch are one write: what Update stored, Read says at once. A secret that was taken away is not known any more.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				k.Epoch, k.Secrets = 2, k.Secrets[1:]
				k.Secrets[0].NotAfter = noon.Add(time.Minute)
				raiseFirst(t, s, k)
				update(t, s, k)
				wantState(t, s, tokenOf(k, "s1"), store.EpochState{Key: 2})
				wantState(t, s, tokenOf(k, "s2"), store.EpochState{Key: 2, SecretKnown: true, SecretNotAfter: noon.Add(time.Minute)})
			},
		},
		{
			name: "a deleted key's tokens are refused",
			why:  "Delete ends every token of the key at once.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				after := k
				after.Epoch, after.Secrets = 2, nil
				raiseFirst(t, s, after)
				remove(t, s, "team-a", "key-1")
				state, err := s.Epochs.Read(background, tokenOf(k, "s1"))
				if s.Epochs.With(s.Keys) {
					wantError(t, "Read", err, store.ErrNotFound)
				} else if err == nil && state.SecretKnown && state.Key < 2 {
					t.Errorf("Read: got %+v, which lets the token live", state)
				}
			},
		},
		{
			name: "settings raise their epochs",
			why:  "Switching keys off or suspending a workspace ends tokens with the write itself; another workspace's live on.",
			run: func(t tester, s store.Store) {
				k, other := newKey("team-a", "key-1"), newKey("team-b", "key-2")
				establish(t, s, k, other)
				if !s.Epochs.With(s.Keys) {
					must(t, "Raise", s.Epochs.Raise(background, store.Mark{Epoch: 3}, store.Mark{Workspace: "team-a", Epoch: 4}))
				}
				must(t, "SetInstance", s.Settings.SetInstance(background, store.Instance{Epoch: 3}, store.Change{}))
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Epoch: 4}, store.Change{}))
				wantState(t, s, tokenOf(k, "s2"), store.EpochState{Instance: 3, Workspace: 4, Key: 1, SecretKnown: true})
				wantState(t, s, tokenOf(other, "s2"), store.EpochState{Instance: 3, Key: 1, SecretKnown: true})
			},
		},
		{
			name: "a deleted workspace's tokens are refused",
			why:  "DeleteWorkspace ends every token of the workspace.",
			run: func(t tester, s store.Store) {
				k, other := newKey("team-a", "key-1"), newKey("team-b", "key-2")
				establish(t, s, k, other)
				if !s.Epochs.With(s.Keys) {
					must(t, "Raise", s.Epochs.Raise(background, store.Mark{Workspace: "team-a", Epoch: 1}))
				}
				deleteWorkspace(t, s, "team-a")
				state, err := s.Epochs.Read(background, tokenOf(k, "s1"))
				if s.Epochs.With(s.Keys) {
					wantError(t, "Read", err, store.ErrNotFound)
				} else if err == nil && state.Workspace < 1 {
					t.Errorf("Read: got %+v, which lets the token live", state)
				}
				wantState(t, s, tokenOf(other, "s2"), store.EpochState{Key: 1, SecretKnown: true})
			},
		},
		{
			name: "raise sets all marks and lowers none",
			why:  "Raise sets several epochs at once; a stored value that is larger stays, also against a later change of the record.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				raise := func(epoch int64) {
					t.Helper()
					must(t, "Raise", s.Epochs.Raise(background, store.Mark{Epoch: epoch}, store.Mark{Workspace: "team-a", Epoch: epoch},
						store.Mark{Workspace: "team-a", Key: "key-1", Epoch: epoch, Secrets: ends(k)}))
				}
				for _, epoch := range []int64{5, 3, 1} {
					raise(epoch)
					wantState(t, s, tokenOf(k, "s2"), store.EpochState{Instance: 5, Workspace: 5, Key: 5, SecretKnown: true})
				}
				must(t, "Raise of nothing", s.Epochs.Raise(background))
				k.Epoch = 2
				update(t, s, k)
				must(t, "SetInstance", s.Settings.SetInstance(background, store.Instance{Epoch: 1}, store.Change{}))
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Epoch: 1}, store.Change{}))
				wantState(t, s, tokenOf(k, "s2"), store.EpochState{Instance: 5, Workspace: 5, Key: 5, SecretKnown: true})
			},
		},
		{
			name: "epochs are exact",
			why:  "An epoch is an integer of 64 bits: one more is more, also where a floating point number would not tell.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				for _, epoch := range []int64{1 << 53, 1<<53 + 1, 9_999_999_999_999_999, 10_000_000_000_000_000, math.MaxInt64 - 1, math.MaxInt64} {
					must(t, "Raise", s.Epochs.Raise(background, store.Mark{Epoch: epoch}, store.Mark{Workspace: "team-a", Epoch: epoch},
						store.Mark{Workspace: "team-a", Key: "key-1", Epoch: epoch, Secrets: ends(k)}))
					wantState(t, s, tokenOf(k, "s2"), store.EpochState{Instance: epoch, Workspace: epoch, Key: epoch, SecretKnown: true})
				}
			},
		},
		{
			name: "concurrent raises keep the largest",
			why:  "Replicas raise in any order; the largest epoch stays.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				errs := race(16, func(i int) error {
					return s.Epochs.Raise(background, store.Mark{Workspace: "team-a", Epoch: int64(i)},
						store.Mark{Workspace: "team-a", Key: "key-1", Epoch: int64(20 - i), Secrets: ends(k)})
				})
				for _, err := range errs {
					must(t, "Raise", err)
				}
				wantState(t, s, tokenOf(k, "s2"), store.EpochState{Workspace: 15, Key: 20, SecretKnown: true})
			},
		},
		{
			name: "a mark is copied in",
			why:  "A caller may change the mark it passed.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				secrets := ends(k)
				must(t, "Raise", s.Epochs.Raise(background, store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 1, Secrets: secrets}))
				secrets[1] = store.SecretEnd{ID: "forged"}
				wantState(t, s, tokenOf(k, "s2"), store.EpochState{Key: 1, SecretKnown: true})
				wantState(t, s, tokenOf(k, "forged"), store.EpochState{Key: 1})
			},
		},
		{
			name: "revoke ends one token",
			why:  "Revoke ends the token it names and no other; doing it twice is no error.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				establish(t, s, k)
				ref, other := tokenOf(k, "s2"), tokenOf(k, "s2")
				other.TokenID = "Token-1"
				for range 2 {
					must(t, "Revoke", s.Epochs.Revoke(background, ref.TokenID, farAhead, noon))
					wantState(t, s, ref, store.EpochState{Key: 1, SecretKnown: true, Revoked: true})
					wantState(t, s, other, store.EpochState{Key: 1, SecretKnown: true})
				}
				must(t, "Revoke with an earlier end", s.Epochs.Revoke(background, ref.TokenID, noon, noon))
				wantState(t, s, ref, store.EpochState{Key: 1, SecretKnown: true, Revoked: true})
			},
		},
	}
}

// establish creates keys, with their marks first where epochs are kept
// elsewhere, as the library does.
func establish(t tester, s store.Store, keys ...store.Key) {
	t.Helper()
	for _, k := range keys {
		raiseFirst(t, s, k)
		create(t, s, k)
	}
}

func raiseFirst(t tester, s store.Store, k store.Key) {
	t.Helper()
	if !s.Epochs.With(s.Keys) {
		must(t, "Raise", s.Epochs.Raise(background, store.Mark{Workspace: k.Workspace, Key: k.ID, Epoch: k.Epoch, Secrets: ends(k)}))
	}
}

func ends(k store.Key) []store.SecretEnd {
	var list []store.SecretEnd
	for _, s := range k.Secrets {
		list = append(list, store.SecretEnd{ID: s.ID, NotAfter: s.NotAfter})
	}
	return list
}

func tokenOf(k store.Key, secret string) store.TokenRef {
	return store.TokenRef{Workspace: k.Workspace, Key: k.ID, Secret: secret, TokenID: "token-1"}
}

func wantState(t tester, s store.Store, ref store.TokenRef, want store.EpochState) {
	t.Helper()
	got, err := s.Epochs.Read(background, ref)
	if err != nil {
		t.Errorf("Read(%+v): %v", ref, err)
		return
	}
	equalTime(t, "SecretNotAfter", got.SecretNotAfter, want.SecretNotAfter)
	got.SecretNotAfter, want.SecretNotAfter = time.Time{}, time.Time{}
	equal(t, "state", got, want)
}

func epochText(e store.EpochState) string {
	return fmt.Sprintf("Epochs %d %d %d, secret %t until %s, revoked %t",
		e.Instance, e.Workspace, e.Key, e.SecretKnown, stamp(e.SecretNotAfter), e.Revoked)
}
