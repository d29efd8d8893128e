package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tap opens connections that record each statement, and that can make the next
// transaction fail to begin.
type tap struct {
	below  driver.Driver
	source string

	mu         sync.Mutex
	statements []statement
	refusal    error
	seen       func(text string) // unless nil, is called with each statement
}

// statement is a query and its arguments.
type statement struct {
	text string
	args []any
}

// tapped returns a pool whose statements are recorded.
func tapped(t testing.TB, name, source string) (*sql.DB, *tap) {
	t.Helper()
	p := &tap{below: dial(t, name, source).Driver(), source: source}
	db := sql.OpenDB(p)
	t.Cleanup(func() { _ = db.Close() })
	return db, p
}

// recorded returns the statements recorded since the last call.
func (p *tap) recorded() []statement {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.statements
	p.statements = nil
	return all
}

func (p *tap) record(text string, args []driver.NamedValue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := statement{text: text}
	for _, a := range args {
		s.args = append(s.args, a.Value)
	}
	p.statements = append(p.statements, s)
	if p.seen != nil {
		p.seen(text)
	}
}

// refuse makes the next transaction fail to begin.
func (p *tap) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = err
}

func (p *tap) refused() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.refusal
	p.refusal = nil
	return err
}

func (p *tap) Driver() driver.Driver { return p.below }

func (p *tap) Connect(context.Context) (driver.Conn, error) {
	c, err := p.below.Open(p.source)
	return tapConn{c, p}, err
}

type tapConn struct {
	driver.Conn
	p *tap
}

func (c tapConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if strings.HasPrefix(query, "BEGIN") {
		if err := c.p.refused(); err != nil {
			return nil, err
		}
	}
	done, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if !errors.Is(err, driver.ErrSkip) {
		c.p.record(query, args)
	}
	return done, err
}

func (c tapConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	if !errors.Is(err, driver.ErrSkip) {
		c.p.record(query, args)
	}
	return rows, err
}

func (c tapConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.p.record(query, nil)
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

func (c tapConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, checks := c.Conn.(driver.NamedValueChecker); checks {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// find returns the first statement whose text matches.
func find(all []statement, matches func(text string) bool) (statement, bool) {
	i := slices.IndexFunc(all, func(s statement) bool { return matches(s.text) })
	if i < 0 {
		return statement{}, false
	}
	return all[i], true
}
