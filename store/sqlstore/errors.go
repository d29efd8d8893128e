package sqlstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/latchkey-go/latchkey/store"
)

// fail adds the operation to an error; nil stays nil. Errors of package store are kept.
// The text of a driver's error may contain addresses, values and queries, so only its
// code is kept.
func fail(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	for _, scanned := range []error{errStandby, errAutocommit, errUnreadable} {
		if errors.Is(err, scanned) {
			err = scanned // without the text of database/sql, which names the column
		}
	}
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

// unavailable replaces a driver's error by store.ErrUnavailable with a reason.
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

// argumentError reports an invalid argument. Its text is this package's own.
type argumentError struct{ text string }

func (e *argumentError) Error() string { return e.text }

func refuse(format string, args ...any) error {
	return &argumentError{fmt.Sprintf(format, args...)}
}

// errUnreadable reports a record that this package did not write.
var errUnreadable = fmt.Errorf("%w: a stored record is malformed", store.ErrUnavailable)

// errStandby reports a server that does not take writes and may lag behind the one that
// does.
var errStandby = fmt.Errorf("%w: the server is a standby or read-only and may answer with old data: connect to the server that takes writes", store.ErrUnavailable)

// errAutocommit reports a session in which autocommit is off, so that its reads all see
// the same snapshot.
var errAutocommit = fmt.Errorf("%w: the connection's settings: autocommit must be on", store.ErrUnavailable)

// code is a database's error code. class is a PostgreSQL SQLSTATE (five characters), a
// MySQL error number (four digits) or a SQLite primary result code (at most two digits),
// so classes of different databases never collide.
type code struct{ class, text string }

// reason describes an error. The descriptions are the same for all databases; the
// database's own code is added.
func reason(err error) string {
	var errno syscall.Errno
	c := codeOf(err)
	switch {
	case noTable(err):
		return "a table is missing: " + c.text
	case c.class != "":
		return cmp.Or(meaningOf(c.class), "the database refused the call; its manual describes the code") + ": " + c.text
	case errors.As(err, new(*net.DNSError)):
		return "the server's host name cannot be resolved"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "the server's certificate is not valid for the name in the data source name, or not signed by a trusted authority"
	case errors.As(err, &errno):
		return errno.Error()
	case strings.Contains(err.Error(), "refused TLS connection"), strings.Contains(err.Error(), "server does not support TLS"): // pgx, go-sql-driver
		return "the server does not use TLS"
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke"
	case errors.Is(err, sql.ErrNoRows):
		return "a row is missing"
	}
	return "the database did not answer as expected"
}

// meaningOf describes the classes that operators are likely to see. The codes are from
// appendix A of PostgreSQL's manual and from the error references of MySQL, MariaDB and
// SQLite.
func meaningOf(class string) string {
	for _, r := range []struct{ classes, meaning string }{
		{"25006 1290 1792 1836", "the server or the session is read-only"},
		{"53100 1021 1114 13", "the disk is full"},
		{"53300 1040 1203 1226", "the server has too many connections"},
		{"53200 1037 1038 1041 7", "out of memory"},
		{"28000 28P01 1045 1130 1698", "the server refused the login"},
		{"42501 1044 1142 1143 1227", "the user lacks a privilege"},
		{"3D000 1049", "the database does not exist"},
		{"3F000 1046", "no schema or database is selected: check search_path, or the name in the data source name"},
		{"42703 42883 1054 1", "the tables are not those that Migrate makes"},
		{"42P07 1050", "another program has a table or view of this name: set Config.Prefix"},
		{"P0001 23502 23505 23514 1062 1644 4025 19", "a trigger or a constraint that Migrate did not make refused the change"},
		{"42704 1193", "the server does not know a setting of the data source name"},
		{"57014 1317 1969 3024", "the server cancelled the statement"},
		{"55P03 40P01 40001 1213", "another transaction holds a lock"},
		{"1205", "another transaction holds a lock, or the Galera node cannot catch up with the others"},
		{"08P01", "the protocol was violated: a connection pooler may mix up statements or refuse a setting in the data source name; see the package's documentation"},
		{"26000 42P05", "a connection pooler does not keep prepared statements; see the package's documentation"},
		{"25P02 25P03", "the server ended an idle transaction"},
		{"57P01 57P02 57P03 1053 1927", "the server is starting, shutting down or ended the connection"},
		{"1047", "the Galera node is not part of the primary component"},
		{"1180", "the commit failed: the Galera node may be leaving the primary component"},
		{"1461", "the server keeps too few prepared statements (max_prepared_stmt_count)"},
		{"5 6", "another connection is writing"},
		{"8", "the file or the connection is read-only"},
		{"10", "the disk failed"},
		{"11 26", "the file is damaged or not a SQLite database"},
		{"14", "the file cannot be opened"},
	} {
		if slices.Contains(strings.Fields(r.classes), class) {
			return r.meaning
		}
	}
	return ""
}

// codeOf returns the code of a driver's error without importing the driver: errors of
// pgx and lib/pq have a method SQLState, those of modernc.org/sqlite have a method Code,
// and the text of go-sql-driver/mysql is "Error 1213 (40001): ...". Other SQLite drivers
// have their own types, but SQLite's texts.
func codeOf(err error) code {
	var postgresql interface{ SQLState() string }
	if errors.As(err, &postgresql) {
		state := postgresql.SQLState()
		return code{state, "SQLSTATE " + state}
	}
	var sqlite interface{ Code() int }
	if errors.As(err, &sqlite) {
		return sqliteCode(sqlite.Code())
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if rest, found := strings.CutPrefix(e.Error(), "Error "); found {
			number := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
			return code{number, "error " + number}
		}
	}
	if err == nil {
		return code{}
	}
	// Texts of sqlite3_errmsg. A driver may add text before and after.
	for text, number := range map[string]int{
		"database is locked": 5, "table is locked": 6, "schema is locked": 6,
		"attempt to write a readonly database": 8, "unable to open database file": 14,
	} {
		if strings.Contains(err.Error(), text) {
			return sqliteCode(number)
		}
	}
	return code{}
}

// sqliteCode returns the code for a SQLite result code, which may be an extended one.
func sqliteCode(number int) code {
	return code{strconv.Itoa(number & 0xff), "error " + strconv.Itoa(number)}
}

// rolledBack reports whether the database rolled the transaction back because of
// concurrent transactions. It may be retried.
func rolledBack(err error) bool {
	switch codeOf(err).class {
	case "40001", "40P01", "25P03", // serialization_failure, deadlock_detected, the end of a transaction that waited too long for its client
		"1213", "1205", "1020", // deadlock, or a conflict of two Galera nodes; lock wait timeout; MariaDB: record has changed since last read
		"5", "6": // SQLITE_BUSY, SQLITE_LOCKED
		return true
	}
	return false
}

// readOnly reports whether the server refused a statement because it takes no writes:
// it is a standby or read-only, or has left its Galera cluster.
func readOnly(err error) bool {
	if errors.Is(err, errStandby) {
		return true
	}
	switch codeOf(err).class {
	case "25006", "1290", "1792", "1836", "1047":
		return true
	}
	return false
}

// noTable reports whether a table is missing. SQLite has no code for that.
func noTable(err error) bool {
	class := codeOf(err).class
	return class == "42P01" || class == "1146" || err != nil && strings.Contains(err.Error(), "no such table")
}
