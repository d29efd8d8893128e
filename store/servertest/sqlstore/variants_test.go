package sqlstore_test

import (
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// The contract holds for other settings of the connections: other isolation levels,
// without prepared statements, with found instead of changed rows, in a pool of one
// connection. It runs only with LATCHKEY_SOAK=1, since each case takes as long as
// TestContract.
func TestContractWithOtherSettings(t *testing.T) {
	if !soak() {
		return
	}
	t.Setenv("LATCHKEY_SOAK", "") // only the short forms; TestContract runs the full ones
	for _, variant := range []struct {
		name    string
		engine  engine
		connect func(t *testing.T, source string) string
		pool    int
	}{
		{"PostgreSQL, simple protocol", engines[0], postgresWith("default_query_exec_mode=simple_protocol"), 12},
		{"PostgreSQL, repeatable read", engines[0], postgresWith("default_transaction_isolation=repeatable%20read"), 12},
		{"PostgreSQL, serializable", engines[0], postgresWith("default_transaction_isolation=serializable"), 12},
		{"PostgreSQL, two connections", engines[0], postgresWith("application_name=latchkey"), 2},
		{"MariaDB, found rows", engines[1], mariaWith(func(c *mysql.Config) { c.ClientFoundRows = true }), 12},
		{"MariaDB, read committed", engines[1], mariaWith(func(c *mysql.Config) { c.Params = map[string]string{"tx_isolation": "'READ-COMMITTED'"} }), 12},
		{"MariaDB, serializable", engines[1], mariaWith(func(c *mysql.Config) { c.Params = map[string]string{"tx_isolation": "'SERIALIZABLE'"} }), 12},
		{"MariaDB, two connections", engines[1], mariaWith(func(*mysql.Config) {}), 2},
		{"SQLite, one connection", engines[2], func(_ *testing.T, source string) string { return source }, 1},
	} {
		t.Run(variant.name, func(t *testing.T) {
			driver, source := variant.engine.space(t)
			db := dial(t, driver, variant.connect(t, source))
			db.SetMaxOpenConns(variant.pool)
			tables := variant.engine.tables(t, db, sqlstore.Config{})
			storetest.Run(t, func(t *testing.T) store.Store {
				wipe(t, db)
				return tables.Store()
			})
		})
	}
}
