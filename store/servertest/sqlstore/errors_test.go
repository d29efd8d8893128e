package sqlstore_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// fault is a fault that operators meet: statements are run on the tables, and source
// changes the data source.
type fault struct {
	name       string
	statements []string
	source     func(t *testing.T, source string) string
	want       string
}

func postgresAt(change func(u *url.URL, query url.Values)) func(t *testing.T, source string) string {
	return func(t *testing.T, source string) string {
		t.Helper()
		u, err := url.Parse(source)
		require.NoError(t, err)
		query := u.Query()
		change(u, query)
		u.RawQuery = query.Encode()
		return u.String()
	}
}

const (
	otherTables = "the tables are not those that Migrate makes: "
	notOurs     = "a trigger or a constraint that Migrate did not make refused the change: "
	noHost      = "the server's host name cannot be resolved"
	noTLS       = "the server does not use TLS"
	noTrust     = "the server's certificate is not valid for the name in the data source name, or not signed by a trusted authority"
)

// TestErrorsInWords tests that no error is a bare code.
func TestErrorsInWords(t *testing.T) {
	all := map[string][]fault{
		"PostgreSQL": {
			{name: "no schema", source: postgresAt(func(_ *url.URL, q url.Values) { q.Set("search_path", "nowhere") }),
				want: "no schema or database is selected: check search_path, or the name in the data source name: SQLSTATE 3F000"},
			{name: "no database", source: postgresAt(func(u *url.URL, _ url.Values) { u.Path = "/nowhere" }), want: "the database does not exist: SQLSTATE 3D000"},
			{name: "no user", source: postgresAt(func(u *url.URL, _ url.Values) { u.User = url.User("nobody") }), want: "the server refused the login: SQLSTATE 28000"},
			{name: "no host", source: postgresAt(func(u *url.URL, _ url.Values) { u.Host = "nowhere.invalid:5432" }), want: noHost},
			{name: "no server", source: postgresAt(func(u *url.URL, _ url.Values) { u.Host = "127.0.0.1:1" }), want: "connection refused"},
			{name: "a setting that does not exist", source: postgresAt(func(_ *url.URL, q url.Values) { q.Set("nonsense", "1") }),
				want: "the server does not know a setting of the data source name: SQLSTATE 42704"},
			{name: "a column is missing", statements: []string{"ALTER TABLE latchkey_keys RENAME COLUMN depth TO depths"}, want: otherTables + "SQLSTATE 42703"},
			{name: "a trigger", statements: []string{
				"CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$",
				"CREATE TRIGGER no BEFORE INSERT ON latchkey_keys FOR EACH ROW EXECUTE FUNCTION no()",
			}, want: notOurs + "SQLSTATE P0001"},
			{name: "a check", statements: []string{"ALTER TABLE latchkey_keys ADD CHECK (id <> 'key-1')"}, want: notOurs + "SQLSTATE 23514"},
			{name: "another error", statements: []string{"ALTER TABLE latchkey_keys ADD CHECK (1 / (length(id) - 5) = 0)"},
				want: "the database refused the call; its manual describes the code: SQLSTATE 22012"},
		},
		"MariaDB": {
			{name: "no database is named", source: mariaWith(func(c *mysql.Config) { c.DBName = "" }),
				want: "no schema or database is selected: check search_path, or the name in the data source name: error 1046"},
			{name: "no database", source: mariaWith(func(c *mysql.Config) { c.DBName = "nowhere" }), want: "the database does not exist: error 1049"},
			{name: "no user", source: mariaWith(func(c *mysql.Config) { c.User = "nobody" }), want: "the server refused the login: error 1698"},
			{name: "no host", source: mariaWith(func(c *mysql.Config) { c.Addr = "nowhere.invalid:3306" }), want: noHost},
			{name: "no server", source: mariaWith(func(c *mysql.Config) { c.Addr = "127.0.0.1:1" }), want: "connection refused"},
			{name: "no TLS", source: mariaWith(func(c *mysql.Config) { c.TLSConfig = "true" }), want: noTLS},
			{name: "a setting that does not exist", source: mariaWith(func(c *mysql.Config) { c.Params = map[string]string{"nonsense": "1"} }),
				want: "the server does not know a setting of the data source name: error 1193"},
			{name: "a column is missing", statements: []string{"ALTER TABLE latchkey_keys CHANGE depth depths BIGINT NOT NULL"}, want: otherTables + "error 1054"},
			{name: "a trigger", statements: []string{"CREATE TRIGGER no BEFORE INSERT ON latchkey_keys FOR EACH ROW SIGNAL SQLSTATE '45000'"}, want: notOurs + "error 1644"},
			{name: "a check", statements: []string{"ALTER TABLE latchkey_keys ADD CHECK (id <> 'key-1')"}, want: notOurs + "error 4025"},
		},
		"SQLite": {
			{name: "no folder", source: func(t *testing.T, _ string) string {
				t.Helper()
				return sqliteSource(t.TempDir() + "/none/keys.db")
			}, want: "the file cannot be opened: error 14"},
			{name: "another file", source: func(t *testing.T, _ string) string {
				t.Helper()
				file := filepath.Join(t.TempDir(), "keys.db")
				require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("text", 1000)), 0o600))
				return sqliteSource(file)
			}, want: "the file is damaged or not a SQLite database: error 26"},
			{name: "read-only", source: func(_ *testing.T, source string) string { return source + "&_pragma=query_only(1)" }, want: "the file or the connection is read-only: error 8"},
			{name: "a column is missing", statements: []string{"ALTER TABLE latchkey_keys RENAME COLUMN depth TO depths"}, want: otherTables + "error 1"},
			{name: "a trigger", statements: []string{"CREATE TRIGGER no BEFORE INSERT ON latchkey_keys BEGIN SELECT RAISE(ABORT, 'no'); END"}, want: notOurs + "error 1811"},
		},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		require.NotEmpty(t, all[e.name])
		for _, f := range all[e.name] {
			t.Run(f.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				driver, source := e.space(t)
				right := dial(t, driver, source)
				e.tables(t, right, sqlstore.Config{})
				for _, s := range f.statements {
					run(t, right, s)
				}
				if f.source != nil {
					source = f.source(t, source)
				}
				d, err := sqlstore.New(dial(t, driver, source), e.dialect, sqlstore.Config{})
				require.NoError(t, err)
				if f.statements == nil {
					err = d.Migrate(ctx)
				} else {
					err = d.Store().Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("made"))
				}
				require.ErrorIs(t, err, store.ErrUnavailable)
				require.ErrorContains(t, err, "store: unavailable ("+f.want)
				require.NotContains(t, err.Error(), "nowhere")
			})
		}
	})
}

