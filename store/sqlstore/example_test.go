package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
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
		Secrets:     []store.Secret{{ID: "s1", Hint: "aB3x", Digest: "hmac-sha256$1$...", Created: now}},
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
