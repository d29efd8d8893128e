package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// sessions are the connections whose settings were found fit, by the value that
// their driver knows them by.
type sessions struct {
	mu  sync.Mutex
	fit map[any]struct{}
}

// minSessions is how many connections are remembered at least. More are as long as
// half of them are open: those that were closed are forgotten with all others,
// which are checked again.
const minSessions = 64

func (s *sessions) has(connection any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.fit[connection]
	return found
}

func (s *sessions) add(connection any, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fit == nil || len(s.fit) >= max(minSessions, 2*open) {
		s.fit = make(map[any]struct{})
	}
	s.fit[connection] = struct{}{}
}

// session refuses a connection on which statements would not mean what this
// package says. It asks the database once a connection.
func (d *Database) session(ctx context.Context, conn *sql.Conn) error {
	var connection any
	err := conn.Raw(func(c any) error { connection = c; return nil })
	if err != nil {
		return err
	}
	lasting := reflect.TypeOf(connection).Comparable()
	if lasting && d.sessions.has(connection) {
		return nil
	}
	var problems []string
	switch d.dialect {
	case PostgreSQL:
		problems, err = postgresProblems(ctx, conn)
	case MySQL:
		problems, err = d.mysqlProblems(ctx, conn)
	case SQLite:
		problems, err = sqliteProblems(ctx, conn)
	}
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: the connection's settings: %s", store.ErrUnavailable, strings.Join(problems, ", "))
	}
	if lasting {
		d.sessions.add(connection, d.pool.Stats().OpenConnections)
	}
	return nil
}

func postgresProblems(ctx context.Context, conn *sql.Conn) (problems []string, err error) {
	var flushed, client, server string
	err = conn.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('client_encoding'),
		current_setting('server_encoding')`).Scan(&flushed, &client, &server)
	if err != nil {
		return nil, err
	}
	if flushed == "off" {
		problems = append(problems, "synchronous_commit must not be off")
	}
	if client != "UTF8" {
		problems = append(problems, "client_encoding must be UTF8")
	}
	if server != "UTF8" {
		problems = append(problems, "the database's encoding must be UTF8")
	}
	return problems, nil
}

// idleTransaction is how many seconds a client may leave a transaction alone,
// and with it what it has locked.
const idleTransaction = 2

// everySync makes each statement on a Galera node wait for all that the cluster
// has committed before: those that read, begin or show (1), change or delete (2),
// and insert (4).
const everySync = 7

// mysqlProblems also sets what MariaDB has and this package needs.
func (d *Database) mysqlProblems(ctx context.Context, conn *sql.Conn) (problems []string, err error) {
	settings, err := mysqlSettings(ctx, conn)
	if err != nil {
		return nil, err
	}
	if settings["autocommit"] != "ON" {
		problems = append(problems, "autocommit must be on")
	}
	if settings["completion_type"] != "NO_CHAIN" {
		problems = append(problems, "completion_type must be NO_CHAIN")
	}
	if settings["tx_isolation"] == "READ-UNCOMMITTED" || settings["transaction_isolation"] == "READ-UNCOMMITTED" {
		problems = append(problems, "the isolation must not be READ UNCOMMITTED")
	}
	modes := strings.Split(settings["sql_mode"], ",")
	if !slices.Contains(modes, "STRICT_TRANS_TABLES") && !slices.Contains(modes, "STRICT_ALL_TABLES") {
		problems = append(problems, "sql_mode must have STRICT_TRANS_TABLES or STRICT_ALL_TABLES")
	}
	for _, mode := range []string{"EMPTY_STRING_IS_NULL", "ORACLE", "SIMULTANEOUS_ASSIGNMENT"} {
		if slices.Contains(modes, mode) {
			problems = append(problems, "sql_mode must not have "+mode)
		}
	}
	if settings["sql_select_limit"] != "18446744073709551615" {
		problems = append(problems, "sql_select_limit must not be set")
	}
	if len(problems) > 0 {
		return problems, nil
	}
	galera := settings["wsrep_on"] == "ON"
	idle, mariadb := settings["idle_transaction_timeout"]
	if !mariadb && galera {
		return []string{"a node of a Galera cluster must be MariaDB"}, nil
	}
	if !mariadb {
		return nil, nil
	}
	var set []string
	if seconds, err := strconv.Atoi(idle); err != nil || seconds <= 0 || seconds > idleTransaction {
		set = append(set, fmt.Sprint("SESSION idle_transaction_timeout = ", idleTransaction))
	}
	if galera {
		d.galera.Store(true)
		set = append(set, fmt.Sprint("SESSION wsrep_sync_wait = ", everySync))
	}
	if len(set) > 0 {
		_, err = conn.ExecContext(ctx, "SET "+strings.Join(set, ", "))
	}
	return nil, err
}

func mysqlSettings(ctx context.Context, conn *sql.Conn) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, `SHOW SESSION VARIABLES WHERE Variable_name IN ('autocommit', 'completion_type',
		'idle_transaction_timeout', 'sql_mode', 'sql_select_limit', 'transaction_isolation', 'tx_isolation', 'wsrep_on')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	settings := make(map[string]string)
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		settings[name] = value
	}
	return settings, rows.Err()
}

