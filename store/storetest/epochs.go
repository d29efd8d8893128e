package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// clockFloor is an epoch in microseconds since 1970 that is lower than the time of every
// clock, and higher than an epoch that counts from 1.
var clockFloor = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func epochRules() []rule {
	return []rule{
		{
			name: "reads a key's epochs",
			why:  "Read returns the three epochs of the records, and whether the key still has the credential, of any kind, and its expiry. Epochs of settings are 0 until they are raised.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				for i := range k.Credentials {
					ref := tokenOf(k, 1)
					ref.Credential = k.Credentials[i].ID
					wantState(t, s, ref, store.EpochState{CredentialKnown: true, CredentialNotAfter: k.Credentials[i].NotAfter})
				}
				for _, unknown := range []string{"none", "", "s1", "S1-key-1"} {
					ref := tokenOf(k, 1)
					ref.Credential = unknown
					wantState(t, s, ref, store.EpochState{})
				}
				found := lookup(t, s, "key-1")
				equal(t, "the instance's epoch", found.Instance.Epoch, 0)
				equal(t, "the workspace's epoch", found.Workspace.Epoch, 0)
			},
		},
		{
			name: "says whether the instance's settings were saved",
			why:  "Until the settings are saved, the host's defaults apply. The epoch does not show that, since settings can be saved without raising it.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				for version := range int64(3) {
					state, err := s.Epochs.Read(background, tokenOf(k, 2))
					must(t, "Read", err)
					equal(t, "InstanceVersion", state.InstanceVersion, version)
					equal(t, "the instance's epoch", state.Instance, 0)
					must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Version: version}}, store.Change{Now: noon}))
				}
			},
		},
		{
			name: "an unknown key is ErrNotFound",
			why:  "A token of an unknown key must be refused, so Read returns an error and never zero epochs.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				for _, ref := range []store.TokenRef{{}, {Workspace: "team-a", Key: "none", Credential: "s1-none"}, {Workspace: "team-a", Credential: "s1"}} {
					_, err := s.Epochs.Read(background, ref)
					wantError(t, "Read", err, store.ErrNotFound)
				}
			},
		},
		{
			name: "another workspace is ErrNotFound",
			why:  "A token that names another workspace than its key's must be refused.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k, newKey("team-b", "key-2"))
				for _, foreign := range []string{"team-b", "Team-a", ""} {
					ref := tokenOf(k, 1)
					ref.Workspace = foreign
					_, err := s.Epochs.Read(background, ref)
					wantError(t, "Read in "+foreign, err, store.ErrNotFound)
				}
			},
		},
		{
			name: "a change raises the key's epoch if RevokeTokens is set",
			why:  "A change and its epoch are one write: Read returns what Update stored. A change without RevokeTokens does not change the epoch, whatever epoch the caller passes. A credential that was removed is not known any more.",
			run: func(t tester, s store.Store) {
				k, other := newKey("team-a", "key-1"), newKey("team-a", "key-2")
				create(t, s, k, other)
				first, others := keyEpoch(t, s, "key-1"), keyEpoch(t, s, "key-2")
				k.Epoch, k.Credentials = first+9, k.Credentials[1:]
				k.Credentials[0].NotAfter = noon.Add(time.Minute)
				update(t, s, k)
				equal(t, "epoch after a change without RevokeTokens", keyEpoch(t, s, "key-1"), first)
				wantState(t, s, tokenOf(k, 1), store.EpochState{})
				wantState(t, s, tokenOf(k, 2), store.EpochState{CredentialKnown: true, CredentialNotAfter: noon.Add(time.Minute)})
				k.Epoch, k.Version = 0, 2
				must(t, "Update", s.Keys.Update(background, k, store.Change{Now: noon, RevokeTokens: true}))
				wantHigher(t, "the key's epoch", keyEpoch(t, s, "key-1"), first)
				wantState(t, s, tokenOf(k, 2), store.EpochState{CredentialKnown: true, CredentialNotAfter: noon.Add(time.Minute)})
				equal(t, "the epoch of another key", keyEpoch(t, s, "key-2"), others)
			},
		},
		{
			name: "epochs follow the store's clock",
			why:  "A raised epoch and the epoch of a new key are microseconds since 1970, so that an epoch from before a restored backup does not come back.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				k.Epoch = 1
				create(t, s, k)
				must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Epoch: 7}}, store.Change{RevokeTokens: true}))
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Epoch: 7}, store.Change{RevokeTokens: true}))
				for what, epoch := range map[string]int64{
					"the key's": keyEpoch(t, s, "key-1"), "the workspace's": workspace(t, s, "team-a").Epoch, "the instance's": instance(t, s).Epoch,
				} {
					if epoch < clockFloor {
						t.Errorf("%s epoch: got %d, which is not a time in microseconds since 1970", what, epoch)
					}
				}
			},
		},
		{
			name: "each raise is higher",
			why:  "An epoch is raised by at least one, also by two changes within one microsecond. It is stored exactly.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				key, in, w := keyEpoch(t, s, "key-1"), int64(0), int64(0)
				for version := range int64(20) {
					c := store.Change{Now: noon, RevokeTokens: true}
					k.Version = version + 1
					must(t, "Update", s.Keys.Update(background, k, c))
					must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Version: version}}, c))
					must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Version: version}, c))
					before := store.EpochState{Instance: in, Workspace: w, Key: key}
					key, in, w = keyEpoch(t, s, "key-1"), instance(t, s).Epoch, workspace(t, s, "team-a").Epoch
					wantHigher(t, "the key's epoch", key, before.Key)
					wantHigher(t, "the instance's epoch", in, before.Instance)
					wantHigher(t, "the workspace's epoch", w, before.Workspace)
					wantState(t, s, tokenOf(k, 2), store.EpochState{CredentialKnown: true})
				}
			},
		},
		{
			name: "a deleted key's tokens are refused",
			why:  "Delete revokes every token of the key at once.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				remove(t, s, "team-a", "key-1")
				_, err := s.Epochs.Read(background, tokenOf(k, 1))
				wantError(t, "Read", err, store.ErrNotFound)
			},
		},
		{
			name: "settings raise their epochs if RevokeTokens is set",
			why:  "With RevokeTokens, saving settings revokes tokens in the same write, but not those of another workspace. Without it, no token is revoked.",
			run: func(t tester, s store.Store) {
				k, other := newKey("team-a", "key-1"), newKey("team-b", "key-2")
				create(t, s, k, other)
				for version, ends := range []bool{false, true, false, true} {
					in, w := instance(t, s), workspace(t, s, "team-a")
					c := store.Change{Now: noon, RevokeTokens: ends}
					must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Epoch: 9, Version: int64(version)}}, c))
					must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Epoch: 9, Version: int64(version)}, c))
					if ends {
						wantHigher(t, "the instance's epoch", instance(t, s).Epoch, in.Epoch)
						wantHigher(t, "the workspace's epoch", workspace(t, s, "team-a").Epoch, w.Epoch)
					} else {
						equal(t, "the instance's epoch", instance(t, s).Epoch, in.Epoch)
						equal(t, "the workspace's epoch", workspace(t, s, "team-a").Epoch, w.Epoch)
					}
					equal(t, "the epoch of another workspace", workspace(t, s, "team-b").Epoch, 0)
					wantState(t, s, tokenOf(k, 2), store.EpochState{CredentialKnown: true})
					wantState(t, s, tokenOf(other, 2), store.EpochState{CredentialKnown: true})
				}
			},
		},
		{
			name: "a deleted workspace's tokens are refused",
			why:  "DeleteWorkspace revokes every token of the workspace.",
			run: func(t tester, s store.Store) {
				k, other := newKey("team-a", "key-1"), newKey("team-b", "key-2")
				create(t, s, k, other)
				deleteWorkspace(t, s, "team-a")
				_, err := s.Epochs.Read(background, tokenOf(k, 1))
				wantError(t, "Read", err, store.ErrNotFound)
				wantState(t, s, tokenOf(other, 2), store.EpochState{CredentialKnown: true})
			},
		},
		{
			name: "the token's epochs do not change the result",
			why:  "TokenRef.Epochs is for caches: a driver returns the stored epochs.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				for _, epochs := range [][3]int64{{}, {1, 1, 1}, {1 << 60, 1 << 60, 1 << 60}} {
					ref := tokenOf(k, 2)
					ref.Epochs = epochs
					wantState(t, s, ref, store.EpochState{CredentialKnown: true})
				}
			},
		},
		{
			name: "revoke revokes one token",
			why:  "Revoke revokes the token with that id and no other. Revoking it twice is no error.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				ref, other := tokenOf(k, 2), tokenOf(k, 2)
				other.TokenID = "Token-1"
				for range 2 {
					must(t, "Revoke", s.Epochs.Revoke(background, ref.TokenID, farAhead, noon))
					wantState(t, s, ref, store.EpochState{CredentialKnown: true, Revoked: true})
					wantState(t, s, other, store.EpochState{CredentialKnown: true})
				}
				must(t, "Revoke with an earlier end", s.Epochs.Revoke(background, ref.TokenID, noon, noon))
				wantState(t, s, ref, store.EpochState{CredentialKnown: true, Revoked: true})
			},
		},
	}
}

