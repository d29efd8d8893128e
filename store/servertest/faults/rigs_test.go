package faults_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// connections is the size of a host's pool.
const connections = 6

func TestMain(m *testing.M) {
	defer servers.Close()
	m.Run()
}

// rig is a database for the test, with functions that make it fail.
type rig struct {
	name    string
	process *servers.Process // nil: a file
	proxy   *servers.Proxy   // nil: a file
	// open connects one host, and reports how many of its connections are in
	// use.
	open func(t *testing.T) (st store.Store, busy func() int)
	// tell sends the server a command on a connection without the proxy; nil: none is needed.
	tell func(t *testing.T, command ...string)
	// full and makeRoom fill a file and free it again; hold and release lock it and unlock
	// it.
	full, makeRoom, hold, release func(t *testing.T)
	// canaries are texts that, like the addresses, no answer may contain.
	canaries []string
}

var rigs = []struct {
	name  string
	start func(t *testing.T) *rig
}{
	{"PostgreSQL", postgresRig},
	{"MariaDB", mariaRig},
	{"SQLite", sqliteRig},
	{"Redis", redisRig},
}

func postgresRig(t *testing.T) *rig {
	r := served(t, servers.StartPostgres)
	r.canaries = []string{"SQLSTATE", "postgres", "dial"}
	r.open = func(t *testing.T) (store.Store, func() int) {
		return sqlStore(t, connect(t, "pgx", "postgres://postgres@"+r.proxy.Addr()+"/test?sslmode=disable&connect_timeout=2"), sqlstore.PostgreSQL)
	}
	return r
}

func mariaRig(t *testing.T) *rig {
	r := served(t, servers.StartMariaDB)
	r.canaries = []string{"Error 1", "root", "dial"}
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "tcp", r.proxy.Addr(), "test"
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	cfg.InterpolateParams = true
	cfg.Logger = &mysql.NopLogger{}
	r.open = func(t *testing.T) (store.Store, func() int) {
		connector, err := mysql.NewConnector(cfg)
		require.NoError(t, err)
		return sqlStore(t, pooled(t, sql.OpenDB(connector)), sqlstore.MySQL)
	}
	return r
}

func redisRig(t *testing.T) *rig {
	r := served(t, func(ctx context.Context, dir string) (*servers.Process, error) { return servers.StartRedis(ctx, dir) })
	r.canaries = []string{"READONLY", "OOM", "EVAL", "dial"}
	client := func(t *testing.T, addr string) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: connections, ContextTimeoutEnabled: true})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	r.open = func(t *testing.T) (store.Store, func() int) {
		c := client(t, r.proxy.Addr())
		d, err := redisstore.New(c, redisstore.Config{Logger: quiet})
		require.NoError(t, err)
		return d.Store(), func() int { return int(c.PoolStats().TotalConns) - int(c.PoolStats().IdleConns) }
	}
	control := client(t, r.process.Addr())
	r.tell = func(t *testing.T, command ...string) {
		t.Helper()
		args := make([]any, len(command))
		for i, word := range command {
			args[i] = word
		}
		if err := control.Do(t.Context(), args...).Err(); err != nil {
			t.Errorf("%v: %v", command, err)
		}
	}
	return r
}

func sqliteRig(t *testing.T) *rig {
	file := filepath.Join(t.TempDir(), "keys.db")
	source := "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(300)&_pragma=synchronous(FULL)"
	r := &rig{canaries: []string{file, "SQLITE", "database is"}}
	var dbs []*sql.DB
	r.open = func(t *testing.T) (store.Store, func() int) {
		db := connect(t, "sqlite", source)
		dbs = append(dbs, db)
		return sqlStore(t, db, sqlstore.SQLite)
	}
	// The bound on pages is a setting of the connection, so it is set on all.
	pages := func(t *testing.T, bound string) {
		t.Helper()
		for _, db := range dbs {
			for range connections {
				c, err := db.Conn(t.Context())
				require.NoError(t, err)
				defer c.Close()
				_, err = c.ExecContext(t.Context(), "PRAGMA max_page_count = "+bound)
				require.NoError(t, err)
			}
		}
	}
	r.full = func(t *testing.T) { pages(t, "1") } // as many as there are
	r.makeRoom = func(t *testing.T) { pages(t, "1000000") }
	var other *sql.Conn
	r.hold = func(t *testing.T) {
		c, err := connect(t, "sqlite", source).Conn(context.Background())
		require.NoError(t, err)
		_, err = c.ExecContext(context.Background(), "BEGIN IMMEDIATE")
		require.NoError(t, err)
		other = c
	}
	r.release = func(t *testing.T) {
		_, err := other.ExecContext(context.Background(), "ROLLBACK")
		require.NoError(t, errors.Join(err, other.Close()))
	}
	return r
}

