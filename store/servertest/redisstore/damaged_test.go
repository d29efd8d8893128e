package redisstore_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A record that cannot be read is an error. It is not reported as missing, and no part of
// it is returned.
func TestDamagedRecords(t *testing.T) {
	lookUp := func(ctx context.Context, s store.Store) error { _, err := s.Keys.Lookup(ctx, "key-1"); return err }
	lookUpSecret := func(ctx context.Context, s store.Store) error {
		_, err := s.Secrets.LookupSecret(ctx, "s1-key-1")
		return err
	}
	listWorkspaces := func(ctx context.Context, s store.Store) error { _, err := s.Workspaces.List(ctx, "", 0); return err }
	instance := func(ctx context.Context, s store.Store) error { _, err := s.Settings.Instance(ctx); return err }
	reminders := func(text string) func(string) string {
		return func(string) string { return text }
	}
	for _, try := range []struct {
		name        string
		what, field string // if field is empty, what is a Redis key that is not a hash
		damage      func(record string) string
		read        func(ctx context.Context, s store.Store) error
	}{
		{"a key", "keys", "key-1", spoilt, lookUp},
		{"a key that is found by its secret", "keys", "key-1", spoilt, lookUpSecret},
		{"a key without lines that is found by its secret", "keys", "key-1", func(string) string { return "1 1 team-a" }, lookUpSecret},
		{"a key's settings", "settings", "wteam-a", spoilt, lookUp},
		{"a key's instance", "settings", "i", spoilt, lookUp},
		{"a number of keys", "counts", "team-a", spoilt, lookUp},
		{"a key in a list", "keys", "key-1", spoilt, func(ctx context.Context, s store.Store) error {
			_, err := s.Keys.List(ctx, store.KeyQuery{})
			return err
		}},
		{"settings of the instance", "settings", "i", spoilt, instance},
		{"reminders off is not a number", "settings", "r", reminders("soon"), instance},
		{"a reminder is not a number", "settings", "r", reminders("0 soon"), instance},
		{"too many reminders", "settings", "r", reminders("0 1 2 3 4 5 6 7 8 9"), instance},
		{"settings of a workspace", "settings", "wteam-a", spoilt, func(ctx context.Context, s store.Store) error {
			_, err := s.Settings.Workspace(ctx, "team-a")
			return err
		}},
		{"settings in a list of workspaces", "settings", "wteam-a", spoilt, listWorkspaces},
		{"a number of keys in a list of workspaces", "counts", "team-a", spoilt, listWorkspaces},
		{"an event", "events", "old", spoilt, func(ctx context.Context, s store.Store) error {
			_, err := s.Events.List(ctx, store.EventQuery{})
			return err
		}},
		{"an event to be removed", "events", "old", spoilt, func(ctx context.Context, s store.Store) error {
			_, err := s.Events.Prune(ctx, noon)
			return err
		}},
		{"the signing keys", "ring", "body", spoilt, func(ctx context.Context, s store.Store) error { _, err := s.SigningKeys.Ring(ctx); return err }},
		{"the version of the signing keys", "ring", "version", spoilt,
			func(ctx context.Context, s store.Store) error { _, err := s.SigningKeys.Ring(ctx); return err }},
		{"an entry of a list", "lists", "signers listed", func(string) string { return "f soon" },
			func(ctx context.Context, s store.Store) error { _, err := s.HostLists.Entries(ctx); return err }},
		{"a one-time id", "once:test spent", "", func(string) string { return "soon" }, func(ctx context.Context, s store.Store) error {
			_, err := s.OnceIDs.Find(ctx, "test", "spent", noon)
			return err
		}},
		{"the stream", "stream", "", spoilt, func(ctx context.Context, s store.Store) error {
			return s.Watch.Watch(ctx, func() {}, func(store.Notification) {})
		}},
	} {
		t.Run(try.name, func(t *testing.T) {
			ctx, client := t.Context(), sharedClient(t)
			prefix := newPrefix(t, client)
			s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			fillForCalls(t, s)
			require.NoError(t, s.Settings.SetInstance(ctx, store.InstanceSettings{}, store.Change{Now: noon}))
			require.NoError(t, s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a"}, store.Change{Now: noon}))
			require.NoError(t, s.SigningKeys.SetRing(ctx, store.Ring{Keys: []store.SigningKey{{ID: "k"}}}))
			damage(t, client, record(prefix, try.what), try.field, try.damage)
			err := try.read(ctx, s)
			require.ErrorContains(t, err, "cannot be read")
			require.NotErrorIs(t, err, store.ErrNotFound)
		})
	}
}

// spoilt returns a record that does not begin with a number.
func spoilt(record string) string { return "!" + record }

func damage(t *testing.T, client *redis.Client, name, field string, how func(string) string) {
	t.Helper()
	if field == "" {
		before, err := client.Get(t.Context(), name).Result()
		require.NoError(t, err)
		require.NoError(t, client.Set(t.Context(), name, how(before), redis.KeepTTL).Err())
		return
	}
	before, err := client.HGet(t.Context(), name, field).Result()
	require.NoError(t, err)
	require.NoError(t, client.HSet(t.Context(), name, field, how(before)).Err())
}
