// Package sqlstore stores everything in PostgreSQL, MySQL, MariaDB or SQLite
// through database/sql. It imports no driver. The host opens the database with the
// driver of its choice and names the dialect.
//
//	db, err := sql.Open("pgx", dsn)
//	database, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
//	err = database.Migrate(ctx) // at start, by every replica
//	srv, err := oauth.New(database.Store(), ...)
//
// One transaction writes a change with its event, its one-time id, its epoch and its
// notification. It uses the database's default isolation level; on PostgreSQL it always
// uses read committed. A transaction that was rolled back by a deadlock or a
// serialization failure is retried. If the outcome of a commit is unknown, it is not
// retried and the call returns store.ErrUnavailable. A standby or read-only server
// refuses reads that decide something.
//
// Text must be UTF-8 without a zero byte. Other text is an error.
//
// # Round trips
//
// The table counts the round trips of a call on a connection that has been checked
// and, on PostgreSQL, has prepared its statements. The first number is for the call
// alone, the second for a call with a one-time id and three preconditions.
//
//	                         PostgreSQL   MySQL, MariaDB
//	look-ups, epochs             1             1
//	create                       4          11 to 14
//	update, rotate, disable      4           7 to 15
//	delete                       4          10 to 13
//	settings                     4           8 to 13
//	delete a workspace           5          10 to 15
//	revoke a token               3             5
//
// On MySQL and MariaDB each further event, each further credential that is added or removed,
// and each creator that is added or removed takes one more. SQLite has no round trips.
//
// # PostgreSQL
//
// Version 11 or later. The encoding of the database must be UTF8. Tested with pgx; the
// numbers above count on its statement cache. With Config.Listen, notifications arrive
// at once.
//
// # MySQL and MariaDB
//
// MySQL 8 or MariaDB 10.6, or later, with go-sql-driver. Its data source name must
// set interpolateParams=true; without it the driver would prepare each statement first.
// Tested with MariaDB 10.11. What is said about MySQL 8 comes from its manual.
//
// # Galera
//
// All nodes of a MariaDB Galera cluster may take changes (tested with three nodes of
// MariaDB 10.11). Once a call that disables a key has returned, all nodes refuse the
// key: each query waits until its node has applied what the cluster has committed. The
// nodes compare only the rows that transactions wrote, so a change also writes the rows
// that its decision is based on. This package does what the lines with "set" say; those
// with "yours" are for you to configure.
//
//	set    wsrep_sync_wait of the session and of each query, 7
//	set    idle_transaction_timeout of the session, 2 s
//	yours  binlog_format=ROW and innodb_autoinc_lock_mode=2, which Galera requires
//	yours  wsrep_sst_method=mariabackup: with rsync, a node that sends its data to
//	       a joining node commits nothing meanwhile
//	yours  three nodes or more: if one of two fails, the other is cut off, too
//	yours  wsrep_provider_options sets how long a silent node stops all calls.
//	       With evs.suspect_timeout=PT1.5S, evs.inactive_timeout=PT3S,
//	       evs.keepalive_period=PT0.3S and evs.inactive_check_period=PT0.2S, the
//	       others go on 1.8 to 2.2 s after one is killed, frozen or cut off.
//	       With Galera's defaults up to 25 s were measured
//
// A node that is cut off from the primary component answers store.ErrUnavailable, and
// its connections are closed. New connections should lead to any node. A proxy must
// check nodes by reading a table, since a node that was cut off still answers a ping
// and SELECT 1. Once the node has caught up with the others, it serves again through
// the same pool. Whether changes that it was about to commit were made is unknown.
//
// One row numbers all changes. Concurrent changes through several nodes therefore
// conflict. The change that loses is retried, up to 100 attempts. Measured on two busy
// processors, with three nodes and their clients:
//
//	through one node, 1 client         500 changes a second
//	through three, 1 client at each    290; 2.3 attempts each
//	through three, 8 clients at each   250 to 280; 3.3 attempts each; one change
//	                                   in 100 takes more than half a second
//
// For more changes, let all replicas use one node, and another one when it fails.
// Look-ups may go to any node.
//
// # Other distributed databases
//
// None of these is supported or tested. As far as we know, they would need:
//
//	CockroachDB  Its advisory locks lock nothing: Migrate needs a row, as on
//	             Galera. It has no LISTEN and no pg_notify, which each change
//	             calls here: polling only. Any statement may fail with 40001,
//	             which is retried already. The row that numbers all changes is
//	             a hot row.
//	YugabyteDB   READ COMMITTED must be enabled; without it far more changes
//	             are retried. Only new releases have advisory locks. LISTEN is
//	             missing or a preview. The same hot row.
//	TiDB         A bound like idle_transaction_timeout, under another name; no
//	             stale and no follower reads; a recent release for GET_LOCK.
//	             Its error codes for retries and for unknown outcomes are not
//	             known here. The same hot row.
//	Vitess       An unsharded keyspace: a change would span shards, which commit
//	             one after another. GET_LOCK and SET need reserved connections.
//	Aurora       One server takes writes, so it is PostgreSQL or MySQL with a
//	             failover: use the cluster endpoint. Readers are refused, as
//	             standbys are. LISTEN works only at the writer.
//
// # SQLite
//
// Version 3.35 or later, in WAL mode, with a busy timeout and with synchronous FULL or
// EXTRA, so that acknowledged changes survive a power failure. Migrate and the first
// call refuse a connection without these settings. With modernc.org/sqlite:
//
//	file:keys.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)&_pragma=synchronous(FULL)
//
// A busy timeout (in milliseconds) must be shorter than the deadlines of calls, which
// are 900 ms for logins by default: a call that waits for the lock of the file does not
// end before.
//
// Writers of one Database wait for each other within the process. Writers in several
// processes wait for the lock of the file. Readers do not wait. The file must be on a
// local disk. Package memstore keeps everything in memory only.
//
// # Sessions
//
// Some settings of a session change the meaning of statements. On each connection this
// package sets them, or refuses a connection with the wrong value. Others do not
// matter, or are yours to configure:
//
//	PostgreSQL
//	  set       the isolation of each transaction, READ COMMITTED
//	  set       idle_in_transaction_session_timeout, 2 s in each transaction
//	  refused   synchronous_commit=off; an encoding other than UTF8
//	  refused   read-only sessions and servers, standbys
//	  no matter time zone, standard_conforming_strings, bytea_output
//	  yours     search_path: it must find the same tables on every connection
//	  yours     statement_timeout and lock_timeout, which only make calls fail
//	MySQL and MariaDB
//	  set       idle_transaction_timeout of the session, 2 s (MariaDB)
//	  refused   autocommit off; completion_type other than NO_CHAIN; READ UNCOMMITTED
//	  refused   an sql_mode without STRICT_TRANS_TABLES or STRICT_ALL_TABLES, or
//	            with ORACLE, EMPTY_STRING_IS_NULL or SIMULTANEOUS_ASSIGNMENT;
//	            sql_select_limit
//	  refused   a driver that does not interpolate; a character_set_client other than
//	            utf8mb4 and utf8mb3
//	  refused   read-only sessions and servers
//	  no matter time zone, other character sets, other modes, other isolations
//	  yours     innodb_flush_log_at_trx_commit=1 and sync_binlog=1: without them a
//	            server that loses power loses acknowledged changes
//	SQLite
//	  refused   journal_mode other than WAL, synchronous below FULL, no busy_timeout
//
// Each connection is checked before its first use, with one to three round trips.
// Look-ups and reads of epochs skip this check; on MySQL their answers report whether
// autocommit is on. The setting for MariaDB's sessions assumes a pool that only Latchkey
// uses. In a shared pool it also ends idle transactions of the host.
//
// If a client vanishes in the middle of a change, it blocks others for two seconds on
// PostgreSQL and MariaDB: the server then ends its transaction. During Migrate this
// is true of MySQL, too. For changes MySQL has no such setting: a vanished client holds
// its locks until wait_timeout (eight hours by default) or until TCP times out. Set
// wait_timeout, to 60 for example, and close idle connections before that
// (SetConnMaxIdleTime).
//
// # Servers and failover
//
// Changes, and reads that decide something, need the server that takes writes. A server
// that is read-only or a replica gives store.ErrUnavailable, and its connections are
// closed. New connections go where the host's settings lead at that time. These settings
// must lead to the server that takes writes: use target_session_attrs=read-write with
// several hosts in the data source name of pgx or lib/pq, rejectReadOnly=true with
// go-sql-driver, or a proxy that follows the failover. A MySQL replica must have
// read_only set; nothing else distinguishes it from its source. An asynchronous replica
// that takes over lacks the last changes.
//
// The limiter and the removal of expired rows use the server's clock; on SQLite, the
// machine's. Synchronize the clocks of servers that may take over from each other.
//
// # Connection poolers
//
// PgBouncer and similar poolers work in session mode with any settings. In transaction
// mode, set default_query_exec_mode=exec (or simple_protocol, or cache_describe) for
// pgx. Its default fails there unless the pooler keeps prepared statements (PgBouncer
// from 1.21 with max_prepared_statements). Set binary_parameters=yes for lib/pq; without
// it statements of different clients are mixed up. Statement mode does not work. In
// transaction mode search_path cannot be part of the data source name: set it with
// ALTER ROLE or ALTER DATABASE. LISTEN does not work through a pooler in transaction
// mode: give Config.Listen a direct connection to the server.
//
// # For operators
//
// The views latchkey_keys_view, latchkey_credentials_view, latchkey_workspaces_view and
// latchkey_events_view show readable text, and times in UTC or with their zone. A time that
// is not set is NULL. The views show no digests. An example of a join with a table of the
// host:
//
//	SELECT t.title, k.id, k.name, k.created
//	FROM teams t JOIN latchkey_keys_view k ON k.workspace = t.id
//
// On MySQL: ON k.workspace = t.id COLLATE utf8mb4_bin.
//
// The kind of a credential is secret, public_key or trust. This finds the trusts in an
// issuer of the host's list, with what they accept:
//
//	SELECT c.workspace, c.key_id, c.name, c.claims, c.last_used
//	FROM latchkey_credentials_view c WHERE c.kind = 'trust' AND c.issuer = 'github'
//
// That view reads all keys. The table latchkey_credentials names the key of each credential,
// by the id of the credential. The tables are not an interface and change with releases. In
// them times are microseconds since 1970, and text is bytes except on PostgreSQL.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// Config configures a Database. The zero value is the production default.
type Config struct {
	// Prefix is the prefix of every table name: 1 to 32 characters a-z, 0-9 and _,
	// beginning with a letter. Default "latchkey_".
	Prefix string
	// Listen waits for PostgreSQL notifications, so that a Watch reads at once. It
	// must be nil for other dialects. It must execute LISTEN with the given channel on
	// a connection of its own, call ready, and then call notify for each notification,
	// until ctx ends or the connection breaks. It returns the reason. Each Watch calls
	// it again after a pause. If Listen fails, no notification is lost and the delay
	// is at most 50 ms, since a Watch also polls. Default nil: polling only.
	Listen func(ctx context.Context, channel string, ready, notify func()) error
}

