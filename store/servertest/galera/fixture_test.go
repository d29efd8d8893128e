package galera_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

func TestMain(m *testing.M) {
	_ = mysql.SetLogger(&mysql.NopLogger{}) // tests break connections on purpose
	dir, err := os.MkdirTemp("", "latchkey-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	start = sync.OnceValues(func() (*servers.Galera, error) { return servers.StartGalera(context.Background(), dir, nodes) })
	defer func() {
		if g, err := start(); err == nil {
			g.Stop()
		}
	}()
	m.Run()
}

// start starts the cluster for all tests, once. A test that breaks a node must repair it.
var start func() (*servers.Galera, error)

const nodes = 3

// noon is the current time in these tests.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patience bounds the wait for something that should happen at once.
const patience = time.Minute

func cluster(t *testing.T) *servers.Galera {
	t.Helper()
	g, err := start()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skipf("no Galera cluster: it is not installed: %v", err)
	}
	require.NoError(t, err)
	return g
}

// dial opens a pool of connections to one node.
func dial(t *testing.T, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", source)
	require.NoError(t, err)
	db.SetMaxOpenConns(12)
	db.SetMaxIdleConns(12)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// open returns a store for each node, with empty tables.
func open(t *testing.T, g *servers.Galera) []store.Store {
	t.Helper()
	var stores []store.Store
	for i := range g.Nodes {
		db := dial(t, g.DSN(i))
		if i == 0 {
			migrated(t, db, sqlstore.Config{})
			wipe(t, db)
		}
		d, err := sqlstore.New(db, sqlstore.MySQL, sqlstore.Config{})
		require.NoError(t, err)
		stores = append(stores, d.Store())
	}
	return stores
}

func migrated(t *testing.T, db *sql.DB, cfg sqlstore.Config) store.Store {
	t.Helper()
	d, err := sqlstore.New(db, sqlstore.MySQL, cfg)
	require.NoError(t, err)
	require.NoError(t, d.Migrate(within(t, patience)))
	return d.Store()
}

// wipe empties all tables.
func wipe(t *testing.T, db *sql.DB) {
	t.Helper()
	ctx := within(t, patience)
	empty := func() error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, reset := range []string{
			"DELETE FROM latchkey_keys", "DELETE FROM latchkey_workspaces", "DELETE FROM latchkey_tombstones",
			"DELETE FROM latchkey_creators", "DELETE FROM latchkey_credentials", "DELETE FROM latchkey_lists", "DELETE FROM latchkey_revoked", "DELETE FROM latchkey_events",
			"DELETE FROM latchkey_once", "DELETE FROM latchkey_days", "DELETE FROM latchkey_limits",
			"DELETE FROM latchkey_notices", "DELETE FROM latchkey_instance", "INSERT INTO latchkey_instance (id) VALUES (1)",
			"UPDATE latchkey_ring SET version = 0, content = '[]'", "UPDATE latchkey_feed SET seq = 0",
			"UPDATE latchkey_stripes SET version = 0",
		} {
			if _, err := tx.ExecContext(ctx, reset); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
	err := empty()
	for isConflict(err) {
		err = empty()
	}
	require.NoError(t, err)
}

func isConflict(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && refused.Number == 1213 // ER_LOCK_DEADLOCK
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// key returns a typical key.
func key(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: "deployment of " + id,
		Permissions: scope.MustParse("project.list project.read"), RequestedPermissions: scope.MustParse("project.*"),
		Credentials: []store.Credential{{ID: "s1-" + id, Hint: "Ab1x", Digest: "hmac-sha256$1$c2VjcmV0", Generated: true, Created: noon}},
		NotAfter:    noon.AddDate(0, 3, 0),
		CreatedBy:   store.ActorRef{Kind: "owner", ID: "person-1"}, Created: noon, Updated: noon, Version: 1,
	}
}

// event returns a change with an event of the given id.
func event(name string) store.Change {
	return store.Change{Now: noon, Events: []store.Event{{
		ID: name, Time: noon, Actor: store.ActorRef{Kind: "owner", ID: "person-1"}, Action: "key.change", Workspace: "team-a",
	}}}
}

// status returns the sum of a status variable over all nodes.
func status(t *testing.T, g *servers.Galera, name string) (sum int) {
	t.Helper()
	for i := range g.Nodes {
		var n int
		row := dial(t, g.DSN(i)).QueryRowContext(within(t, patience), fmt.Sprintf("SHOW GLOBAL STATUS LIKE '%s'", name))
		require.NoError(t, row.Scan(new(string), &n))
		sum += n
	}
	return sum
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(within(t, patience), "SET STATEMENT wsrep_sync_wait = 1 FOR "+query).Scan(&n))
	return n
}
