package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(victimEnv); file != "" {
		if err := beKilled(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // the victim's main ends here
		}
		return
	}
	defer servers.Close()
	_ = mysql.SetLogger(&mysql.NopLogger{}) // tests break connections on purpose
	m.Run()
}

// engine is a database on which the tests run.
type engine struct {
	name    string
	dialect sqlstore.Dialect
	// space creates a schema, database or file for the test, and returns its driver
	// and data source.
	space func(t testing.TB) (driver, source string)
}

var engines = []engine{
	{"PostgreSQL", sqlstore.PostgreSQL, postgresSpace},
	{"MariaDB", sqlstore.MySQL, mariaSpace},
	{"SQLite", sqlstore.SQLite, sqliteSpace},
}

// eachEngine runs a test on every database, in parallel.
func eachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// connect opens a pool on a new space.
func (e engine) connect(t testing.TB) *sql.DB {
	t.Helper()
	return open(t, e.space)
}

func open(t testing.TB, space func(t testing.TB) (driver, source string)) *sql.DB {
	t.Helper()
	driver, source := space(t)
	return dial(t, driver, source)
}

func dial(t testing.TB, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	db.SetMaxOpenConns(12)
	db.SetMaxIdleConns(12)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// tables returns a Database with its tables.
func (e engine) tables(t testing.TB, db *sql.DB, cfg sqlstore.Config) *sqlstore.Database {
	t.Helper()
	d, err := sqlstore.New(db, e.dialect, cfg)
	require.NoError(t, err)
	require.NoError(t, d.Migrate(context.Background()))
	return d
}

func postgresSpace(t testing.TB) (driver, source string) {
	t.Helper()
	server, err := servers.Postgres(t.Context())
	skipWithout(t, "PostgreSQL", err)
	name := "latchkey_" + strings.ToLower(rand.Text()[:10])
	admin(t, "pgx", server, "CREATE SCHEMA "+name, "DROP SCHEMA "+name+" CASCADE")
	u, err := url.Parse(server)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return "pgx", u.String()
}

func mariaSpace(t testing.TB) (driver, source string) {
	t.Helper()
	server, err := servers.MariaDB(t.Context())
	skipWithout(t, "MariaDB", err)
	name := "latchkey_" + strings.ToLower(rand.Text()[:10])
	admin(t, "mysql", server, "CREATE DATABASE "+name, "DROP DATABASE "+name)
	cfg, err := mysql.ParseDSN(server)
	require.NoError(t, err)
	cfg.DBName = name
	return "mysql", cfg.FormatDSN()
}

func sqliteSpace(t testing.TB) (driver, source string) {
	t.Helper()
	return "sqlite", sqliteSource(filepath.Join(t.TempDir(), "keys.db"))
}

func sqliteSource(file string) string {
	return "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)"
}

// admin runs a statement now, and another one when the test ends.
func admin(t testing.TB, driver, source, now, after string) {
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

// skipWithout skips a test if there is no server, or fails it if servers are required.
func skipWithout(t testing.TB, name string, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skipf("no %s: no server answers, and none is installed: %v", name, err)
	}
	require.NoError(t, err)
}

func postgresWith(parameter string) func(t *testing.T, source string) string {
	return func(t *testing.T, source string) string {
		t.Helper()
		require.Contains(t, source, "?")
		return strings.Replace(source, "?", "?"+parameter+"&", 1)
	}
}

func mariaWith(set func(*mysql.Config)) func(t *testing.T, source string) string {
	return func(t *testing.T, source string) string {
		t.Helper()
		cfg, err := mysql.ParseDSN(source)
		require.NoError(t, err)
		set(cfg)
		return cfg.FormatDSN()
	}
}
