package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// documented returns the rights in the package's documentation, and the additional ones
// for a Cluster.
func documented(t *testing.T) (rights, cluster []string) {
	t.Helper()
	text, err := os.ReadFile("../../redisstore/doc.go")
	require.NoError(t, err)
	var commands [][]string
	for _, block := range strings.Split(string(text), "ACL SETUSER latchkey ")[1:] {
		block, _, _ = strings.Cut(block, "\n//\n")
		commands = append(commands, strings.Fields(strings.ReplaceAll(block, "//", "")))
	}
	require.Len(t, commands, 2)
	return commands[0], commands[1]
}

// newUser creates a user with rights for a prefix, and returns its name. The password is
// the documented one.
func newUser(t *testing.T, server *redis.Client, prefix string, rights []string) string {
	t.Helper()
	name := "user-of-" + prefix
	args := []any{"acl", "setuser", name}
	for _, right := range rights {
		args = append(args, strings.ReplaceAll(right, "latchkey", prefix))
	}
	require.NoError(t, server.Do(t.Context(), args...).Err())
	t.Cleanup(func() { server.Do(context.Background(), "acl", "deluser", name) })
	return name
}

func clientOf(t *testing.T, addr, user string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, Username: user, Password: "password", ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// The documented rights are sufficient, and each of them is necessary.
func TestACL(t *testing.T) {
	t.Parallel()
	rights, _ := documented(t)
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(p.Stop)
	server := newClient(t, p.Addr())
	contract := func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			prefix := newPrefix(t, server)
			return newDriver(t, clientOf(t, p.Addr(), newUser(t, server, prefix, rights)), redisstore.Config{Prefix: prefix, WaitTimeout: 2 * time.Second}).Store()
		})
		found, err := newDriver(t, clientOf(t, p.Addr(), newUser(t, server, "latchkey", rights)), redisstore.Config{}).Check(t.Context())
		require.NoError(t, err)
		require.Empty(t, found)
		require.Empty(t, refused(t, server))
	}
	t.Run("one server", contract)
	follow(t, server, "online")
	require.Eventually(t, func() bool {
		return server.Set(t.Context(), "other", "1", 0).Err() == nil && server.Wait(t.Context(), 1, time.Second).Val() == 1
	}, patience, time.Millisecond)
	t.Run("a server with a replica", contract)
	for _, right := range rights {
		if !strings.ContainsAny(right[:1], "+~&") {
			continue
		}
		t.Run("without "+right, func(t *testing.T) {
			prefix := newPrefix(t, server)
			right := strings.ReplaceAll(right, "latchkey", prefix)
			user := newUser(t, server, prefix, slices.DeleteFunc(slices.Clone(rights), func(r string) bool {
				return strings.ReplaceAll(r, "latchkey", prefix) == right
			}))
			fill(t, newDriver(t, server, redisstore.Config{Prefix: prefix}).Store())
			require.NoError(t, server.ScriptFlush(t.Context()).Err())
			d := newDriver(t, clientOf(t, p.Addr(), user), redisstore.Config{Prefix: prefix, WaitTimeout: 2 * time.Second})
			found, err := d.Check(t.Context())
			named := found
			for _, err := range append(useAll(t.Context(), d.Store()), err) {
				if !errors.Is(err, store.ErrUnavailable) || slow(err) {
					continue // it succeeded, or a record is missing because an earlier change failed
				}
				require.ErrorContains(t, err, right, "the error names the right")
				require.NotContains(t, err.Error(), user)
				named = append(named, err.Error())
			}
			require.Contains(t, strings.Join(named, "\n"), right, "the right is necessary")
			t.Log(named[0])
		})
	}
}

// refused returns the commands that the server has refused to users, without those with
// which the client describes itself.
func refused(t *testing.T, server *redis.Client) (all []string) {
	t.Helper()
	entries, err := server.Do(t.Context(), "acl", "log").Slice()
	require.NoError(t, err)
	for _, entry := range entries {
		if text := fmt.Sprint(entry); !strings.Contains(text, "object:client|") {
			all = append(all, text)
		}
	}
	return all
}

// slow reports whether a call failed because the machine is busy.
func slow(err error) bool {
	return strings.Contains(err.Error(), "replicas confirmed") || strings.Contains(err.Error(), "no answer")
}

// A Cluster's client reads the slot map from its nodes, and follows slots that move.
func TestACLOfACluster(t *testing.T) {
	t.Parallel()
	rights, more := documented(t)
	all, nodes := startCluster(t)
	connect := func(t *testing.T, prefix string, rights []string) *redis.ClusterClient {
		t.Helper()
		o := &redis.ClusterOptions{Username: "user-of-" + prefix, Password: "password", ContextTimeoutEnabled: true}
		for _, node := range nodes {
			newUser(t, newClient(t, node.Addr()), prefix, rights)
			o.Addrs = append(o.Addrs, node.Addr())
		}
		client := redis.NewClusterClient(o)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	n := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		n++
		prefix := fmt.Sprint("store-", n)
		return newDriver(t, connect(t, prefix, append(rights, more...)), redisstore.Config{Prefix: prefix}).Store()
	})
	// While a slot moves, a new limit is at the target node.
	limit := func(t *testing.T, prefix string, rights []string) (err error) {
		t.Helper()
		s := newDriver(t, connect(t, prefix, rights), redisstore.Config{Prefix: prefix}).Store()
		migrate(t, all, nodes, prefix+":limit:id", func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, _, err = s.Limiter.Advance(ctx, "id", noon, time.Second, time.Minute)
		}, func(int) {})
		return err
	}
	require.NoError(t, limit(t, "moving", append(rights, more...)))
	for _, node := range nodes {
		require.Empty(t, refused(t, newClient(t, node.Addr())))
	}
	for i, right := range more {
		t.Run("without "+right, func(t *testing.T) {
			less := slices.DeleteFunc(append(slices.Clone(rights), more...), func(r string) bool { return r == right })
			err := limit(t, fmt.Sprint("without-", i), less)
			require.ErrorIs(t, err, store.ErrUnavailable)
			// Without +asking each node redirects the client to the other.
			require.Condition(t, func() bool { return strings.Contains(err.Error(), right) || right == "+asking" })
		})
	}
}

