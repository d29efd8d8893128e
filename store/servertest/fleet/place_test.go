package fleet_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// place is the location of a store, in a form that is passed to another process.
type place struct {
	Driver string // "redis", or that of database/sql: "pgx", "mysql", "sqlite"
	Source string // address, or data source
	Prefix string // of Redis keys
	// Stream, unless empty, is the source for the stream of changes.
	Stream string
}

// open opens a place. The returned function closes it.
func (p place) open(ctx context.Context) (store.Store, func(), error) {
	st, closed, err := p.connect(ctx, p.Source)
	if err != nil || p.Stream == "" {
		return st, closed, err
	}
	beside, closedToo, err := p.connect(ctx, p.Stream)
	st.Watch = beside.Watch
	return st, func() { closedToo(); closed() }, err
}

func (p place) connect(ctx context.Context, source string) (store.Store, func(), error) {
	if p.Driver == "redis" {
		client := redis.NewClient(&redis.Options{Addr: source, ContextTimeoutEnabled: true})
		driver, err := redisstore.New(client, redisstore.Config{Prefix: p.Prefix})
		if err != nil {
			return store.Store{}, func() {}, err
		}
		return driver.Store(), func() { _ = client.Close() }, nil
	}
	db, err := sql.Open(p.Driver, source)
	if err != nil {
		return store.Store{}, func() {}, err
	}
	// Three processes share a server of 100 connections with other suites.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	var cfg sqlstore.Config
	if p.Driver == "pgx" {
		cfg.Listen = listen(source)
	}
	dialect := map[string]sqlstore.Dialect{"pgx": sqlstore.PostgreSQL, "mysql": sqlstore.MySQL, "sqlite": sqlstore.SQLite}[p.Driver]
	database, err := sqlstore.New(db, dialect, cfg)
	if err == nil {
		err = database.Migrate(ctx)
	}
	if err != nil {
		return store.Store{}, func() {}, errors.Join(err, db.Close())
	}
	return database.Store(), func() { _ = db.Close() }, nil
}

// listen returns a sqlstore.Config.Listen for pgx.
func listen(source string) func(ctx context.Context, channel string, ready, notify func()) error {
	return func(ctx context.Context, channel string, ready, notify func()) error {
		conn, err := pgx.Connect(ctx, source)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
		ready()
		for {
			if _, err := conn.WaitForNotification(ctx); err != nil {
				return err
			}
			notify()
		}
	}
}

// server returns the address of a place's server.
func (p place) server(t *testing.T) string {
	t.Helper()
	if p.Driver == "redis" {
		return p.Source
	}
	u, err := url.Parse(p.Source)
	require.NoError(t, err)
	return u.Host
}

// through returns the source of the same place with another address.
func (p place) through(t *testing.T, addr string) string {
	t.Helper()
	if p.Driver == "redis" {
		return addr
	}
	u, err := url.Parse(p.Source)
	require.NoError(t, err)
	u.Host = addr
	return u.String()
}

func newName() string { return "latchkey_" + strings.ToLower(rand.Text()[:10]) }

// redisPlace returns a new prefix. Its keys are removed when the test ends.
func redisPlace(t *testing.T) place {
	t.Helper()
	addr, err := servers.Redis(t.Context())
	needs(t, "Redis", err)
	p := place{Driver: "redis", Source: addr, Prefix: newName()}
	t.Cleanup(func() {
		ctx := context.Background()
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close()
		keys := client.Scan(ctx, 0, p.Prefix+":*", 1000).Iterator()
		for keys.Next(ctx) {
			client.Unlink(ctx, keys.Val())
		}
		require.NoError(t, keys.Err())
	})
	return p
}

// postgresPlace returns a new schema.
func postgresPlace(t *testing.T) place {
	t.Helper()
	server, err := servers.Postgres(t.Context())
	needs(t, "PostgreSQL", err)
	name := newName()
	statements(t, "pgx", server, "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
	u, err := url.Parse(server)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return place{Driver: "pgx", Source: u.String()}
}

// mariaPlace returns a new database.
func mariaPlace(t *testing.T) place {
	t.Helper()
	server, err := servers.MariaDB(t.Context())
	needs(t, "MariaDB", err)
	name := newName()
	statements(t, "mysql", server, "CREATE DATABASE "+name, "DROP DATABASE "+name)
	cfg, err := mysql.ParseDSN(server)
	require.NoError(t, err)
	cfg.DBName = name
	return place{Driver: "mysql", Source: cfg.FormatDSN()}
}

func sqlitePlace(t *testing.T) place {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.db")
	return place{Driver: "sqlite", Source: "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)"}
}

// statements runs one statement now, and the other when the test ends.
func statements(t *testing.T, driver, source, now, after string) {
	t.Helper()
	run := func(statement string) {
		db, err := sql.Open(driver, source)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(context.Background(), statement)
		require.NoError(t, err)
	}
	run(now)
	t.Cleanup(func() { run(after) })
}

// needs skips a test if there is no server, or fails it if servers are required.
func needs(t *testing.T, name string, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skipf("no %s: no server answers, and none is installed: %v", name, err)
	}
	require.NoError(t, err)
}

// galeraPlaces returns a new database, as a place for each node of a Galera cluster.
func galeraPlaces(t *testing.T) []place {
	t.Helper()
	nodes, err := servers.GaleraNodes(t.Context())
	needs(t, "Galera cluster", err)
	name := newName()
	statements(t, "mysql", nodes[0], "CREATE DATABASE "+name, "DROP DATABASE "+name)
	var places []place
	for _, node := range nodes {
		cfg, err := mysql.ParseDSN(node)
		require.NoError(t, err)
		cfg.DBName = name
		places = append(places, place{Driver: "mysql", Source: cfg.FormatDSN()})
	}
	return places
}
