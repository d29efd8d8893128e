package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// A notification is read at once, also if it came before the listener was ready.
// Neither waits for a poll.
func TestListenNeedsNoPoll(t *testing.T) {
	const pollEvery = 50 * time.Millisecond
	type listener struct{ ready, notify func() }
	for name, wake := range map[string]func(l listener){
		"a notification":        func(l listener) { l.notify() },
		"the listener is ready": func(l listener) { l.ready() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := sql.OpenDB(idleConnector{migrations(t)})
				defer db.Close()
				listening := make(chan listener)
				d, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{
					Listen: func(ctx context.Context, _ string, ready, notify func()) error {
						listening <- listener{ready, notify}
						<-ctx.Done()
						return ctx.Err()
					},
				})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				heartbeats, ended := make(chan time.Time, 10), make(chan error)
				go func() {
					ended <- d.Store().Watch.Watch(ctx, func() {}, func(store.Notification) { heartbeats <- time.Now() })
				}()
				l, begun := <-listening, time.Now()
				require.Equal(t, begun, <-heartbeats, "the first heartbeat comes at once")
				time.Sleep(pollEvery / 2) //nolint:forbidigo // the bubble's clock
				wake(l)
				require.Equal(t, begun.Add(pollEvery/2), <-heartbeats)
				require.Equal(t, begun.Add(pollEvery), <-heartbeats, "the next heartbeat comes by polling")
				cancel()
				require.ErrorIs(t, <-ended, context.Canceled)
			})
		})
	}
}

// migrations returns the number of migrations.
func migrations(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("migrations/postgresql_*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return len(files)
}

// idleConnector connects to a database whose tables are up to date and never change.
type idleConnector struct{ version int }

func (n idleConnector) Driver() driver.Driver                        { return nil }
func (n idleConnector) Connect(context.Context) (driver.Conn, error) { return idleConn(n), nil }

type idleConn struct{ version int }

func (idleConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (idleConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (idleConn) Close() error                        { return nil }

func (c idleConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	switch {
	case strings.Contains(query, "current_setting('client_encoding')"):
		return &row{values: []driver.Value{"on", "UTF8", "UTF8"}}, nil
	case strings.Contains(query, "MAX(version)"):
		return &row{values: []driver.Value{int64(c.version)}}, nil
	case strings.Contains(query, "LEFT JOIN latchkey_notices"):
		return &row{values: []driver.Value{int64(0), int64(0), nil, nil, nil, nil, nil}}, nil
	case strings.Contains(query, "FROM latchkey_feed"):
		return &row{values: []driver.Value{int64(0), int64(0)}}, nil
	}
	return nil, errors.ErrUnsupported
}

// row is a result of one row.
type row struct {
	values []driver.Value
	read   bool
}

func (r *row) Columns() []string { return make([]string, len(r.values)) }
func (r *row) Close() error      { return nil }

func (r *row) Next(values []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	copy(values, r.values)
	return nil
}
