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

// translate turns a statement as this package writes it into the dialect's:
// {p} is the prefix, {lock} locks the rows that are read, {max} is the larger
// of its arguments, and ? stands for an argument.
func (d Dialect) translate(text, prefix string) string {
	text = strings.NewReplacer(
		"{p}", prefix,
		"{lock}", d.pick(" FOR UPDATE", " FOR UPDATE", ""),
		"{max}", d.pick("GREATEST", "GREATEST", "max"),
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
