package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// oneCall is a call on a store that fillForCalls has filled. It is made once.
type oneCall struct {
	name  string
	trips int64 // round trips; 0 is any number
	want  error // the result on a working server
	do    func(ctx context.Context, s store.Store) error
	// whenFull is true if a server whose memory is full makes the change, since the
	// change needs no memory.
	whenFull bool
}

// fillForCalls fills a store with the records that the calls use.
func fillForCalls(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	for _, id := range []string{"key-1", "updated", "deleted", "used", "hashed", "buried"} {
		create(t, s, "team-a", id)
	}
	create(t, s, "team-b", "key-b")
	require.NoError(t, s.Keys.Delete(ctx, "team-a", "buried", 1, noon, store.Change{Now: noon}))
	require.NoError(t, s.Events.Append(ctx, store.Event{ID: "old", Time: noon.AddDate(-1, 0, 0), Workspace: "team-a"}))
	require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "test", ID: "spent", Expires: noon.Add(time.Hour)}, noon))
	require.NoError(t, s.Epochs.Revoke(ctx, "revoked", noon.Add(time.Hour), noon))
	require.NoError(t, s.HostLists.Record(ctx, store.ListEntry{List: store.Signers, Name: "listed", Fingerprint: "f"}))
	var counts []store.Count
	for i := range 100 { // in all parts
		counts = append(counts, store.Count{Workspace: "team-a", Key: fmt.Sprint("key-", i), Day: noon.AddDate(-1, 0, 0), Logins: 1})
	}
	require.NoError(t, s.Usage.Add(ctx, counts))
}

// some returns err or, if n is 0, another error.
func some(n int, err error) error {
	if n == 0 && err == nil {
		return errors.New("nothing")
	}
	return err
}

func tokenWith(key, id string) store.TokenRef {
	return store.TokenRef{Workspace: "team-a", Key: key, Credential: "s1-" + key, TokenID: id}
}

func listing(q store.KeyQuery, want int) func(context.Context, store.Store) error {
	return func(ctx context.Context, s store.Store) error {
		page, err := s.Keys.List(ctx, q)
		if err == nil && len(page.Keys) != want {
			return fmt.Errorf("%d keys instead of %d", len(page.Keys), want)
		}
		return err
	}
}

func events(q store.EventQuery) func(context.Context, store.Store) error {
	return func(ctx context.Context, s store.Store) error {
		page, err := s.Events.List(ctx, q)
		return some(len(page.Events), err)
	}
}

// readCalls are all calls that read records.
var readCalls = []oneCall{
	{name: "look up", trips: 1, do: func(ctx context.Context, s store.Store) error { _, err := s.Keys.Lookup(ctx, "key-1"); return err }},
	{name: "look up a key that never existed", trips: 1, want: store.ErrNotFound,
		do: func(ctx context.Context, s store.Store) error { _, err := s.Keys.Lookup(ctx, "unknown"); return err }},
	{name: "look up a deleted key", trips: 1, want: store.ErrNotFound,
		do: func(ctx context.Context, s store.Store) error { _, err := s.Keys.Lookup(ctx, "buried"); return err }},
	{name: "look up a secret", trips: 1, do: func(ctx context.Context, s store.Store) error {
		found, err := s.Secrets.LookupSecret(ctx, "s1-key-1")
		if err == nil && found.Key.ID != "key-1" {
			return fmt.Errorf("found %q", found.Key.ID)
		}
		return err
	}},
	{name: "look up a secret of no key", trips: 1, want: store.ErrNotFound, do: func(ctx context.Context, s store.Store) error {
		_, err := s.Secrets.LookupSecret(ctx, "unknown")
		return err
	}},
	{name: "epochs", trips: 1, do: func(ctx context.Context, s store.Store) error {
		_, err := s.Epochs.Read(ctx, tokenWith("key-1", "token-1"))
		return err
	}},
	{name: "epochs of a revoked token", trips: 1, do: func(ctx context.Context, s store.Store) error {
		state, err := s.Epochs.Read(ctx, tokenWith("key-1", "revoked"))
		if err == nil && !state.Revoked {
			return errors.New("the token is not revoked")
		}
		return err
	}},
	{name: "epochs of a missing key", trips: 1, want: store.ErrNotFound, do: func(ctx context.Context, s store.Store) error {
		_, err := s.Epochs.Read(ctx, tokenWith("unknown", "token-1"))
		return err
	}},
	{name: "settings of the instance", trips: 1, do: func(ctx context.Context, s store.Store) error { _, err := s.Settings.Instance(ctx); return err }},
	{name: "settings of a workspace", trips: 1, do: func(ctx context.Context, s store.Store) error {
		w, err := s.Settings.Workspace(ctx, "team-a")
		return some(w.Keys, err)
	}},
	{name: "a page of a workspace's keys", trips: 2, do: listing(store.KeyQuery{Workspace: "team-a"}, 5)},
	{name: "a page by name", trips: 2, do: listing(store.KeyQuery{Workspace: "team-a", Sort: store.ByName}, 5)},
	{name: "a page by last use", trips: 2, do: listing(store.KeyQuery{Workspace: "team-a", Sort: store.ByLastUsed}, 5)},
	{name: "a page by expiry of all workspaces", trips: 2, do: listing(store.KeyQuery{Sort: store.ByExpiry}, 6)},
	{name: "a page of workspaces", trips: 1, do: func(ctx context.Context, s store.Store) error {
		page, err := s.Workspaces.List(ctx, "", 100)
		return some(len(page.Workspaces), err)
	}},
	{name: "a page of all keys", trips: 2, do: listing(store.KeyQuery{}, 6)},
	{name: "a page of no keys", trips: 1, do: listing(store.KeyQuery{Workspace: "team-c"}, 0)},
	{name: "a page of events", trips: 1, do: events(store.EventQuery{})},
	{name: "a page of a workspace's events", trips: 1, do: events(store.EventQuery{Workspace: "team-a"})},
	{name: "find", trips: 1, do: func(ctx context.Context, s store.Store) error {
		_, err := s.OnceIDs.Find(ctx, "test", "spent", noon)
		return err
	}},
	{name: "find a one-time id that was not spent", trips: 1, want: store.ErrNotFound, do: func(ctx context.Context, s store.Store) error {
		_, err := s.OnceIDs.Find(ctx, "test", "unknown", noon)
		return err
	}},
	{name: "signing keys", trips: 1, do: func(ctx context.Context, s store.Store) error { _, err := s.SigningKeys.Ring(ctx); return err }},
	{name: "list entries", trips: 1, do: func(ctx context.Context, s store.Store) error {
		entries, err := s.HostLists.Entries(ctx)
		return some(len(entries), err)
	}},
	{name: "clock", trips: 1, do: func(ctx context.Context, s store.Store) error { _, err := s.Upkeep.Clock(ctx); return err }},
}

