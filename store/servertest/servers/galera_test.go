//go:build unix

package servers_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func TestGalera(t *testing.T) {
	t.Parallel()
	g, err := servers.StartGalera(t.Context(), t.TempDir(), 3)
	needs(t, err)
	t.Cleanup(g.Stop)
	require.Len(t, g.Nodes, 3)
	var nodes []*sql.DB
	for i := range g.Nodes {
		nodes = append(nodes, through(t, g.DSN(i)))
	}
	write(t, nodes[0], "CREATE TABLE notes (id INT PRIMARY KEY)")

	t.Run("a commit on one node is visible on another", func(t *testing.T) {
		write(t, nodes[0], "INSERT INTO notes VALUES (1)")
		has(t, nodes[1], 1)
		has(t, nodes[2], 1)
	})
	t.Run("behavior that the driver relies on", func(t *testing.T) { reliedOn(t, nodes[0], nodes[1]) })
	t.Run("a killed node", func(t *testing.T) {
		require.NoError(t, g.Nodes[2].Kill())
		within(t, time.Minute, func() { write(t, nodes[0], "INSERT INTO notes VALUES (2)") })
		write(t, nodes[1], "INSERT INTO notes VALUES (3)")
		require.NoError(t, g.Nodes[2].Restart(t.Context()))
		has(t, nodes[2], 2)
		has(t, nodes[2], 3)
	})
	t.Run("the first node rejoins after a restart", func(t *testing.T) {
		require.NoError(t, g.Nodes[0].Kill())
		within(t, time.Minute, func() { write(t, nodes[1], "INSERT INTO notes VALUES (4)") })
		require.NoError(t, g.Nodes[0].Restart(t.Context()))
		has(t, nodes[0], 4)
		require.NoError(t, g.Nodes[0].Restart(t.Context()), "restarted cleanly")
		has(t, nodes[0], 4)
	})
	t.Run("a paused node", func(t *testing.T) {
		require.NoError(t, g.Nodes[2].Pause())
		within(t, time.Minute, func() { write(t, nodes[0], "INSERT INTO notes VALUES (5)") })
		write(t, nodes[1], "INSERT INTO notes VALUES (6)")
		require.NoError(t, g.Nodes[2].Resume())
		require.NoError(t, g.Serves(t.Context(), 2))
		has(t, nodes[2], 5)
		has(t, nodes[2], 6)
	})
	t.Run("a node that is cut off", func(t *testing.T) {
		require.NoError(t, g.CutOff(t.Context(), 2))
		_, err := nodes[2].ExecContext(t.Context(), "INSERT INTO notes VALUES (7)")
		var refused *mysql.MySQLError
		require.ErrorAs(t, err, &refused)
		require.EqualValues(t, 1047, refused.Number, "ER_UNKNOWN_COM_ERROR: the node is not in the cluster")
		within(t, time.Minute, func() { write(t, nodes[0], "INSERT INTO notes VALUES (7)") })
		require.NoError(t, g.Rejoin(t.Context(), 2))
		has(t, nodes[2], 7)
		write(t, nodes[2], "INSERT INTO notes VALUES (8)")
		has(t, nodes[0], 8)
	})
}

// reliedOn checks the behavior of a Galera cluster that the driver relies on.
func reliedOn(t *testing.T, one, two *sql.DB) {
	t.Helper()
	write(t, one, "CREATE TABLE parents (id INT PRIMARY KEY, state INT, touched INT)")
	write(t, one, "CREATE TABLE children (id INT PRIMARY KEY AUTO_INCREMENT)")
	write(t, one, "INSERT INTO parents VALUES (1, 0, 0)")

	t.Run("wsrep_sync_wait=1: a read sees what another node committed before", func(t *testing.T) {
		for i := range 200 {
			write(t, one, fmt.Sprint("UPDATE parents SET state = ", i+1, " WHERE id = 1"))
			var state int
			require.NoError(t, two.QueryRowContext(t.Context(), "SELECT state FROM parents WHERE id = 1").Scan(&state))
			require.Equal(t, i+1, state)
		}
	})
	t.Run("a transaction that writes a row conflicts with a concurrent change of the row", func(t *testing.T) {
		for range 100 {
			tx, err := two.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			// With a locking read, or an update that changes no value, the commit would
			// sometimes succeed.
			_, err = tx.ExecContext(t.Context(), "UPDATE parents SET touched = touched + 1 WHERE id = 1")
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), "INSERT INTO children () VALUES ()")
			require.NoError(t, err)
			write(t, one, "UPDATE parents SET state = state + 1 WHERE id = 1")
			var refused *mysql.MySQLError
			require.ErrorAs(t, tx.Commit(), &refused)
			require.EqualValues(t, 1213, refused.Number, "ER_LOCK_DEADLOCK")
		}
	})
	t.Run("any statement may fail because the transaction was rolled back", func(t *testing.T) {
		tx, err := two.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.ExecContext(t.Context(), "UPDATE parents SET touched = touched + 1 WHERE id = 1")
		require.NoError(t, err)
		write(t, one, "UPDATE parents SET state = state + 1 WHERE id = 1")
		eventually(t, func(ctx context.Context) error { // when the other's change arrives
			_, err := tx.ExecContext(ctx, "SELECT 1")
			var refused *mysql.MySQLError
			if errors.As(err, &refused) && refused.Number == 1213 { // ER_LOCK_DEADLOCK
				return nil
			}
			return fmt.Errorf("not refused: %w", err)
		})
	})
	t.Run("GET_LOCK is local to a node", func(t *testing.T) {
		for _, db := range []*sql.DB{one, two} {
			c, err := db.Conn(t.Context())
			require.NoError(t, err)
			defer c.Close()
			var got int
			require.NoError(t, c.QueryRowContext(t.Context(), "SELECT GET_LOCK('name', 0)").Scan(&got))
			require.Equal(t, 1, got, "the lock on another node does not matter")
		}
	})
}

// through returns a client of one node whose reads wait for what the cluster has
// committed before.
func through(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn+"&wsrep_sync_wait=1&timeout=3s")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func write(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := db.ExecContext(ctx, statement)
	require.NoError(t, err)
}

func has(t *testing.T, db *sql.DB, id int) {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM notes WHERE id = ?", id).Scan(&n))
	require.Equal(t, 1, n, "note %d", id)
}

func within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	begin := time.Now()
	do()
	require.Less(t, time.Since(begin), limit)
	t.Log(time.Since(begin))
}