// sqliteProblems are settings that could lose what was acknowledged, or make a
// connection fail at the first sight of another writer.
func sqliteProblems(ctx context.Context, conn *sql.Conn) (problems []string, err error) {
	var journal string
	var synchronous, timeout int
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return nil, err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return nil, err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
		return nil, err
	}
	if journal != "wal" {
		problems = append(problems, "journal_mode must be WAL")
	}
	if synchronous < 2 {
		problems = append(problems, "synchronous must be FULL or EXTRA")
	}
	if timeout <= 0 {
		problems = append(problems, "busy_timeout must be set")
	}
	return problems, nil
}

// checkedQuery adds to a query of MySQL, as its first column, whether the session
// commits by itself: a query runs on whichever connection is free, and of a
// session that does not it would see the same old state for ever. On a node of a
// Galera cluster the query says itself what it waits for, for the same reason;
// those that lock run in transactions, which waited when they began.
func (d *Database) checkedQuery(query string) string {
	rest, reads := strings.CutPrefix(query, "SELECT ")
	if d.dialect != MySQL || !reads {
		return query
	}
	query = "SELECT @@autocommit, " + rest
	locks := strings.HasSuffix(rest, " FOR UPDATE") || strings.HasSuffix(rest, " LOCK IN SHARE MODE")
	if d.galera.Load() && !locks {
		query = fmt.Sprint("SET STATEMENT wsrep_sync_wait = ", everySync, " FOR ", query)
	}
	return query
}

// checkedRow and checkedRows take that column away again.
type checkedRow struct {
	row     *sql.Row
	checked bool
}

func (d *Database) checkedRow(row *sql.Row) checkedRow { return checkedRow{row, d.dialect == MySQL} }

// Scan is that of sql.Row.
func (r checkedRow) Scan(dest ...any) error { return scan(r.row.Scan, r.checked, dest) }

type checkedRows struct {
	*sql.Rows
	checked bool
}

func (d *Database) checkedRows(rows *sql.Rows, err error) (checkedRows, error) {
	return checkedRows{rows, d.dialect == MySQL}, err
}

// Scan is that of sql.Rows.
func (r checkedRows) Scan(dest ...any) error { return scan(r.Rows.Scan, r.checked, dest) }

func scan(from func(dest ...any) error, checked bool, dest []any) error {
	if !checked {
		return from(dest...)
	}
	var autocommit int
	if err := from(append([]any{&autocommit}, dest...)...); err != nil {
		return err
	}
	if autocommit == 0 {
		return errAutocommit
	}
	return nil
}

// standby asks a server whether it takes no writes. A node that has left its
// Galera cluster answers only what reads no table.
func (d *Database) standby() string {
	return d.dialect.translate(`SELECT {standby}`+d.dialect.pick(` OR current_setting('transaction_read_only') = 'on'`, ``, ``)+
		` FROM {p}feed WHERE id = 1`, d.config.Prefix)
}

// dropWithin bounds the wait for servers that may not answer any more.
const dropWithin = time.Second

// dropReadOnly closes the idle connections whose server takes no writes, as
// after a failover, so that the pool opens new ones. One goroutine does it at a
// time; the others go on.
func (d *Database) dropReadOnly(ctx context.Context) {
	select {
	case d.dropping <- struct{}{}:
		defer func() { <-d.dropping }()
	default:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dropWithin)
	defer cancel()
	for range d.pool.Stats().Idle {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return
		}
		var standby bool
		if err := conn.QueryRowContext(ctx, d.standby()).Scan(&standby); err != nil || standby {
			discard(conn)
			continue
		}
		// Kept until the others were seen: the pool would hand it out again.
		defer conn.Close() //nolint:errcheck // it goes back to the pool
	}
}