// changeCalls are all calls that write.
var changeCalls = []oneCall{
	{name: "create", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, newKey("team-a", "new-1"), store.NoLimit, store.Change{Now: noon})
	}},
	{name: "create with event, one-time id and preconditions", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, newKey("team-a", "new-2"), 100, store.Change{
			Now:           noon,
			Once:          &store.OnceID{Space: "test", ID: "request-1", Value: "new-2", Expires: noon.Add(time.Hour)},
			Events:        []store.Event{{ID: "event-1", Time: noon, Workspace: "team-a", Key: "new-2"}, {ID: "event-2", Time: noon, Workspace: "team-b"}},
			Preconditions: []store.Precondition{{Key: "key-b", Version: 1}, {Workspace: "team-c"}, {}},
		})
	}},
	{name: "update", trips: 1, do: func(ctx context.Context, s store.Store) error {
		k := newKey("team-a", "updated")
		k.Version, k.Name = 1, "renamed"
		return s.Keys.Update(ctx, k, store.Change{Now: noon, RevokeTokens: true})
	}},
	{name: "delete", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Delete(ctx, "team-a", "deleted", 1, noon, store.Change{Now: noon})
	}},
	{name: "record uses", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Upkeep.RecordUses(ctx, []store.Use{{Key: "used", Credential: "s1-used", At: noon}, {Key: "key-1", Credential: "s1-key-1", At: noon}})
	}},
	{name: "replace a digest", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Upkeep.Rehash(ctx, "hashed", "s1-hashed", newKey("", "hashed").Credentials[0].Digest, "hmac-sha256$2$other")
	}},
	{name: "settings of the instance", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, store.Change{Now: noon, RevokeTokens: true})
	}},
	{name: "settings of a workspace", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a", Suspended: true}, store.Change{Now: noon, RevokeTokens: true})
	}},
	{name: "delete a workspace", trips: 2, do: func(ctx context.Context, s store.Store) error {
		return s.Settings.DeleteWorkspace(ctx, "team-b", noon, store.Change{Now: noon})
	}},
	{name: "append events", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Events.Append(ctx, store.Event{ID: "event-3", Time: noon})
	}},
	{name: "revoke", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Epochs.Revoke(ctx, "token-2", noon.Add(time.Hour), noon)
	}},
	{name: "revoke a token again", trips: 1, whenFull: true, do: func(ctx context.Context, s store.Store) error {
		return s.Epochs.Revoke(ctx, "revoked", noon.Add(time.Minute), noon)
	}},
	{name: "spend", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.OnceIDs.Spend(ctx, store.OnceID{Space: "test", ID: "request-2", Expires: noon.Add(time.Hour)}, noon)
	}},
	{name: "record list entries", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.HostLists.Record(ctx, store.ListEntry{List: store.Signers, Name: "new", Fingerprint: "f"})
	}},
	{name: "forget a list entry", trips: 1, whenFull: true, do: func(ctx context.Context, s store.Store) error {
		return s.HostLists.Forget(ctx, store.Signers, "listed")
	}},
	{name: "signing keys", trips: 1, do: func(ctx context.Context, s store.Store) error { return s.SigningKeys.SetRing(ctx, store.Ring{}) }},
	{name: "usage", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: "key-1", Day: noon, Logins: 1}})
	}},
	{name: "advance", trips: 1, do: func(ctx context.Context, s store.Store) error {
		_, _, err := s.Limiter.Advance(ctx, "id", noon, time.Second, time.Minute)
		return err
	}},
	// A demoted server may have an old limit, so a step of 0 is refused, too.
	{name: "advance by 0", trips: 1, whenFull: true, do: func(ctx context.Context, s store.Store) error {
		_, _, err := s.Limiter.Advance(ctx, "id", noon, 0, time.Minute)
		return err
	}},
	{name: "advance beyond the window", trips: 1, whenFull: true, do: func(ctx context.Context, s store.Store) error {
		_, _, err := s.Limiter.Advance(ctx, "id", noon, time.Hour, time.Minute)
		return err
	}},
	{name: "purge", trips: 2, whenFull: true, do: func(ctx context.Context, s store.Store) error {
		return some(s.Upkeep.Purge(ctx, noon.Add(time.Second)))
	}},
	{name: "prune events", trips: 2, whenFull: true, do: func(ctx context.Context, s store.Store) error {
		return some(s.Events.Prune(ctx, noon.AddDate(0, -1, 0)))
	}},
	{name: "prune usage", whenFull: true, do: func(ctx context.Context, s store.Store) error {
		return some(s.Usage.Prune(ctx, noon.AddDate(0, -1, 0)))
	}},
}

