package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// The example stores keys in a SQLite file.
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
	// Output:
	// deployment 1 1 <nil>
	// sqlstore: look up key: store: not found
}

// With pgx, notifications of changes by other processes come at once.
func ExampleConfig_listen() {
	const dsn = "postgres://latchkey@db.example.com/latchkey"
	cfg := sqlstore.Config{
		Listen: func(ctx context.Context, channel string, ready, notify func()) error {
			conn, err := pgx.Connect(ctx, dsn)
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
		},
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	_, err = sqlstore.New(db, sqlstore.PostgreSQL, cfg)
	fmt.Println(err)
	// Output: <nil>
}