// served starts a server with a proxy in front of it.
func served(t *testing.T, start func(ctx context.Context, dir string) (*servers.Process, error)) *rig {
	t.Helper()
	p, err := start(t.Context(), t.TempDir())
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skip("NOT TESTED: ", err)
	}
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	proxy, err := servers.NewProxy(p.Addr())
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	return &rig{process: p, proxy: proxy}
}

// connect opens a database with a bounded pool.
func connect(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	return pooled(t, db)
}

func pooled(t *testing.T, db *sql.DB) *sql.DB {
	t.Helper()
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func sqlStore(t *testing.T, db *sql.DB, dialect sqlstore.Dialect) (store.Store, func() int) {
	t.Helper()
	d, err := sqlstore.New(db, dialect, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, d.Migrate(t.Context()))
	return d.Store(), func() int { return db.Stats().InUse }
}

// wanted returns the texts that no answer may contain.
func (r *rig) wanted() []string {
	list := append([]string{"127.0.0.1", "lk_"}, r.canaries...)
	if r.proxy != nil {
		_, port, _ := net.SplitHostPort(r.proxy.Addr())
		list = append(list, ":"+port)
	}
	return list
}

// fault is a way in which a rig fails.
type fault struct {
	name string
	// fits reports whether the fault applies to a rig.
	fits func(r *rig) bool
	// begin starts the fault, and end ends it. during, unless nil, is called before
	// each request in between.
	begin, end func(t *testing.T, r *rig)
	during     func(t *testing.T, r *rig)
	// down is true if nothing can be read during the fault, and full if nothing can be
	// written.
	down, full bool
	// alone is true if changes are made one at a time, so that they do not use up the
	// connections for logins.
	alone bool
}

func onServer(r *rig) bool { return r.process != nil }
func onRedis(r *rig) bool  { return r.tell != nil }
func onFile(r *rig) bool   { return r.process == nil }

var faults = []fault{
	{
		name: "stopped", fits: onServer, down: true,
		begin: func(t *testing.T, r *rig) { require.NoError(t, r.process.Kill()) },
		end:   func(t *testing.T, r *rig) { require.NoError(t, r.process.Restart(t.Context())) },
	},
	{
		name: "paused", fits: onServer, down: true,
		begin: func(t *testing.T, r *rig) { require.NoError(t, r.process.Pause()) },
		end:   func(t *testing.T, r *rig) { require.NoError(t, r.process.Resume()) },
	},
	{
		name: "restarted", fits: onServer,
		begin: func(t *testing.T, r *rig) { require.NoError(t, r.process.Restart(t.Context())) },
		end:   func(*testing.T, *rig) {},
	},
	{
		name: "cut in mid-answer", fits: onServer,
		begin:  func(*testing.T, *rig) {},
		during: func(_ *testing.T, r *rig) { r.proxy.CutAfter(20) },
		end:    func(_ *testing.T, r *rig) { r.proxy.CutAfter(-1) },
	},
	{
		name: "half-open", fits: onServer, down: true,
		begin: func(_ *testing.T, r *rig) { r.proxy.Freeze() },
		end:   func(_ *testing.T, r *rig) { r.proxy.Abandon() },
	},
	{
		name: "slow, 500 ms", fits: onServer, alone: true,
		begin: func(_ *testing.T, r *rig) { r.proxy.Delay(500 * time.Millisecond) },
		end:   func(_ *testing.T, r *rig) { r.proxy.Delay(0) },
	},
	{
		name: "full", fits: onRedis, full: true,
		begin: func(t *testing.T, r *rig) { r.tell(t, "CONFIG", "SET", "maxmemory", "1") },
		end:   func(t *testing.T, r *rig) { r.tell(t, "CONFIG", "SET", "maxmemory", "0") },
	},
	{
		name: "read-only", fits: onRedis, down: true,
		begin: func(t *testing.T, r *rig) { r.tell(t, "REPLICAOF", "127.0.0.1", "1") },
		end:   func(t *testing.T, r *rig) { r.tell(t, "REPLICAOF", "NO", "ONE") },
	},
	{
		name: "scripts forgotten", fits: onRedis,
		begin:  func(*testing.T, *rig) {},
		during: func(t *testing.T, r *rig) { r.tell(t, "SCRIPT", "FLUSH") },
		end:    func(*testing.T, *rig) {},
	},
	{
		name: "full", fits: onFile, full: true,
		begin: func(t *testing.T, r *rig) { r.full(t) },
		end:   func(t *testing.T, r *rig) { r.makeRoom(t) },
	},
	{
		name: "held by another process", fits: onFile, full: true,
		begin: func(t *testing.T, r *rig) { r.hold(t) },
		end:   func(t *testing.T, r *rig) { r.release(t) },
	},
}

// title returns the name of the fault's subtest.
func (f fault) title() string { return fmt.Sprintf("B19 %s", strings.ReplaceAll(f.name, ",", "")) }
