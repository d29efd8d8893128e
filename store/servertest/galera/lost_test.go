package galera_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestALostTransaction checks that a change is not acknowledged if the node rolls its
// transaction back without an error.
func TestALostTransaction(t *testing.T) {
	g := cluster(t)
	st := open(t, g)[0]
	loser := &losing{below: dial(t, g.DSN(0)).Driver(), source: g.DSN(0)}
	db := sql.OpenDB(loser)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	tables, err := sqlstore.New(db, sqlstore.MySQL, sqlstore.Config{})
	require.NoError(t, err)
	ctx := t.Context()
	create := func(id string) {
		t.Helper()
		key := store.Key{ID: id, Workspace: "team-a", Name: "ci", Created: noon, Updated: noon}
		require.NoError(t, tables.Store().Keys.Create(ctx, key, store.NoLimit, store.Change{Now: noon}))
		_, err := st.Keys.Lookup(ctx, id)
		require.NoError(t, err)
	}
	create("first")
	loser.loses.Store(1)
	create("lost once")
	require.Zero(t, loser.loses.Load(), "a transaction was lost")
	w, err := st.Settings.Workspace(ctx, "team-a")
	require.NoError(t, err)
	require.Equal(t, 2, w.Keys)
}

// losing opens connections whose next transactions are rolled back before the COMMIT,
// without an error.
type losing struct {
	below  driver.Driver
	source string
	loses  atomic.Int64
}

func (l *losing) Driver() driver.Driver { return l.below }

func (l *losing) Connect(context.Context) (driver.Conn, error) {
	c, err := l.below.Open(l.source)
	return losingConn{c, l}, err
}

type losingConn struct {
	driver.Conn
	l *losing
}

func (c losingConn) lose(ctx context.Context, query string) error {
	if query != "COMMIT" && !strings.Contains(query, "@@in_transaction") || c.l.loses.Load() == 0 {
		return nil
	}
	c.l.loses.Add(-1)
	_, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, "ROLLBACK", nil)
	return err
}

func (c losingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.lose(ctx, query); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c losingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.lose(ctx, query); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c losingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c losingConn) CheckNamedValue(v *driver.NamedValue) error {
	return c.Conn.(driver.NamedValueChecker).CheckNamedValue(v)
}
