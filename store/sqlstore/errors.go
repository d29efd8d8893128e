package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/latchkey-go/latchkey/store"
)

// fail wraps what a call returns. Errors of the contract stay as they are;
// what a driver says may hold addresses, values and the text of queries, so
// only its code is kept.
func fail(ctx context.Context, operation string, err error) error {
	for _, known := range []error{
		store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrLimit, store.ErrUnavailable,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("sqlstore: %s: %w", operation, err)
		}
	}
	var refused *argumentError
	if errors.As(err, &refused) {
		return fmt.Errorf("sqlstore: %s: %w", operation, refused)
	}
	return fmt.Errorf("sqlstore: %s: %w", operation, unavailable(ctx, err))
}

// unavailable is what is kept of a driver's error.
func unavailable(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ended)
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, ended)
		}
	}
	return fmt.Errorf("%w (%s)", store.ErrUnavailable, reason(err))
}

// argumentError says what is wrong with an argument, in words of this package.
type argumentError struct{ text string }

func (e *argumentError) Error() string { return e.text }

func refuse(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// errUnreadable is a record that this package did not write.
var errUnreadable = fmt.Errorf("%w: a stored record is malformed", store.ErrUnavailable)

// errStandby is what a server says nothing else than when it follows another one.
var errStandby = fmt.Errorf("%w: the server is a read-only standby", store.ErrUnavailable)

// reason says why in words that are the same everywhere.
func reason(err error) string {
	var errno syscall.Errno
	switch code := codeOf(err); {
	case code.state != "":
		return "SQLSTATE " + code.state
	case code.number != 0:
		return "error " + strconv.Itoa(code.number)
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke"
	case errors.Is(err, sql.ErrNoRows):
		return "a row is missing"
	}
	return "the database did not answer as expected"
}

// code is a database's own name for an error: PostgreSQL has states of five
// characters, MySQL and SQLite numbers.
type code struct {
	state  string
	number int
}

// codeOf finds the code without knowing the driver: pgx and lib/pq have a
// method SQLState, modernc.org/sqlite has Code, and go-sql-driver/mysql
// writes "Error 1213 (40001): ...".
func codeOf(err error) code {
	var postgresql interface{ SQLState() string }
	if errors.As(err, &postgresql) {
		return code{state: postgresql.SQLState()}
	}
	var sqlite interface{ Code() int }
	if errors.As(err, &sqlite) {
		return code{number: sqlite.Code()}
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		rest, found := strings.CutPrefix(e.Error(), "Error ")
		if !found {
			continue
		}
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		if n, err := strconv.Atoi(digits); err == nil {
			return code{number: n}
		}
	}
	return code{}
}

// undone reports whether the database undid the transaction because of others
// at work at the same time: it may simply be tried again.
func (d Dialect) undone(err error) bool {
	c := codeOf(err)
	switch d {
	case PostgreSQL:
		// serialization_failure, deadlock_detected, and the end of a transaction
		// that waited too long for its client
		return c.state == "40001" || c.state == "40P01" || c.state == "25P03"
	case MySQL:
		// Deadlock found; lock wait timeout; MariaDB: record has changed since
		// last read.
		return c.number == 1213 || c.number == 1205 || c.number == 1020
	}
	// SQLITE_BUSY, SQLITE_LOCKED, with their extended codes.
	primary := c.number & 0xff
	return primary == 5 || primary == 6
}

// noTable reports whether a table is missing.
func (d Dialect) noTable(err error) bool {
	c := codeOf(err)
	switch d {
	case PostgreSQL:
		return c.state == "42P01"
	case MySQL:
		return c.number == 1146
	}
	return strings.Contains(err.Error(), "no such table")
}