// TestTLSErrorsInWords tests the errors of a server without TLS, and of one whose
// certificate is not trusted.
func TestTLSErrorsInWords(t *testing.T) {
	p, err := servers.StartPostgres(t.Context(), t.TempDir())
	skipWithout(t, "PostgreSQL", err)
	t.Cleanup(p.Stop)
	migrate := func(mode string) error {
		d, err := sqlstore.New(dial(t, "pgx", "postgres://postgres@"+p.Addr()+"/test?sslmode="+mode), sqlstore.PostgreSQL, sqlstore.Config{})
		require.NoError(t, err)
		return d.Migrate(t.Context())
	}
	require.ErrorContains(t, migrate("require"), noTLS)
	require.NoError(t, migrate("disable"))

	untrusted := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer untrusted.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 8)) // SSLRequest
			_, _ = conn.Write([]byte("S"))
			_ = tls.Server(conn, untrusted.TLS).HandshakeContext(context.Background())
			_ = conn.Close()
		}
	}()
	d, err := sqlstore.New(dial(t, "pgx", "postgres://postgres@"+l.Addr().String()+"/test?sslmode=verify-full"), sqlstore.PostgreSQL, sqlstore.Config{})
	require.NoError(t, err)
	require.ErrorContains(t, d.Migrate(t.Context()), noTrust)
}
