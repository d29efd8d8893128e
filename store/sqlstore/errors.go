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

// errStandby is the answer of a server that does not take writes, and that may
// lag behind the one that does.
var errStandby = fmt.Errorf("%w: the server is a standby or read-only and may answer with old data", store.ErrUnavailable)

// errAutocommit is a session whose reads stand still and whose single statements
// are lost.
var errAutocommit = fmt.Errorf("%w: the session's autocommit is off: it must be on", store.ErrUnavailable)

// reason says why in words that are the same everywhere, and adds the
// database's own code.
func reason(err error) string {
	var errno syscall.Errno
	switch c := codeOf(err); {
	case c.state != "":
		return withCode(wordsPostgreSQL(c.state), "SQLSTATE "+c.state)
	case c.sqlite:
		return withCode(wordsSQLite(c.number&0xff, err), "error "+strconv.Itoa(c.number))
	case c.number != 0:
		return withCode(wordsMySQL(c.number), "error "+strconv.Itoa(c.number))
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke"
	case errors.Is(err, sql.ErrNoRows):
		return "a row is missing"
	}
	return "the database did not answer as expected"
}

func withCode(words, code string) string {
	if words == "" {
		return code
	}
	return words + ": " + code
}

const (
	wordsReadOnly  = "the server or the session is read-only"
	wordsNoTable   = "a table is missing"
	wordsFull      = "the disk is full"
	wordsTooMany   = "the server has too many connections"
	wordsLogin     = "the server refused the login"
	wordsNoRight   = "the user lacks a privilege"
	wordsNoPlace   = "the database does not exist"
	wordsCancelled = "the server cancelled the statement"
	wordsLock      = "another transaction holds a lock"
	wordsWait      = wordsLock + ", or the Galera node cannot catch up with the others"
)

// wordsPostgreSQL names the states of appendix A of PostgreSQL's manual that
// operators meet.
func wordsPostgreSQL(state string) string {
	switch state {
	case "25006":
		return wordsReadOnly
	case "42P01":
		return wordsNoTable
	case "08P01":
		return "the protocol was violated, as by a connection pooler that mixes statements up or refuses a setting in the data source's name"
	case "26000", "42P05":
		return "a connection pooler does not keep prepared statements; see the package's documentation"
	case "25P02", "25P03":
		return "the server ended a transaction that stood still"
	case "53100":
		return wordsFull
	case "53300":
		return wordsTooMany
	case "28000", "28P01":
		return wordsLogin
	case "42501":
		return wordsNoRight
	case "3D000":
		return wordsNoPlace
	case "57014":
		return wordsCancelled
	case "55P03", "40P01", "40001":
		return wordsLock
	case "57P01", "57P02", "57P03":
		return "the server is starting or shutting down"
	}
	return ""
}

// wordsMySQL names numbers of MySQL's and MariaDB's error reference.
func wordsMySQL(number int) string {
	switch number {
	case 1290, 1792, 1836:
		return wordsReadOnly
	case 1146:
		return wordsNoTable
	case 1021, 1114:
		return wordsFull
	case 1040, 1203:
		return wordsTooMany
	case 1045, 1698:
		return wordsLogin
	case 1044, 1142, 1143, 1227:
		return wordsNoRight
	case 1049:
		return wordsNoPlace
	case 1317, 1969, 3024:
		return wordsCancelled
	case 1213:
		return wordsLock
	case 1205:
		return wordsWait
	case 1047:
		return "the node is not part of the primary component"
	case 1180:
		return "the commit failed, as on a node that leaves the primary component"
	case 1242:
		return "the session's autocommit is off: it must be on" // see committed
	case 1461:
		return "the server keeps too few prepared statements (max_prepared_stmt_count)"
	case 1053, 1927:
		return "the server is shutting down or ended the connection"
	}
	return ""
}

// wordsSQLite names SQLite's primary result codes.
func wordsSQLite(number int, err error) string {
	switch number {
	case 5, 6:
		return "another connection is writing"
	case 8:
		return "the file or the connection is read-only"
	case 10:
		return "the disk failed"
	case 11, 26:
		return "the file is damaged or no database"
	case 13:
		return wordsFull
	case 14:
		return "the file cannot be opened"
	}
	if SQLite.noTable(err) {
		return wordsNoTable
	}
	return ""
}

// code is a database's own name for an error: PostgreSQL has states of five
// characters, MySQL and SQLite numbers.
type code struct {
	state  string
	number int
	sqlite bool
}

// codeOf finds the code without knowing the driver: pgx and lib/pq have a
// method SQLState, modernc.org/sqlite has Code, and go-sql-driver/mysql
// writes "Error 1213 (40001): ...". Other drivers of SQLite have codes of their
// own types, but SQLite's texts.
func codeOf(err error) code {
	var postgresql interface{ SQLState() string }
	if errors.As(err, &postgresql) {
		return code{state: postgresql.SQLState()}
	}
	var sqlite interface{ Code() int }
	if errors.As(err, &sqlite) {
		return code{number: sqlite.Code(), sqlite: true}
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
	if err == nil {
		return code{}
	}
	n := sqliteNumber(err.Error())
	return code{number: n, sqlite: n != 0}
}

// sqliteNumber finds the primary result code by what sqlite3_errmsg says of it. A
// driver may put words before and after.
func sqliteNumber(text string) int {
	switch {
	case strings.Contains(text, "database is locked"):
		return 5
	case strings.Contains(text, "table is locked"), strings.Contains(text, "schema is locked"):
		return 6
	case strings.Contains(text, "attempt to write a readonly database"):
		return 8
	case strings.Contains(text, "unable to open database file"):
		return 14
	}
	return 0
}

// undone reports whether the database undid the transaction because of others
// at work at the same time: it may simply be tried again.
func (d Dialect) undone(err error) bool {
	switch d {
	case PostgreSQL:
		// serialization_failure, deadlock_detected, and the end of a transaction
		// that waited too long for its client
		c := codeOf(err)
		return c.state == "40001" || c.state == "40P01" || c.state == "25P03"
	case MySQL:
		// Deadlock found, or a conflict of two nodes of a Galera cluster; lock
		// wait timeout; MariaDB: record has changed since last read.
		n := codeOf(err).number
		return n == 1213 || n == 1205 || n == 1020
	}
	// SQLITE_BUSY, SQLITE_LOCKED, with their extended codes.
	primary := codeOf(err).number & 0xff
	return primary == 5 || primary == 6
}

// readOnly reports whether a server refused a statement that another one would
// take: it is a standby, or has left its Galera cluster.
func (d Dialect) readOnly(err error) bool {
	if errors.Is(err, errStandby) {
		return true
	}
	switch c := codeOf(err); d {
	case PostgreSQL:
		return c.state == "25006"
	case MySQL:
		return c.number == 1290 || c.number == 1792 || c.number == 1836 || c.number == 1047
	}
	return false
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
