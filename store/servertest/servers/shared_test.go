//go:build unix

package servers_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// These tests change the shared servers of the binary, so they do not run in parallel.

func TestSharedServers(t *testing.T) {
	for _, name := range []string{"LATCHKEY_TEST_POSTGRES", "LATCHKEY_TEST_MARIADB", "LATCHKEY_TEST_REDIS"} {
		t.Setenv(name, "")
	}
	// No server listens on port 1, so all three are started.
	servers.LookAt("127.0.0.1:1")
	t.Cleanup(servers.Close)
	for _, s := range []struct {
		name string
		get  func(context.Context) (string, error)
		ping func(context.Context, string) error
		addr func(string) string
	}{
		{"PostgreSQL", servers.Postgres, servers.PingPostgres, func(name string) string {
			u, err := url.Parse(name)
			require.NoError(t, err)
			return u.Host
		}},
		{"MariaDB", servers.MariaDB, servers.PingMariaDB, func(name string) string {
			return strings.TrimSuffix(strings.TrimPrefix(name, "root@tcp("), ")/test?interpolateParams=true")
		}},
		{"Redis", servers.Redis, ping("PING"), func(name string) string { return name }},
	} {
		t.Run(s.name, func(t *testing.T) {
			name, err := s.get(t.Context())
			needs(t, err)
			addr := s.addr(name)
			host, _, err := net.SplitHostPort(addr)
			require.NoError(t, err)
			require.Equal(t, "127.0.0.1", host)
			require.NoError(t, s.ping(t.Context(), addr))
			again, err := s.get(t.Context())
			require.NoError(t, err)
			require.Equal(t, name, again)
			servers.Close()
			require.Error(t, s.ping(t.Context(), addr), "Close stops it")
		})
	}
}

func TestGaleraNodes(t *testing.T) {
	nodes, err := servers.GaleraNodes(t.Context())
	needs(t, err)
	require.Len(t, nodes, 3)
	again, err := servers.GaleraNodes(t.Context())
	require.NoError(t, err)
	require.Equal(t, nodes, again)
	node := through(t, nodes[1])
	require.NoError(t, node.PingContext(t.Context()))
	servers.Close()
	require.Error(t, through(t, nodes[1]).PingContext(t.Context()), "Close stops it")
}

// TestMissing checks that the packages which Missing returns are those whose servers
// cannot be started.
func TestMissing(t *testing.T) {
	missing := servers.Missing()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // there is no PostgreSQL
	defer cancel()
	_, _, err := servers.StartPgBouncer(ctx, t.TempDir(), "postgres://nobody@127.0.0.1:1/none")
	require.Error(t, err)
	require.Equal(t, errors.Is(err, servers.ErrNone), slices.Contains(missing, "pgbouncer"))
	if slices.Contains(missing, "galera-4") {
		_, err := servers.GaleraNodes(t.Context())
		require.ErrorIs(t, err, servers.ErrNone)
	}
}

func TestARunningServerIsShared(t *testing.T) {
	t.Setenv("LATCHKEY_TEST_REDIS", "")
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, p, err)
	servers.LookAt(p.Addr())
	got, err := servers.Redis(t.Context())
	require.NoError(t, err)
	require.Equal(t, p.Addr(), got)
	servers.Close()
	require.NoError(t, ping("PING")(t.Context(), got), "Close does not stop it")
}

func TestServerFromEnvironment(t *testing.T) {
	t.Setenv("LATCHKEY_TEST_POSTGRES", "postgres://elsewhere/test")
	servers.LookAt("127.0.0.1:1")
	got, err := servers.Postgres(t.Context())
	require.NoError(t, err)
	require.Equal(t, "postgres://elsewhere/test", got)
}

func TestNoServerIsErrNone(t *testing.T) {
	t.Setenv("LATCHKEY_TEST_REDIS", "")
	t.Setenv("PATH", t.TempDir())
	servers.LookAt("127.0.0.1:1")
	_, err := servers.Redis(t.Context())
	require.ErrorIs(t, err, servers.ErrNone)
	require.ErrorContains(t, err, "LATCHKEY_TEST_REDIS")
	servers.Close()
}

func TestRequired(t *testing.T) {
	t.Setenv("LATCHKEY_REQUIRE_SERVERS", "")
	require.False(t, servers.Required())
	t.Setenv("LATCHKEY_REQUIRE_SERVERS", "1")
	require.True(t, servers.Required())
}
