package scale_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

var quiet = slog.New(slog.DiscardHandler)

const connections = 16

func TestMain(m *testing.M) {
	defer servers.Close()
	m.Run()
}

func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }

// rig creates stores on one server or in one directory.
type rig struct {
	// open returns a new, empty store.
	open func(t *testing.T) *site
}

// site is one store in its own schema, database, file or key prefix.
type site struct {
	store store.Store
	db    *sql.DB       // or nil
	redis *redis.Client // or nil
	// settle makes the database do now what it would do by itself later.
	settle func(t *testing.T)
	// used returns the size in bytes of the store, or of all stores of the rig.
	used func(t *testing.T) int64
}

// rigs are the rigs of all drivers. via, unless nil, starts a proxy between the store and
// its server: it takes the server's address and returns that of the proxy.
var rigs = []struct {
	name  string
	start func(t *testing.T, via func(addr string) string) *rig
}{
	{"memstore", memoryRig},
	{"SQLite", sqliteRig},
	{"PostgreSQL", postgresRig},
	{"MariaDB", mariaRig},
	{"Redis", redisRig},
}

func memoryRig(*testing.T, func(string) string) *rig {
	used := func(*testing.T) int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	return &rig{func(*testing.T) *site {
		return &site{store: memstore.New(), settle: func(*testing.T) {}, used: used}
	}}
}

func sqliteRig(*testing.T, func(string) string) *rig {
	return &rig{func(t *testing.T) *site {
		source := "file:" + filepath.Join(memoryDir(t), "keys.db") +
			"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)"
		s := sqlSite(t, "sqlite", source, sqlstore.SQLite)
		s.settle = func(t *testing.T) { s.run(t, "PRAGMA wal_checkpoint(TRUNCATE)"); s.run(t, "ANALYZE") }
		s.used = func(t *testing.T) int64 {
			return s.number(t, "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
		}
		return s
	}}
}

// memoryDir returns a directory in memory if possible, since a million changes on a disk
// take too long.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "latchkey-scale-") //nolint:usetesting // the test's directory is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func postgresRig(t *testing.T, via func(string) string) *rig {
	var server string
	if soak() {
		p := own(t, servers.StartPostgres)
		server = "postgres://postgres@" + p.Addr() + "/test?sslmode=disable"
	} else {
		var err error
		server, err = servers.Postgres(t.Context())
		started(t, "PostgreSQL", err)
	}
	return &rig{func(t *testing.T) *site {
		name := randomName()
		admin(t, "pgx", server, "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
		u, err := url.Parse(server)
		require.NoError(t, err)
		query := u.Query()
		query.Set("search_path", name)
		u.RawQuery = query.Encode()
		if via != nil {
			u.Host = via(u.Host)
		}
		s := sqlSite(t, "pgx", u.String(), sqlstore.PostgreSQL)
		s.settle = func(t *testing.T) { s.run(t, "ANALYZE") }
		s.used = func(t *testing.T) int64 {
			return s.number(t, `SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
				JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '`+name+`' AND c.relkind = 'r'`)
		}
		return s
	}}
}

func mariaRig(t *testing.T, via func(string) string) *rig {
	var server string
	if soak() {
		server = "root@tcp(" + own(t, servers.StartMariaDB).Addr() + ")/test?interpolateParams=true"
		admin(t, "mysql", server, "SET GLOBAL innodb_buffer_pool_size = 2147483648", "")
		admin(t, "mysql", server, "SET GLOBAL innodb_flush_log_at_trx_commit = 0", "")
	} else {
		var err error
		server, err = servers.MariaDB(t.Context())
		started(t, "MariaDB", err)
	}
	return &rig{func(t *testing.T) *site {
		name := randomName()
		admin(t, "mysql", server, "CREATE DATABASE "+name, "DROP DATABASE "+name)
		cfg, err := mysql.ParseDSN(server)
		require.NoError(t, err)
		cfg.DBName = name
		if via != nil {
			cfg.Addr = via(cfg.Addr)
		}
		s := sqlSite(t, "mysql", cfg.FormatDSN(), sqlstore.MySQL)
		s.settle = func(t *testing.T) { s.run(t, "ANALYZE TABLE latchkey_keys, latchkey_workspaces") }
		s.used = func(t *testing.T) int64 {
			return s.number(t, "SELECT CAST(SUM(file_size) AS SIGNED) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE '"+name+"/%'")
		}
		return s
	}}
}

func redisRig(t *testing.T, via func(string) string) *rig {
	p := own(t, func(ctx context.Context, dir string) (*servers.Process, error) {
		return servers.StartRedis(ctx, dir, "--appendonly", "no")
	})
	addr := p.Addr()
	if via != nil {
		addr = via(addr)
	}
	return &rig{func(t *testing.T) *site {
		client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: connections, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = client.Close() })
		driver, err := redisstore.New(client, redisstore.Config{Prefix: randomName(), Logger: quiet})
		require.NoError(t, err)
		return &site{store: driver.Store(), redis: client, settle: func(*testing.T) {}, used: func(t *testing.T) int64 {
			info, err := client.Info(context.Background(), "memory").Result()
			require.NoError(t, err)
			_, rest, found := strings.Cut(info, "used_memory:")
			require.True(t, found)
			digits, _, _ := strings.Cut(rest, "\r")
			n, err := strconv.ParseInt(digits, 10, 64)
			require.NoError(t, err)
			return n
		}}
	}}
}

func sqlSite(t *testing.T, driver, source string, dialect sqlstore.Dialect) *site {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() { _ = db.Close() })
	d, err := sqlstore.New(db, dialect, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, d.Migrate(t.Context()))
	return &site{store: d.Store(), db: db}
}

func (s *site) run(t *testing.T, statement string) {
	t.Helper()
	rows, err := s.db.QueryContext(context.Background(), statement)
	require.NoError(t, err)
	require.NoError(t, rows.Close())
}

func (s *site) number(t *testing.T, query string) (n int64) {
	t.Helper()
	require.NoError(t, s.db.QueryRowContext(context.Background(), query).Scan(&n))
	return n
}

// own starts a server for this test.
func own(t *testing.T, start func(ctx context.Context, dir string) (*servers.Process, error)) *servers.Process {
	t.Helper()
	p, err := start(t.Context(), t.TempDir())
	started(t, "server", err)
	t.Cleanup(p.Stop)
	return p
}

// started skips a test if its server is not installed, or fails it if servers are
// required.
func started(t *testing.T, name string, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skipf("no %s: %v", name, err)
	}
	require.NoError(t, err)
}

func randomName() string { return "latchkey_" + strings.ToLower(rand.Text()[:10]) }

// admin runs a statement now and, unless it is empty, another one when the test ends.
func admin(t *testing.T, driver, source, now, after string) {
	t.Helper()
	run := func(statement string) {
		db, err := sql.Open(driver, source)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(context.Background(), statement)
		require.NoError(t, err)
	}
	run(now)
	if after != "" {
		t.Cleanup(func() { run(after) })
	}
}
