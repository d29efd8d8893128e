package sqlstore

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
)

// Dialect is an SQL dialect.
type Dialect uint8

// The dialects. MySQL is also for MariaDB.
const (
	PostgreSQL Dialect = iota + 1
	MySQL
	SQLite
)

// String returns the dialect's name.
func (d Dialect) String() string {
	if !d.known() {
		return "unknown"
	}
	return d.pick("PostgreSQL", "MySQL", "SQLite")
}

func (d Dialect) known() bool { return d >= PostgreSQL && d <= SQLite }

// pick returns the text for the dialect.
func (d Dialect) pick(postgresql, mysql, sqlite string) string {
	switch d {
	case PostgreSQL:
		return postgresql
	case MySQL:
		return mysql
	}
	return sqlite
}

// clock is an expression for the server's time in microseconds since 1970. It does not
// depend on the session's time zone. On MySQL and SQLite it is constant within a
// statement. On SQLite its resolution is one millisecond.
func (d Dialect) clock() string {
	return d.pick(
		`(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`,
		`TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`,
		`CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)`)
}

// placeholders replaces the placeholders of this package's statements, which differ
// between dialects or prefixes: {p} is the prefix, {lock} locks the rows that are read,
// {max} and {min} are functions, {clock} is the clock in microseconds, {nanoclock} in
// nanoseconds, {epoch} is a row's epoch, raised if the argument is true, {bytes} is an
// argument of a frequent query, and {standby} is a column for the scanner primary.
func (d Dialect) placeholders(prefix string) *strings.Replacer {
	greatest := d.pick("GREATEST", "GREATEST", "max")
	return strings.NewReplacer(
		"{p}", prefix,
		"{lock}", d.pick(" FOR UPDATE", " FOR UPDATE", ""),
		"{max}", greatest,
		"{min}", d.pick("LEAST", "LEAST", "min"),
		"{clock}", d.clock(),
		"{nanoclock}", "("+d.clock()+" * 1000)",
		"{epoch}", "CASE WHEN ? = 1 THEN "+greatest+"(epoch + 1, "+d.clock()+") ELSE epoch END",
		// MySQL would convert the arguments of a prepared statement to the connection's
		// character set.
		"{bytes}", d.pick("?", "UNHEX(CONVERT(? USING ascii))", "?"),
		// Later versions of MariaDB have a text in read_only instead of a number.
		"{standby}", d.pick("pg_is_in_recovery()::int",
			"IF(@@autocommit, CONCAT(@@global.read_only) NOT IN ('0', 'OFF') OR @@global.innodb_read_only, 2)", "0"),
	)
}

// translate translates a statement of this package into the dialect. It caches all
// translations; there are few.
func (d *Database) translate(text string) string {
	if translated, found := d.translated.Load(text); found {
		return translated.(string) //nolint:forcetypeassert // see below
	}
	translated := d.placeholders.Replace(text)
	switch d.dialect {
	case PostgreSQL:
		translated = numbered(translated)
	case MySQL:
		translated = onDuplicateKey(translated)
	}
	d.translated.Store(text, translated)
	return translated
}

// numbered replaces each ? by $1, $2 and so on.
func numbered(text string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

var excluded = regexp.MustCompile(`excluded\.(\w+)`)

// onDuplicateKey replaces an ON CONFLICT clause by the MySQL equivalent.
func onDuplicateKey(text string) string {
	insert, rest, found := strings.Cut(text, "ON CONFLICT ")
	if !found {
		return text
	}
	if rest == "DO NOTHING" {
		return strings.Replace(insert, "INSERT", "INSERT IGNORE", 1)
	}
	_, set, _ := strings.Cut(rest, "DO UPDATE SET")
	return insert + "ON DUPLICATE KEY UPDATE" + excluded.ReplaceAllString(set, "VALUES($1)")
}

// values converts arguments to the types of the columns. Text columns are text on
// PostgreSQL, and bytes on the other databases.
func (d *Database) values(args []any) []any {
	values := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case time.Time:
			values[i] = micros(arg)
		case bool:
			values[i] = 0
			if arg {
				values[i] = 1
			}
		case scope.Set:
			values[i] = d.text(padded(arg))
		case string:
			values[i] = d.text(arg)
		default:
			values[i] = arg
		}
	}
	return values
}

func (d *Database) text(text string) any {
	if d.dialect == PostgreSQL {
		return text
	}
	return []byte(text)
}
