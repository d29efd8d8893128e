package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// Some SQLite drivers have codes that only their own types show. Their errors are
// recognized by SQLite's texts.
func TestBusyIsRecognizedByItsText(t *testing.T) {
	e := engines[2]
	name, source := e.space(t)
	retryable := triedAgain(t, e, name, source)
	for text, want := range map[string]bool{
		"database is locked":                                          true, // mattn/go-sqlite3
		"sqlite3: database is locked":                                 true, // ncruces/go-sqlite3
		"database table is locked: latchkey_keys":                     true, // a shared cache
		"sqlite.Exec: SQLITE_BUSY: database is locked":                true, // tailscale/sqlite
		"disk I/O error":                                              false,
		"UNIQUE constraint failed: latchkey_keys.id":                  false,
		"attempt to write a readonly database":                        false,
		"unable to open database file: no such file or directory (1)": false,
	} {
		require.Equal(t, want, retryable(errors.New(text)), text)
	}
}

// busy connects to SQLite through a driver that fails a few times, as if another process
// changed the journal mode of a new file. Only the text of the error shows the cause.
type busy struct {
	below  driver.Driver
	source string
	times  atomic.Int32
}

func (b *busy) Driver() driver.Driver { return b.below }

func (b *busy) Connect(context.Context) (driver.Conn, error) {
	if b.times.Add(-1) >= 0 {
		return nil, errors.New("database is locked")
	}
	return b.below.Open(b.source)
}

// Migrate waits for a process that creates the same file at the same time.
func TestMigrateOfANewFileIsRetried(t *testing.T) {
	name, source := engines[2].space(t)
	b := &busy{below: dial(t, name, source).Driver(), source: source}
	b.times.Store(5)
	db := sql.OpenDB(b)
	defer db.Close()
	d, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, d.Migrate(context.Background()))
	require.Negative(t, b.times.Load())
}
