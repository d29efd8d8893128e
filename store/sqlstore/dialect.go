package sqlstore

import (
	"strconv"
	"strings"
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
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	case SQLite:
		return "SQLite"
	}
	return "unknown"
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

// insertNew is the beginning and the end of a statement that adds a row unless
// its key is taken.
func (d Dialect) insertNew() (insert, ignore string) {
	if d == MySQL {
		return "INSERT IGNORE", ""
	}
	return "INSERT", " ON CONFLICT DO NOTHING"
}

// processClock stands for the process's clock in statements of SQLite, whose own
// has milliseconds only. A batch puts it in.
const processClock = "{clock}"

// translate turns a statement as this package writes it into the dialect's:
// {p} is the prefix, {lock} locks the rows that are read, {max} is the larger
// of its arguments, {clock} is the clock, {epoch} is a row's epoch, raised if
// the argument is 1, {standby} is 1 on a server that follows another one, and
// ? stands for an argument.
func (d Dialect) translate(text, prefix string) string {
	text = strings.ReplaceAll(text, "{epoch}", "CASE WHEN ? = 1 THEN {max}(epoch + 1, {clock}) ELSE epoch END")
	text = strings.NewReplacer(
		"{p}", prefix,
		"{lock}", d.pick(" FOR UPDATE", " FOR UPDATE", ""),
		"{max}", d.pick("GREATEST", "GREATEST", "max"),
		"{clock}", d.pick(clock(d), clock(d), processClock),
		// MariaDB's read_only has become a word.
		"{standby}", d.pick("pg_is_in_recovery()",
			"(CONCAT(@@global.read_only) NOT IN ('0', 'OFF') OR @@global.innodb_read_only)", "0"),
	).Replace(text)
	if d == PostgreSQL {
		text = numbered(text)
	}
	return text
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