func keyEpoch(t tester, s store.Store, id string) int64 {
	t.Helper()
	return lookup(t, s, id).Key.Epoch
}

func wantHigher(t tester, what string, got, before int64) {
	t.Helper()
	if got <= before {
		t.Errorf("%s: got %d, want more than %d", what, got, before)
	}
}

// tokenOf returns a token of the first or second secret of newKey.
func tokenOf(k store.Key, secret int) store.TokenRef {
	return store.TokenRef{Workspace: k.Workspace, Key: k.ID, Credential: fmt.Sprintf("s%d-%s", secret, k.ID), TokenID: "token-1"}
}

// wantState compares the result of Read with want, and its epochs with those of the
// records.
func wantState(t tester, s store.Store, ref store.TokenRef, want store.EpochState) {
	t.Helper()
	got, err := s.Epochs.Read(background, ref)
	if err != nil {
		t.Errorf("Read(%+v): %v", ref, err)
		return
	}
	found := lookup(t, s, ref.Key)
	want.Instance, want.Workspace, want.Key = found.Instance.Epoch, found.Workspace.Epoch, found.Key.Epoch
	want.InstanceVersion = found.Instance.Version
	equalTime(t, "CredentialNotAfter", got.CredentialNotAfter, want.CredentialNotAfter)
	got.CredentialNotAfter, want.CredentialNotAfter = time.Time{}, time.Time{}
	equal(t, "state", got, want)
}

func epochText(e store.EpochState) string {
	return fmt.Sprintf("Epochs %d %d %d, settings %d, credential %t until %s, revoked %t",
		e.Instance, e.Workspace, e.Key, e.InstanceVersion, e.CredentialKnown, stamp(e.CredentialNotAfter), e.Revoked)
}
