package sqlstore_test

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// pair is a server that takes writes and one that does not.
type pair struct {
	engine          engine
	driver          string
	writer, standby string // addresses
	source          func(addr string) string
	// promote makes the standby take writes.
	promote func(t *testing.T)
}

// pairs start the pair for each database.
var pairs = map[string]func(t *testing.T) pair{"PostgreSQL": postgresPair, "MariaDB": mariaPair}

func postgresPair(t *testing.T) pair {
	t.Helper()
	primary, err := servers.StartPostgres(t.Context(), t.TempDir())
	skipWithout(t, "PostgreSQL", err)
	t.Cleanup(primary.Stop)
	standby, err := servers.StartPostgresStandby(t.Context(), t.TempDir(), primary)
	require.NoError(t, err)
	t.Cleanup(standby.Stop)
	source := func(addr string) string {
		return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Host: addr, Path: "test", RawQuery: "sslmode=disable"}).String()
	}
	return pair{engines[0], "pgx", primary.Addr(), standby.Addr(), source, func(t *testing.T) {
		t.Helper()
		onServer(t, "pgx", source(standby.Addr()), "SELECT pg_promote()")
	}}
}

// mariaPair returns two servers with the same tables. The standby is read-only.
func mariaPair(t *testing.T) pair {
	t.Helper()
	source := func(user string) func(addr string) string {
		return func(addr string) string {
			return (&mysql.Config{User: user, Net: "tcp", Addr: addr, DBName: "test", AllowNativePasswords: true, InterpolateParams: true}).FormatDSN()
		}
	}
	root, host := source("root"), source("latchkey")
	var addrs []string
	for range 2 {
		p, err := servers.StartMariaDB(t.Context(), t.TempDir())
		skipWithout(t, "MariaDB", err)
		t.Cleanup(p.Stop)
		addrs = append(addrs, p.Addr())
		// The user root may write even if read_only is set.
		onServer(t, "mysql", root(p.Addr()), "CREATE USER latchkey@'127.0.0.1'", "GRANT ALL ON test.* TO latchkey@'127.0.0.1'")
	}
	fill(t, engines[1].tables(t, dial(t, "mysql", host(addrs[1])), sqlstore.Config{}).Store())
	onServer(t, "mysql", root(addrs[1]), "SET GLOBAL read_only = 1")
	return pair{engines[1], "mysql", addrs[0], addrs[1], host, func(t *testing.T) {
		t.Helper()
		onServer(t, "mysql", root(addrs[1]), "SET GLOBAL read_only = 0")
	}}
}