// fill creates the records that useAll reads and changes.
func fill(t *testing.T, s store.Store) {
	t.Helper()
	for _, id := range []string{"looked-up", "updated", "deleted", "purged"} {
		create(t, s, "team-a", id)
	}
	create(t, s, "team-b", "swept")
	ctx := t.Context()
	require.NoError(t, s.Keys.Delete(ctx, "team-a", "purged", 0, noon, store.Change{Now: noon}))
	require.NoError(t, s.Events.Append(ctx, store.Event{ID: "event-1", Time: noon, Action: "made", Workspace: "team-a"}))
	require.NoError(t, s.HostLists.Record(ctx, store.ListEntry{List: store.Peppers, Name: "1", Fingerprint: "f"}))
	require.NoError(t, s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: "looked-up", Day: noon, Logins: 1}}))
}

// useAll calls every method of a store that fill has filled, and returns their errors.
func useAll(ctx context.Context, s store.Store) []error {
	only := func(_ any, err error) error { return err }
	updated, later := newKey("team-a", "updated"), noon.Add(24*time.Hour)
	updated.Name, updated.Version = "renamed", 1
	id := store.OnceID{Space: "test", ID: "1", Expires: later}
	change := store.Change{
		Now: noon, Once: &store.OnceID{Space: "test", ID: "2", Expires: later}, Preconditions: []store.Precondition{{Key: "looked-up", Version: 1}},
		Events: []store.Event{{ID: "event-2", Time: later, Action: "made", Workspace: "team-a"}},
	}
	count := store.Count{Workspace: "team-a", Key: "looked-up", Day: noon, Logins: 1}
	_, _, limited := s.Limiter.Advance(ctx, "id", noon, time.Second, time.Minute)
	errs := []error{
		limited,
		s.Keys.Create(ctx, newKey("team-a", "created"), store.NoLimit, change),
		only(s.Keys.Lookup(ctx, "looked-up")),
		only(s.Secrets.LookupSecret(ctx, "s1-looked-up")),
		s.Keys.Update(ctx, updated, store.Change{Now: noon}),
		s.Keys.Delete(ctx, "team-a", "deleted", 0, noon, store.Change{Now: noon}),
		only(s.Keys.List(ctx, store.KeyQuery{})),
		only(s.Keys.List(ctx, store.KeyQuery{Sort: store.ByName, Descending: true})),
		only(s.Settings.Instance(ctx)),
		s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Updated: noon}}, store.Change{Now: noon}),
		only(s.Settings.Workspace(ctx, "team-a")),
		s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a", Updated: noon}, store.Change{Now: noon}),
		s.Settings.DeleteWorkspace(ctx, "team-b", noon, store.Change{Now: noon}),
		s.Upkeep.RecordUses(ctx, []store.Use{{Key: "looked-up", Credential: "s1-looked-up", At: noon}}),
		s.Upkeep.Rehash(ctx, "looked-up", "s1-looked-up", "hmac-sha256$1$digest-of-looked-up", "new"),
		only(s.Upkeep.Purge(ctx, later)),
		only(s.Upkeep.Clock(ctx)),
		only(s.Events.List(ctx, store.EventQuery{Workspace: "team-a"})),
		only(s.Events.Prune(ctx, later)),
		only(s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "looked-up", Credential: "s1-looked-up"})),
		s.Epochs.Revoke(ctx, "token-1", later, noon),
		s.OnceIDs.Spend(ctx, id, noon),
		only(s.OnceIDs.Find(ctx, "test", "1", noon)),
		s.HostLists.Record(ctx, store.ListEntry{List: store.Peppers, Name: "2", Fingerprint: "f"}),
		only(s.HostLists.Entries(ctx)),
		s.HostLists.Forget(ctx, store.Peppers, "1"),
		only(s.SigningKeys.Ring(ctx)),
		s.SigningKeys.SetRing(ctx, store.Ring{}),
		s.Usage.Add(ctx, []store.Count{count}),
		only(s.Usage.ByDay(ctx, "team-a", "looked-up", noon.AddDate(0, 0, -1), later)),
		only(s.Usage.Prune(ctx, later)),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rounds := 0
	return append(errs, s.Watch.Watch(ctx, func() {}, func(store.Notification) {
		if rounds++; rounds == 2 {
			cancel() // the first heartbeat comes when the stream begins, the next at the end of a round
		}
	}))
}
