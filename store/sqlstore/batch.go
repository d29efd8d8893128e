package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
)

// batch collects statements. On PostgreSQL they are sent as one statement, in one round
// trip; on the other databases, one after another. A statement must not read what
// another statement of the same batch writes.
type batch struct {
	d      *Database
	parts  []part
	checks []func() error
}

// part is a statement of a batch.
type part struct {
	text string
	args []any
	// columns are the columns of the row that the statement returns, and to holds
	// their destinations. There is at most one row. Without a row, nothing or NULL is
	// scanned.
	columns []string
	to      []any
	// count, unless nil, becomes the number of rows that were written or locked.
	count *int64
	// do, unless nil, runs instead of the statement, except on PostgreSQL.
	do func(ctx context.Context, r *runner) error
}

func (b *batch) add(p part) { b.parts = append(b.parts, p) }

// exec adds a statement that returns nothing.
func (b *batch) exec(text string, args ...any) { b.add(part{text: text, args: args}) }

// check adds a function that runs after the statements and may fail the batch.
func (b *batch) check(holds func() error) { b.checks = append(b.checks, holds) }

// run executes the statements and then the checks, in the order in which they were
// added. It returns the first error.
func (b *batch) run(ctx context.Context, r *runner) error {
	if b.d.dialect == PostgreSQL {
		if err := b.runAtOnce(ctx, r); err != nil {
			return err
		}
	} else {
		for i := range b.parts {
			if err := b.parts[i].run(ctx, r); err != nil {
				return err
			}
		}
	}
	for _, holds := range b.checks {
		if err := holds(); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) run(ctx context.Context, r *runner) error {
	if p.do != nil {
		return p.do(ctx, r)
	}
	if p.columns != nil {
		err := r.row(ctx, p.text, p.args...).Scan(p.to...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}
	n, err := r.exec(ctx, p.text, p.args...)
	if p.count != nil {
		*p.count = n
	}
	return err
}

// runAtOnce sends each part as a common table expression and selects their columns in
// order. PostgreSQL evaluates such an expression when its first column is read, so rows
// are locked in the order of the parts.
func (b *batch) runAtOnce(ctx context.Context, r *runner) error {
	var with, columns []string
	var args, to []any
	for i, p := range b.parts {
		name, text := "p"+strconv.Itoa(i), p.text
		args = append(args, p.args...)
		if p.count != nil {
			if !strings.HasPrefix(text, "SELECT") {
				text += " RETURNING 1"
			}
			columns = append(columns, "(SELECT COUNT(*) FROM "+name+")")
			to = append(to, p.count)
		}
		for n, column := range p.columns {
			columns = append(columns, "(SELECT "+column+" FROM "+name+")")
			to = append(to, p.to[n])
		}
		with = append(with, name+" AS ("+text+")")
	}
	if len(with) == 0 {
		return nil
	}
	if len(columns) == 0 {
		columns, to = []string{"1"}, []any{new(int64)}
	}
	return r.row(ctx, "WITH "+strings.Join(with, ", ")+" SELECT "+strings.Join(columns, ", "), args...).Scan(to...)
}
