package redisstore_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	if where := os.Getenv(childOf); where != "" {
		if err := child(where); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // as below
		}
		return
	}
	code := m.Run()
	servers.Close()
	os.Exit(code) //nolint:forbidigo // TestMain ends so
}

// silent is a logger that discards the client's messages about refused connections.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newStore returns an empty store on the shared server.
func newStore(t testing.TB) store.Store {
	t.Helper()
	client := sharedClient(t)
	return newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
}

func newDriver(t testing.TB, client redis.UniversalClient, cfg redisstore.Config) *redisstore.Driver {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	driver, err := redisstore.New(client, cfg)
	require.NoError(t, err)
	return driver
}

// newPrefix returns a prefix for the test. Its keys are removed when the test ends.
func newPrefix(t testing.TB, client *redis.Client) string {
	t.Helper()
	var random [8]byte
	_, err := rand.Read(random[:])
	require.NoError(t, err)
	prefix := "latchkey-test-" + hex.EncodeToString(random[:])
	t.Cleanup(func() {
		ctx := context.Background()
		keys := client.Scan(ctx, 0, prefix+":*", 1000).Iterator()
		for keys.Next(ctx) {
			client.Unlink(ctx, keys.Val())
		}
	})
	return prefix
}

// record returns the name of a Redis key of a store's records.
func record(prefix, what string) string { return prefix + ":{" + prefix + "}:" + what }

// contents returns all values under a prefix, as Redis dumps them.
func contents(t testing.TB, client *redis.Client, prefix string) map[string]string {
	t.Helper()
	all, ctx := make(map[string]string), context.Background()
	keys := client.Scan(ctx, 0, prefix+":*", 1000).Iterator()
	for keys.Next(ctx) {
		text, err := client.Dump(ctx, keys.Val()).Result()
		if errors.Is(err, redis.Nil) {
			continue // it expired just now
		}
		require.NoError(t, err)
		all[keys.Val()] = text
	}
	require.NoError(t, keys.Err())
	return all
}

// written returns the names of the Redis keys that were added or changed.
func written(before, after map[string]string) (names []string) {
	for name, text := range after {
		if before[name] != text {
			names = append(names, name)
		}
	}
	return names
}

// sharedClient is closed after the test's other cleanups.
func sharedClient(t testing.TB) *redis.Client {
	t.Helper()
	addr, err := servers.Redis(t.Context())
	started(t, err)
	return newClient(t, addr)
}

func newClient(t testing.TB, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// started skips a test if its servers are not installed.
func started(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skip("no Redis: " + err.Error())
	}
	require.NoError(t, err)
}

func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }

func newKey(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: "deployment", Permissions: scope.MustParse("project.list"), Created: noon, Updated: noon,
		Credentials: []store.Credential{{ID: "s1-" + id, Hint: "aB3x", Digest: "hmac-sha256$1$digest-of-" + id, Created: noon}},
	}
}
