package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
)

// batch collects statements. PostgreSQL gets all of them as one statement, in one
// round trip; the other databases get one after another. So no statement may read
// what another one of the same batch writes.
type batch struct {
	d         *Database
	parts     []part
	hasNotice bool // on PostgreSQL: for the commit to write
}

// part is a statement of a batch.
type part struct {
	name string // by which later parts call its rows on PostgreSQL; may be empty
	text string
	args []any
	// columns are those of the row that the statement returns, and to is where
	// they are scanned to. There is one row at most; without one nothing is
	// scanned.
	columns []string
	to      []any
	// count, unless nil, becomes the number of rows that were written.
	count *int64
	// lastID, unless nil, becomes the LAST_INSERT_ID of the statement.
	lastID *int64
	// do, unless nil, runs instead of the statement, except on PostgreSQL.
	do func(ctx context.Context, r runner) error
}

func (d *Database) batch() *batch { return &batch{d: d} }

func (b *batch) add(p part) { b.parts = append(b.parts, p) }

// exec adds a statement that returns nothing.
func (b *batch) exec(text string, args ...any) { b.add(part{text: text, args: args}) }

// run sends what was collected. It checks nothing but that it worked.
func (b *batch) run(ctx context.Context, r runner) error {
	if b.d.dialect == PostgreSQL {
		return b.runAtOnce(ctx, r)
	}
	for i := range b.parts {
		if err := b.parts[i].run(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) run(ctx context.Context, r runner) error {
	if p.do != nil {
		return p.do(ctx, r)
	}
	text := p.text
	if strings.Contains(text, processClock) {
		text = strings.ReplaceAll(text, processClock, strconv.FormatInt(time.Now().UnixMicro(), 10)) //nolint:forbidigo // the store's own clock
	}
	if p.columns != nil && p.lastID == nil {
		err := r.row(ctx, text, p.args...).Scan(p.to...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}
	done, err := r.exec(ctx, text, p.args...)
	if err == nil && p.count != nil {
		*p.count, err = done.RowsAffected()
	}
	if err == nil && p.lastID != nil {
		*p.lastID, err = done.LastInsertId()
	}
	return err
}

// runAtOnce makes each part a common table expression and selects their columns
// in turn. PostgreSQL works on such an expression when its first column is
// asked for: so rows are locked in the order of the parts.
func (b *batch) runAtOnce(ctx context.Context, r runner) error {
	var with, columns strings.Builder
	var args, to []any
	for i := range b.parts {
		p := &b.parts[i]
		name := p.name
		if name == "" {
			name = "p" + strconv.Itoa(i)
		}
		separate(&with, "WITH ")
		with.WriteString(name + " AS (")
		shift(&with, p.text, len(args))
		args = append(args, p.args...)
		if p.count != nil {
			with.WriteString(" RETURNING 1")
			separate(&columns, " SELECT ")
			columns.WriteString("(SELECT COUNT(*) FROM " + name + ")")
			to = append(to, p.count)
		}
		with.WriteString(")")
		for n, column := range p.columns {
			separate(&columns, " SELECT ")
			columns.WriteString("(SELECT " + column + " FROM " + name + ")")
			to = append(to, p.to[n])
		}
	}
	if columns.Len() == 0 {
		columns.WriteString(" SELECT 1")
		to = []any{new(int64)}
	}
	if b.hasNotice {
		r.(*postgresTransaction).hasNotice = true //nolint:forcetypeassert // a notice is added in a transaction only
	}
	return r.row(ctx, with.String()+columns.String(), args...).Scan(to...)
}

func separate(b *strings.Builder, first string) {
	if b.Len() == 0 {
		b.WriteString(first)
		return
	}
	b.WriteString(", ")
}

// shift writes a statement whose arguments $1, $2 come after others.
func shift(b *strings.Builder, text string, by int) {
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return
		}
		end := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, _ := strconv.Atoi(rest[:end]) //nolint:errcheck // digits
		b.WriteString("$" + strconv.Itoa(n+by))
		text = rest[end:]
	}
}