// refusedCalls are changes that the records do not allow.
var refusedCalls = []oneCall{
	{name: "create an existing key", trips: 1, want: store.ErrExists, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, newKey("team-a", "key-1"), store.NoLimit, store.Change{Now: noon})
	}},
	{name: "create beyond the limit", trips: 1, want: store.ErrLimit, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, withSecret("team-a", "new-3", "s1-key-b"), 1, store.Change{Now: noon}) // the limit comes first
	}},
	{name: "create with the secret of another key", trips: 1, want: store.ErrCredentialExists, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, withSecret("team-b", "new-3", "s1-key-1"), store.NoLimit, store.Change{Now: noon})
	}},
	{name: "update with the secret of another key", trips: 1, want: store.ErrCredentialExists, do: func(ctx context.Context, s store.Store) error {
		k := withSecret("team-b", "key-b", "s1-key-1")
		k.Version = 1
		return s.Keys.Update(ctx, k, store.Change{Now: noon})
	}},
	{name: "create with an outdated precondition", trips: 1, want: store.ErrConflict, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Create(ctx, newKey("team-a", "new-3"), store.NoLimit, store.Change{Now: noon, Preconditions: []store.Precondition{{Key: "key-1", Version: 7}}})
	}},
	{name: "update another version", trips: 1, want: store.ErrConflict, do: func(ctx context.Context, s store.Store) error {
		k := withSecret("team-a", "key-1", "s1-key-b") // the version comes first
		k.Version = 7
		return s.Keys.Update(ctx, k, store.Change{Now: noon})
	}},
	{name: "delete a key that never existed", trips: 1, want: store.ErrNotFound, do: func(ctx context.Context, s store.Store) error {
		return s.Keys.Delete(ctx, "team-a", "unknown", 0, noon, store.Change{Now: noon})
	}},
	{name: "spend a one-time id again", trips: 1, want: store.ErrExists, do: func(ctx context.Context, s store.Store) error {
		return s.OnceIDs.Spend(ctx, store.OnceID{Space: "test", ID: "spent", Expires: noon.Add(time.Hour)}, noon)
	}},
	{name: "settings of another version", trips: 1, want: store.ErrConflict, do: func(ctx context.Context, s store.Store) error {
		return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Version: 7}}, store.Change{Now: noon})
	}},
	{name: "an entry of another key", trips: 1, want: store.ErrConflict, do: func(ctx context.Context, s store.Store) error {
		return s.HostLists.Record(ctx, store.ListEntry{List: store.Signers, Name: "listed", Fingerprint: "other"})
	}},
	{name: "signing keys of another version", trips: 1, want: store.ErrConflict, do: func(ctx context.Context, s store.Store) error {
		return s.SigningKeys.SetRing(ctx, store.Ring{Version: 7})
	}},
	{name: "replace another digest", trips: 1, want: store.ErrConflict, do: func(ctx context.Context, s store.Store) error {
		return s.Upkeep.Rehash(ctx, "key-1", "s1-key-1", "another", "other")
	}},
	// Calls that write nothing.
	{name: "record a use of a missing key", trips: 1, do: func(ctx context.Context, s store.Store) error {
		return s.Upkeep.RecordUses(ctx, []store.Use{{Key: "unknown", Credential: "s1-unknown", At: noon}})
	}},
}
