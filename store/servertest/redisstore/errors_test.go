package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// withoutRetries returns a client without retries.
func withoutRetries(t *testing.T, o redis.Options) *redis.Client {
	t.Helper()
	o.ContextTimeoutEnabled, o.MaxRetries = true, -1
	client := redis.NewClient(&o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Errors of a real server are described. The test in the driver's package has more of
// them, with the texts of several versions.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*testing.T, *redis.Client) {
		return func(t *testing.T, server *redis.Client) {
			t.Helper()
			require.NoError(t, server.ConfigSet(t.Context(), name, value).Err())
		}
	}
	follow := func(master string) func(*testing.T, *redis.Client) {
		return func(t *testing.T, server *redis.Client) {
			t.Helper()
			require.NoError(t, server.ReplicaOf(t.Context(), "127.0.0.1", master).Err())
		}
	}
	full, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(full.Stop)
	const some = "for i = 1, 10000 do redis.call('SET', 'key-' .. i, string.rep('x', 1000)) end"
	require.ErrorIs(t, newClient(t, full.Addr()).Eval(t.Context(), some, nil).Err(), redis.Nil)
	for _, try := range []struct {
		name string
		args []string // of the server
		hurt func(*testing.T, *redis.Client)
		want string
		read bool // reads are answered
	}{
		{name: "READONLY", hurt: follow("1"), want: "the server is a replica and takes no writes: connect to the master"},
		{name: "MASTERDOWN", args: []string{"--replica-serve-stale-data", "no"}, hurt: follow("1"), want: "the server is a replica that has lost its master"},
		{name: "LOADING", args: []string{"--loading-process-events-interval-bytes", "1024", "--key-load-delay", "5000"},
			hurt: func(t *testing.T, server *redis.Client) {
				t.Helper()
				follow(port(t, full.Addr()))(t, server)
				require.Eventually(t, func() bool { return redis.IsLoadingError(server.Get(t.Context(), "key").Err()) }, patience, time.Millisecond)
			}, want: "the server is loading its data"},
		{name: "OOM", hurt: set("maxmemory", "1"), want: "the server's memory is full: raise maxmemory", read: true},
		{name: "NOREPLICAS", hurt: set("min-replicas-to-write", "1"),
			want: "the server has fewer replicas than min-replicas-to-write requires, and takes no writes"},
		{name: "NOAUTH", hurt: set("requirepass", "secret"), want: "the server requires a password: set it in the client's options"},
		{name: "a command that was renamed", args: []string{"--rename-command", "EVALSHA", ""},
			want: "the server does not know the command evalsha, or has renamed it"},
		{name: "a command of a script that was renamed", args: []string{"--rename-command", "EXISTS", "there"},
			want: "the server does not know the command exists, or has renamed it", read: true},
		{name: "CLUSTERDOWN", args: []string{"--cluster-enabled", "yes", "--cluster-port", "0"}, want: "the Cluster is down, or none of its nodes serves the slot"},
	} {
		t.Run(try.name, func(t *testing.T) {
			p, err := servers.StartRedis(t.Context(), t.TempDir(), try.args...)
			started(t, err)
			t.Cleanup(func() { // a server that is loading does not stop at once
				_ = p.Kill()
				p.Stop()
			})
			if try.hurt != nil {
				try.hurt(t, withoutRetries(t, redis.Options{Addr: p.Addr()}))
			}
			s := newDriver(t, withoutRetries(t, redis.Options{Addr: p.Addr()}), redisstore.Config{}).Store()
			err = s.Keys.Create(t.Context(), newKey("team-a", "key-1"), store.NoLimit, store.Change{Now: noon})
			require.EqualError(t, err, "redisstore: create key: store: unavailable ("+try.want+")")
			if _, err = s.Settings.Instance(t.Context()); try.read {
				require.NoError(t, err)
			} else if try.args == nil {
				require.EqualError(t, err, "redisstore: read settings: store: unavailable ("+try.want+")")
			}
		})
	}
}

// If the server refuses the connection, every call fails.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, err)
	t.Cleanup(p.Stop)
	require.NoError(t, newClient(t, p.Addr()).ConfigSet(t.Context(), "requirepass", "secret").Err())
	_, set := startSentinel(t, 0)
	for _, try := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		// The server closes such a connection, and the client opens another one.
		{"no password", newClient(t, p.Addr()), "the server requires a password: set it in the client's options"},
		{"another password", withoutRetries(t, redis.Options{Addr: p.Addr(), Password: "old"}),
			"the server refuses the user's name or password, or the user is disabled"},
		{"an unknown user", withoutRetries(t, redis.Options{Addr: p.Addr(), Username: "nobody", Password: "secret"}),
			"the server refuses the user's name or password, or the user is disabled"},
		{"a database that does not exist", withoutRetries(t, redis.Options{Addr: p.Addr(), Password: "secret", DB: 99}),
			"the server does not have the database that the client selects (a Cluster has only 0)"},
		{"no Cluster", redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{p.Addr()}, Password: "secret", ContextTimeoutEnabled: true}),
			"the server is not part of a Cluster: use redis.NewClient"},
		{"another master", redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "unknown", SentinelAddrs: set.Addrs(), ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		}), "no sentinel names a master: check MasterName and SentinelAddrs"},
	} {
		t.Run(try.name, func(t *testing.T) {
			t.Cleanup(func() { _ = try.client.Close() })
			d := newDriver(t, try.client, redisstore.Config{})
			_, err := d.Check(t.Context())
			for i, err := range append(useAll(context.Background(), d.Store()), err) {
				require.ErrorIs(t, err, store.ErrUnavailable, fmt.Sprint("call ", i))
				require.ErrorContains(t, err, "store: unavailable ("+try.want+")")
			}
		})
	}
}
