package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// The example stores keys in a SQLite file, with the pragmas that the package documentation
// requires. The program imports a driver of its choice, here modernc.org/sqlite.
//
//nolint:testableexamples // this module has no driver; store/servertest runs these lines
func Example() {
	dir, err := os.MkdirTemp("", "latchkey")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, now := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	// PostgreSQL: sql.Open("pgx", "postgres://...") and sqlstore.PostgreSQL.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "keys.db")+
		"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	database, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := database.Migrate(ctx); err != nil { // every replica, at every start
		fmt.Println(err)
		return
	}
	s := database.Store() // for oauth.New, in place of memstore.New()

	err = s.Keys.Create(ctx, store.Key{
		ID: "key-1", Workspace: "team-a", Name: "deployment", Created: now, Updated: now,
		Permissions: scope.MustParse("project.list"),
		Credentials: []store.Credential{{ID: "s1", Hint: "aB3x", Digest: "hmac-sha256$1$...", Created: now}},
	}, store.NoLimit, store.Change{Now: now})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := s.Keys.Lookup(ctx, "key-1")
	fmt.Println(found.Key.Name, found.Key.Version, found.Workspace.Keys, err)
	_, err = s.Keys.Lookup(ctx, "key-2")
	fmt.Println(err)
}

// A host that uses goose writes a file for each migration. For golang-migrate the file is
// named 00001_latchkey_schema_1.up.sql and begins with the SQL itself, for atlas it is
// 00001_latchkey_schema_1.sql. Give it the next number of your own migrations.
func ExampleMigrations() {
	dir, err := os.MkdirTemp("", "migrations")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	all, err := sqlstore.Migrations(sqlstore.PostgreSQL, sqlstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range all {
		name := fmt.Sprintf("%05d_%s.sql", m.Version, m.Name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("-- +goose Up\n"+m.SQL), 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(all[0].Name)
	fmt.Println(strings.Contains(all[0].SQL, "CREATE TABLE latchkey_keys ("))
	// Output:
	// latchkey_schema_1
	// true
}
