package sqlstore

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
)

// Dialect is the SQL that a database speaks.
type Dialect uint8

// The dialects. MySQL is MariaDB's, too.
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

// clock is the server's time in microseconds since 1970, whatever the time zone
// of the session. MySQL's and SQLite's stand still within a statement, and SQLite's
// has milliseconds only.
func (d Dialect) clock() string {
	return d.pick(
		`(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`,
		`TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`,
		`CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)`)
}

// words are what statements say in place of what differs: {p} is the prefix,
// {lock} locks the rows that are read, {max} and {min} are functions, {clock} is
// the clock in microseconds, {nanoclock} in nanoseconds, {epoch} is a row's epoch,
// raised if the argument is true, {bytes} is an argument of a frequent query, and
// {standby} is what primary scans.
func (d Dialect) words(prefix string) *strings.Replacer {
	greatest := d.pick("GREATEST", "GREATEST", "max")
	return strings.NewReplacer(
		"{p}", prefix,
		"{lock}", d.pick(" FOR UPDATE", " FOR UPDATE", ""),
		"{max}", greatest,
		"{min}", d.pick("LEAST", "LEAST", "min"),
		"{clock}", d.clock(),
		"{nanoclock}", "("+d.clock()+" * 1000)",
		"{epoch}", "CASE WHEN ? = 1 THEN "+greatest+"(epoch + 1, "+d.clock()+") ELSE epoch END",
		// What a statement of MySQL that was prepared is given would be turned into the
		// connection's character set.
		"{bytes}", d.pick("?", "UNHEX(CONVERT(? USING ascii))", "?"),
		// MariaDB's read_only has become a word.
		"{standby}", d.pick("pg_is_in_recovery()::int",
			"IF(@@autocommit, CONCAT(@@global.read_only) NOT IN ('0', 'OFF') OR @@global.innodb_read_only, 2)", "0"),
	)
}

// translate turns a statement as this package writes it into the dialect's. It
// remembers all, of which there are few.
func (d *Database) translate(text string) string {
	if translated, found := d.translated.Load(text); found {
		return translated.(string) //nolint:forcetypeassert // see below
	}
	translated := d.words.Replace(text)
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

// onDuplicateKey words what an insertion does with a row that is there as MySQL does.
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

// values are arguments as they are kept. The columns of texts are text on
// PostgreSQL, and bytes elsewhere.
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