func onServer(t *testing.T, driver, source string, statements ...string) {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	defer db.Close()
	for _, s := range statements {
		_, err = db.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
}

// All deciding calls to a server that takes no writes fail, and the pool closes its
// connections. Once new connections lead to another server, calls succeed.
func TestFailover(t *testing.T) {
	for name, start := range pairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			p := start(t)
			writer := p.engine.tables(t, dial(t, p.driver, p.source(p.writer)), sqlstore.Config{}).Store()
			fill(t, writer)
			there := dial(t, p.driver, p.source(p.standby))
			require.Eventually(t, func() bool {
				n := 0
				err := there.QueryRowContext(ctx, "SELECT COUNT(*) FROM latchkey_keys").Scan(&n)
				return err == nil && n == 1
			}, patience, 10*time.Millisecond)

			proxy, err := servers.NewProxy(p.standby)
			require.NoError(t, err)
			t.Cleanup(proxy.Close)
			db := dial(t, p.driver, p.source(proxy.Addr()))
			d, err := sqlstore.New(db, p.engine.dialect, sqlstore.Config{})
			require.NoError(t, err)
			s := d.Store()
			look := func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err }
			calls := map[string]func() error{
				"look-up":             look,
				"look-up of a secret": func() error { _, err := s.Secrets.LookupSecret(ctx, "s1-key-1"); return err },
				"epochs": func() error {
					_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1"})
					return err
				},
				"create": func() error { return s.Keys.Create(ctx, key("team-a", "key-2"), store.NoLimit, event("event-2")) },
				"limit":  func() error { _, _, err := s.Limiter.Advance(ctx, "id", noon, 1, time.Hour); return err },
				"spend":  func() error { return s.OnceIDs.Spend(ctx, store.OnceID{ID: "id", Expires: noon}, noon.Add(time.Hour)) },
				"usage": func() error {
					return s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: "key-1", Day: noon, Logins: 1}})
				},
				"find":       func() error { _, err := s.OnceIDs.Find(ctx, "", "kept", noon); return err },
				"limit read": func() error { _, _, err := s.Limiter.Advance(ctx, "kept", noon, 0, 2*time.Hour); return err },
				"watch":      func() error { return s.Watch.Watch(ctx, func() { t.Error("ready") }, func(store.Notification) {}) },
			}
			for what, call := range calls {
				proxy.Retarget(p.standby)
				closeIdle(t, db)
				hold(t, db, 5)
				err := call()
				require.ErrorIs(t, err, store.ErrUnavailable, what)
				require.ErrorContains(t, err, "read-only", what)
				hold(t, db, 5)

				proxy.Retarget(p.writer)
				if what == "watch" {
					w := watch(t, s)
					w.until(t, isHeartbeat)
					w.cancel()
					require.ErrorIs(t, w.end(t), context.Canceled)
				} else {
					require.NoError(t, call(), "%s: the first call reaches the server that takes writes", what)
				}
				require.NoError(t, s.Settings.SetInstance(ctx, instance(t, s), store.Change{}), what)
				if p.driver == "pgx" {
					_, err := db.ExecContext(ctx, "WITH k AS (DELETE FROM latchkey_keys WHERE id = 'key-2') DELETE FROM latchkey_credentials WHERE key_id = 'key-2'")
					require.NoError(t, err)
				}
			}
			// After a promotion of the same server the connections stay.
			proxy.Retarget(p.standby)
			closeIdle(t, db)
			require.ErrorContains(t, s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: "key-1", Day: noon, Logins: 1}}), "read-only")
			p.promote(t)
			require.Eventually(t, func() bool { return look() == nil }, patience, 10*time.Millisecond)
			require.NoError(t, s.Settings.SetInstance(ctx, instance(t, s), store.Change{}))
		})
	}
}

// fill writes the records that the calls read.
func fill(t *testing.T, s store.Store) {
	t.Helper()
	require.NoError(t, s.OnceIDs.Spend(t.Context(), store.OnceID{ID: "kept", Expires: noon.Add(time.Hour)}, noon))
	_, _, err := s.Limiter.Advance(t.Context(), "kept", noon, time.Hour, 2*time.Hour)
	require.NoError(t, err)
	require.NoError(t, s.Keys.Create(t.Context(), key("team-a", "key-1"), store.NoLimit, store.Change{}))
}

func instance(t *testing.T, s store.Store) store.InstanceSettings {
	t.Helper()
	i, err := s.Settings.Instance(context.Background())
	require.NoError(t, err)
	return i
}

// closeIdle closes idle connections.
func closeIdle(t *testing.T, db *sql.DB) {
	t.Helper()
	require.Eventually(t, func() bool { return db.Stats().InUse == 0 }, patience, time.Millisecond)
	db.SetMaxIdleConns(0)
	db.SetMaxIdleConns(12)
}

// hold opens n connections, which the pool then keeps.
func hold(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	for range n {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer c.Close()
	}
}

// An error describes its cause and has the database's code.
func TestErrorDescriptions(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		_, err := s.OnceIDs.Find(ctx, "space", "id", noon)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = db.ExecContext(ctx, "DROP TABLE latchkey_once")
		require.NoError(t, err)
		_, err = s.OnceIDs.Find(ctx, "space", "id", noon)
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorContains(t, err, "a table is missing: ")
	})
	file := t.TempDir() + "/none/keys.db"
	d, err := sqlstore.New(dial(t, "sqlite", sqliteSource(file)), sqlstore.SQLite, sqlstore.Config{})
	require.NoError(t, err)
	require.ErrorContains(t, d.Migrate(ctx), "the file cannot be opened: error 14")
	_, source := engines[0].space(t)
	none, err := sqlstore.New(dial(t, "pgx", strings.Replace(source, "/test?", "/nowhere?", 1)), sqlstore.PostgreSQL, sqlstore.Config{})
	require.NoError(t, err)
	require.ErrorContains(t, none.Migrate(ctx), "the database does not exist: SQLSTATE 3D000")
}
