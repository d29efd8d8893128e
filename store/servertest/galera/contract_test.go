package galera_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestContract(t *testing.T) {
	g := cluster(t)
	db := dial(t, g.DSN(0))
	s := migrated(t, db, sqlstore.Config{})
	storetest.Run(t, func(t *testing.T) store.Store {
		wipe(t, db)
		return s
	})
}

// TestReplicas runs the tests for several processes with one node for each.
func TestReplicas(t *testing.T) {
	g := cluster(t)
	keeper := dial(t, g.DSN(0))
	stores := open(t, g)
	storetest.RunReplicas(t, func(t *testing.T, n int) []store.Store {
		require.Len(t, stores, n)
		wipe(t, keeper)
		return stores
	})
}

// Replicas that start at the same time at every node create the tables once. A named lock
// would not suffice, since it is local to a node.
func TestMigrate(t *testing.T) {
	g := cluster(t)
	t.Run("another replica takes over an interrupted migration", func(t *testing.T) {
		db := dial(t, g.DSN(0))
		for _, s := range []string{
			"CREATE TABLE ended_migrating (id SMALLINT PRIMARY KEY, turn BIGINT NOT NULL)", "INSERT INTO ended_migrating VALUES (1, 7)",
		} {
			_, err := db.ExecContext(t.Context(), s)
			require.NoError(t, err)
		}
		migrated(t, dial(t, g.DSN(1)), sqlstore.Config{Prefix: "ended_"})
		require.Equal(t, 0, count(t, db, "SELECT turn FROM ended_migrating"))
	})
	for round := range 5 {
		ctx := within(t, patience)
		cfg := sqlstore.Config{Prefix: fmt.Sprintf("round%d_", round)}
		errs := make([]error, 2*nodes)
		var all sync.WaitGroup
		for i := range errs {
			db := dial(t, g.DSN(i%nodes))
			all.Go(func() {
				d, err := sqlstore.New(db, sqlstore.MySQL, cfg)
				if err == nil {
					err = d.Migrate(ctx)
				}
				if err == nil {
					err = d.Store().Keys.Create(ctx, key("team-a", fmt.Sprint("key-", i)), store.NoLimit, store.Change{Now: noon})
				}
				errs[i] = err
			})
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		for i := range nodes {
			db := dial(t, g.DSN(i))
			require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM "+cfg.Prefix+"schema"))
			require.Equal(t, 16, count(t, db, "SELECT COUNT(*) FROM "+cfg.Prefix+"stripes"))
			require.Equal(t, len(errs), count(t, db, "SELECT COUNT(*) FROM "+cfg.Prefix+"keys"))
			// A process at another node that did not migrate finds the tables.
			d, err := sqlstore.New(db, sqlstore.MySQL, cfg)
			require.NoError(t, err)
			_, err = d.Store().Keys.Lookup(ctx, "key-0")
			require.NoError(t, err)
		}
	}
}
