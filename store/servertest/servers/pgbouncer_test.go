//go:build unix

package servers_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func TestPgBouncer(t *testing.T) {
	server, err := servers.StartPostgres(t.Context(), t.TempDir())
	started(t, server, err)
	p, through, err := servers.StartPgBouncer(t.Context(), t.TempDir(), "postgres://postgres@"+server.Addr()+"/test?sslmode=disable")
	started(t, p, err)

	t.Run("named statements of two clients collide", func(t *testing.T) {
		// pgx gives the same statement the same name on every connection. Both clients
		// prepare it, and one server connection serves both.
		one, two := connects(t, through, pgx.QueryExecModeCacheStatement), connects(t, through, pgx.QueryExecModeCacheStatement)
		require.NoError(t, asks(t, one))
		if err := asks(t, two); err != nil { // PgBouncer 1.21 and later can separate the names
			var refused *pgconn.PgError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "42P05", refused.Code, "duplicate_prepared_statement")
		}
	})
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run("clients in the mode "+mode.String(), func(t *testing.T) {
			one, two := connects(t, through, mode), connects(t, through, mode)
			for range 3 {
				require.NoError(t, asks(t, one))
				require.NoError(t, asks(t, two))
			}
		})
	}
	t.Run("a search_path in the URL", func(t *testing.T) {
		config, err := pgx.ParseConfig(through)
		require.NoError(t, err)
		config.RuntimeParams["search_path"] = "elsewhere"
		_, err = pgx.ConnectConfig(t.Context(), config)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "08P01", refused.Code, refused.Message)
	})
	t.Run("killed and restarted", func(t *testing.T) {
		addr := p.Addr()
		require.NoError(t, p.Kill())
		_, err := net.DialTimeout("tcp", addr, time.Second)
		require.Error(t, err)
		require.NoError(t, p.Restart(t.Context()))
		require.Equal(t, addr, p.Addr())
		require.NoError(t, asks(t, connects(t, through, pgx.QueryExecModeExec)))
	})
}

func connects(t *testing.T, name string, mode pgx.QueryExecMode) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(name)
	require.NoError(t, err)
	config.DefaultQueryExecMode = mode
	c, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

// asks makes the server add two numbers.
func asks(t *testing.T, c *pgx.Conn) error {
	t.Helper()
	var sum int
	err := c.QueryRow(t.Context(), "SELECT $1::int + $2::int", 40, 2).Scan(&sum)
	if err == nil && sum != 42 {
		err = errors.New("a wrong answer")
	}
	return err
}