const defaultPrefix = "latchkey_"

// Database gives access to Latchkey's tables in a database. It is safe for concurrent
// use.
type Database struct {
	pool         *sql.DB
	dialect      Dialect
	config       Config
	placeholders *strings.Replacer
	translated   sync.Map // of texts
	migrations   [][]string

	// checked is true once the schema version was found to be right. The frequent
	// queries are prepared before that and do not change afterwards.
	checked        atomic.Bool
	checking       chan struct{} // a lock
	galera         atomic.Bool   // a connection led to a node of a Galera cluster
	lookup, epochs frequent
	lookupSecret   frequent

	writer  chan struct{} // SQLite: a lock, held while writing
	stripes [stripes]timedLock
	feed    timedLock
	// accepted is the set of connections whose settings were checked. Its keys are the
	// driver's connections; sessions is their number.
	accepted sync.Map
	sessions atomic.Int64
	dropping sync.Mutex // held while dropReadOnly looks through the pool
	wakes    wakes
	sweeps   sweeps
}

// New returns a Database that uses db. The host configures and closes db. New does
// not access the database. Call Migrate before the first use, or run the SQL of
// Migrations.
func New(db *sql.DB, dialect Dialect, cfg Config) (*Database, error) {
	var problems []error
	if db == nil {
		problems = append(problems, errors.New("db: must not be nil"))
	}
	cfg, wrong := cfg.check(dialect)
	if err := errors.Join(append(problems, wrong...)...); err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	d := &Database{
		pool: db, dialect: dialect, config: cfg, placeholders: dialect.placeholders(cfg.Prefix), migrations: migrations(dialect, cfg.Prefix),
		checking: make(chan struct{}, 1), writer: make(chan struct{}, 1), feed: make(timedLock, 1),
	}
	for i := range d.stripes {
		d.stripes[i] = make(timedLock, 1)
	}
	return d, nil
}

