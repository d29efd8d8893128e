package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// maxConnections is how many connections of a pool are tried: more than it is likely
// to hold.
const maxConnections = 100

// withConn runs do on a connection whose settings were checked. If the connection is
// broken, do runs again on another one.
func (d *Database) withConn(ctx context.Context, do func(conn *sql.Conn) error) error {
	for attempt := 1; ; attempt++ {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return err
		}
		if err = d.checkSession(ctx, conn); err != nil {
			discard(conn)
		} else if err = do(conn); readOnly(err) {
			discard(conn)
		}
		_ = conn.Close() //nolint:errcheck // it goes back to the pool
		if !errors.Is(err, driver.ErrBadConn) || attempt == maxConnections {
			return err
		}
	}
}

// discard closes a connection instead of giving it back.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) //nolint:errcheck // it returns the function's error
}

// minSessions is the least number of checked connections that are remembered. The set
// may grow to twice the number of open connections. Then it is cleared, since it also
// holds closed connections, and open connections are checked again.
const minSessions = 64

// checkSession returns an error if the connection's settings change the meaning of this
// package's statements. It queries the database once for each connection.
func (d *Database) checkSession(ctx context.Context, conn *sql.Conn) error {
	var connection any
	err := conn.Raw(func(c any) error { connection = c; return nil })
	if err != nil {
		return err
	}
	cacheable := reflect.TypeOf(connection).Comparable()
	if cacheable {
		if _, found := d.accepted.Load(connection); found {
			return nil
		}
	}
	var rules []rule
	switch d.dialect {
	case PostgreSQL:
		rules, err = postgresRules(ctx, conn)
	case MySQL:
		rules, err = d.mysqlRules(ctx, conn)
	case SQLite:
		rules, err = sqliteRules(ctx, conn)
	}
	if err != nil {
		return err
	}
	var problems []string
	for _, r := range rules {
		if !r.holds {
			problems = append(problems, r.message)
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: the connection's settings: %s", store.ErrUnavailable, strings.Join(problems, ", "))
	}
	if cacheable {
		if int(d.sessions.Add(1)) > max(minSessions, 2*d.pool.Stats().OpenConnections) {
			d.sessions.Store(1)
			d.accepted.Clear()
		}
		d.accepted.Store(connection, true)
	}
	return nil
}

// rule is a requirement for a session's settings.
type rule struct {
	holds   bool
	message string
}

func postgresRules(ctx context.Context, conn *sql.Conn) ([]rule, error) {
	var flushed, client, server string
	err := conn.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('client_encoding'),
		current_setting('server_encoding')`).Scan(&flushed, &client, &server)
	return []rule{
		{flushed != "off", "synchronous_commit must not be off"},
		{client == "UTF8", "client_encoding must be UTF8"},
		{server == "UTF8", "the database's encoding must be UTF8"},
	}, err
}

// idleTransaction is how many seconds a transaction may be idle before the server ends
// it and releases its locks.
const idleTransaction = 2

// syncWaitAll is the value of wsrep_sync_wait with which each statement on a Galera node
// waits for all that the cluster has committed before: statements that read, begin or
// show (1), update or delete (2), and insert (4).
const syncWaitAll = 7

// mysqlRules also sets the session settings that this package needs on MariaDB.
func (d *Database) mysqlRules(ctx context.Context, conn *sql.Conn) ([]rule, error) {
	settings, err := mysqlSettings(ctx, conn)
	if err != nil {
		return nil, err
	}
	modes := strings.Split(settings["sql_mode"], ",")
	without := func(mode string) rule { return rule{!slices.Contains(modes, mode), "sql_mode must not have " + mode} }
	galera := settings["wsrep_on"] == "ON"
	idle, mariadb := settings["idle_transaction_timeout"]
	rules := []rule{
		{settings["autocommit"] == "ON", "autocommit must be on"},
		{settings["completion_type"] == "NO_CHAIN", "completion_type must be NO_CHAIN"},
		{settings["tx_isolation"] != "READ-UNCOMMITTED" && settings["transaction_isolation"] != "READ-UNCOMMITTED", "the isolation must not be READ UNCOMMITTED"},
		{slices.Contains(modes, "STRICT_TRANS_TABLES") || slices.Contains(modes, "STRICT_ALL_TABLES"), "sql_mode must have STRICT_TRANS_TABLES or STRICT_ALL_TABLES"},
		without("EMPTY_STRING_IS_NULL"), without("ORACLE"), without("SIMULTANEOUS_ASSIGNMENT"),
		{settings["sql_select_limit"] == "18446744073709551615", "sql_select_limit must not be set"},
		{strings.HasPrefix(settings["character_set_client"], "utf8"), "character_set_client must be utf8mb4"},
		{interpolates(ctx, conn), "the driver's interpolateParams must be true"},
		{mariadb || !galera, "a node of a Galera cluster must be MariaDB"},
	}
	var set []string
	if seconds, err := strconv.Atoi(idle); mariadb && (err != nil || seconds <= 0 || seconds > idleTransaction) {
		set = append(set, fmt.Sprint("SESSION idle_transaction_timeout = ", idleTransaction))
	}
	if galera {
		d.galera.Store(true)
		set = append(set, fmt.Sprint("SESSION wsrep_sync_wait = ", syncWaitAll))
	}
	if len(set) > 0 {
		_, err = conn.ExecContext(ctx, "SET "+strings.Join(set, ", "))
	}
	return rules, err
}

func mysqlSettings(ctx context.Context, conn *sql.Conn) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, `SHOW SESSION VARIABLES WHERE Variable_name IN ('autocommit', 'character_set_client', 'completion_type',
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

// interpolates reports whether the driver puts arguments into the text of a statement.
// Otherwise it prepares each statement, which takes one more round trip. In tests, a
// Galera node also rolled back some transactions that prepared statements without an
// error, and committed their later statements one by one.
func interpolates(ctx context.Context, conn *sql.Conn) bool {
	err := conn.Raw(func(c any) error {
		execer, ok := c.(driver.ExecerContext)
		if !ok {
			return driver.ErrSkip
		}
		_, err := execer.ExecContext(ctx, "DO ?", []driver.NamedValue{{Ordinal: 1, Value: int64(0)}})
		return err
	})
	return !errors.Is(err, driver.ErrSkip)
}

// sqliteRules are settings without which acknowledged changes could be lost, or a
// connection would fail at once while another one writes.
func sqliteRules(ctx context.Context, conn *sql.Conn) ([]rule, error) {
	var journal string
	var synchronous, timeout int
	err := errors.Join(
		conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal),
		conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous),
		conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout))
	return []rule{
		{journal == "wal", "journal_mode must be WAL"},
		{synchronous >= 2, "synchronous must be FULL or EXTRA"},
		{timeout > 0, "busy_timeout must be set"},
	}, err
}

// dropTimeout bounds the wait for servers that may not answer any more.
const dropTimeout = time.Second

// dropReadOnly closes idle connections to servers that take no writes, as after a
// failover, so that the pool opens new ones. If another goroutine is already doing this,
// it returns at once.
func (d *Database) dropReadOnly(ctx context.Context) {
	if !d.dropping.TryLock() {
		return
	}
	defer d.dropping.Unlock()
	ctx, cancel := context.WithTimeout(ctx, dropTimeout)
	defer cancel()
	// The query reads a table, since a node that has left its Galera cluster still
	// answers queries without one.
	takesWrites := d.translate(d.dialect.pick(`SELECT ({standby} = 1 OR current_setting('transaction_read_only') = 'on')::int`, `SELECT {standby}`, `SELECT {standby}`) +
		` FROM {p}feed WHERE id = 1`)
	for range d.pool.Stats().Idle {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return
		}
		if conn.QueryRowContext(ctx, takesWrites).Scan(primary{}) != nil {
			discard(conn)
			continue
		}
		// It is kept until the loop ends; otherwise the pool would return it again.
		defer conn.Close() //nolint:errcheck // it goes back to the pool
	}
}