// check returns cfg with its defaults, and what is wrong with it and the dialect.
func (cfg Config) check(dialect Dialect) (Config, []error) {
	var problems []error
	if !dialect.known() {
		problems = append(problems, errors.New("dialect: must be PostgreSQL, MySQL or SQLite"))
	}
	cfg.Prefix = cmp.Or(cfg.Prefix, defaultPrefix)
	if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`).MatchString(cfg.Prefix) {
		problems = append(problems, errors.New("Config.Prefix: must have 1 to 32 characters a-z, 0-9 and _ and begin with a letter"))
	}
	if cfg.Listen != nil && dialect != PostgreSQL {
		problems = append(problems, errors.New("Config.Listen: must be nil unless the dialect is PostgreSQL"))
	}
	return cfg, problems
}

// Store returns a store that uses d, with every field except Cached set. Its signing
// keys are durable.
func (d *Database) Store() store.Store {
	return store.Store{
		Records: store.Records{
			Keys:       &keyTable{d},
			Secrets:    &keyTable{d},
			Workspaces: &workspaceTable{d},
			Upkeep:     &upkeep{d},
			Settings:   &settings{d},
			Events:     &eventLog{d},
			Epochs:     &epochs{d},
			OnceIDs:    &onceIDs{d},
			HostLists:  &lists{d},
			Watch:      &watch{d},
		},
		SigningKeys: &signingKeys{d},
		Usage:       &usage{d},
		Limiter:     &limiter{d},
	}
}
