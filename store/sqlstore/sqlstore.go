// Package sqlstore keeps everything in PostgreSQL, MySQL, MariaDB or SQLite,
// through database/sql. It imports no driver: the host opens the database with
// the one it likes and says which dialect it speaks.
//
//	db, err := sql.Open("pgx", dsn)
//	database, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
//	err = database.Migrate(ctx) // at start, by every replica
//	srv, err := oauth.New(database.Store(), ...)
//
// A change, its event, its one-time id, its epoch and its notice are one
// transaction, at the isolation that the database has by default (PostgreSQL:
// read committed, whatever default was set). What a deadlock or a serialization
// failure undid is tried again; a commit whose outcome is unknown is never
// repeated but reported as store.ErrUnavailable. Reads that decide something are
// refused by a server that follows another one.
//
// Texts are UTF-8 without a zero byte; others are an error.
//
// # Round trips
//
// Once a connection was checked and, on PostgreSQL, has prepared what it sends, a
// call takes, by itself and with a one-time id and three preconditions:
//
//	                         PostgreSQL   MySQL, MariaDB
//	look-up, epochs              1             1
//	create                       4          10 to 13
//	update, rotate, disable      4           7 to 13
//	delete                       4          11 to 14
//	settings                     4           8 to 13
//	delete a workspace           4          11 to 16
//	revoke a token               3             5
//
// On MySQL each further event and each change of a maker takes one more. SQLite has
// none.
//
// # PostgreSQL
//
// Version 11 or later, in a database of encoding UTF8. Tested with pgx, whose
// statement cache the numbers above are for. Config.Listen makes notices arrive
// at once.
//
// # MySQL and MariaDB
//
// MySQL 8 or MariaDB 10.6, or later, with the go-sql-driver, whose data source's name
// must set interpolateParams=true: without it each statement would be prepared first.
// Tested with MariaDB 10.11; what is said of MySQL 8 is from its manual.
//
// # Galera
//
// The nodes of a Galera cluster of MariaDB may all take changes (tested with three
// of MariaDB 10.11). A key that was disabled through one node is refused through
// all of them once the call has returned: each query waits until its node has what
// the cluster has committed. The nodes compare what transactions wrote, so a change
// writes what it rests on.
//
//	set    wsrep_sync_wait of the session and of each query, 7
//	set    idle_transaction_timeout of the session, 2 s
//	yours  binlog_format=ROW and innodb_autoinc_lock_mode=2, which Galera asks for
//	yours  wsrep_sst_method=mariabackup: with rsync, a node that hands its data to
//	       one that joins commits nothing meanwhile
//	yours  three nodes or more: of two, each is cut off without the other
//	yours  in wsrep_provider_options, how long a silent node stops all calls:
//	       evs.suspect_timeout=PT1.5S and evs.inactive_timeout=PT3S, with
//	       evs.keepalive_period=PT0.3S and evs.inactive_check_period=PT0.2S, let
//	       the others go on after 1.8 to 2.2 s when one is killed, frozen or
//	       cut off. With Galera's defaults up to 25 s were seen
//
// A node that is cut off from the primary component answers store.ErrUnavailable,
// and its connections are closed: let new ones lead to any node. A proxy must check
// nodes by reading a table, since a ping and SELECT 1 succeed on a node that was
// cut off. It serves again, by the same pool, once it has what the others have. Of
// changes that it was about to commit nobody knows whether they were made.
//
// One row gives all changes their numbers. So changes at the same time through
// several nodes conflict, and one that lost is tried again, 100 times at most. On
// two busy processors, with three nodes and their clients:
//
//	through one node, 1 client         500 changes a second
//	through three, 1 client at each    290, each tried 2.3 times
//	through three, 8 clients at each   250 to 280, each tried 3.3 times; of 100,
//	                                   one takes more than half a second
//
// For more changes let all replicas use one node, and another one when it fails.
// Look-ups may go to any node.
//
// # Other distributed databases
//
// None of these is supported or tested. As far as we know, they would need:
//
//	CockroachDB  Its advisory locks lock nothing: Migrate needs a row, as on
//	             Galera. No LISTEN and no pg_notify, which each change calls
//	             here: polling only. Any statement may fail with 40001, which is
//	             tried again already. The row with the numbers is a hot row.
//	YugabyteDB   READ COMMITTED must be switched on; without it far more changes
//	             are tried again. Advisory locks only in new releases, LISTEN in
//	             none or as a preview. The same hot row.
//	TiDB         A bound like idle_transaction_timeout under a name of its own;
//	             no stale and no follower reads; GET_LOCK of a recent release.
//	             Its error codes for retries and unknown outcomes are not known
//	             here. The same hot row.
//	Vitess       An unsharded keyspace: a change would span shards, which commit
//	             one after another. GET_LOCK and SET need reserved connections.
//	Aurora       One server takes writes, so it is PostgreSQL or MySQL with a
//	             failover: use the cluster endpoint. Readers are refused as
//	             standbys are. LISTEN only at the writer.
//
// # SQLite
//
// Version 3.35 or later, in WAL mode, with a busy timeout and synchronous FULL
// (or EXTRA), so that what was acknowledged survives a loss of power. Migrate
// and the first call refuse a connection without them. With modernc.org/sqlite:
//
//	file:keys.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)
//
// The writers of one Database wait for one another within the process, those
// of several processes for the lock of the file; readers wait for nobody. The
// file must lie on a local disk. For memory alone there is package memstore.
//
// # Sessions
//
// What a session's settings change in the meaning of statements is set or checked
// on each connection, or of no effect:
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
//	  refused   autocommit off; completion_type but NO_CHAIN; READ UNCOMMITTED
//	  refused   an sql_mode without STRICT_TRANS_TABLES or STRICT_ALL_TABLES, or
//	            with ORACLE, EMPTY_STRING_IS_NULL or SIMULTANEOUS_ASSIGNMENT;
//	            sql_select_limit
//	  refused   a driver that does not interpolate; a character_set_client other than
//	            utf8mb4 and utf8mb3
//	  refused   read-only sessions and servers
//	  no matter time zone, other character sets, other modes, other isolations
//	  yours     innodb_flush_log_at_trx_commit=1 and sync_binlog=1, without which
//	            a server that loses power loses what was acknowledged
//	SQLite
//	  refused   journal_mode but WAL, synchronous below FULL, no busy_timeout
//
// Each connection is checked before its first use, with one to three round trips,
// but for look-ups and epochs, whose answers of MySQL say themselves whether
// autocommit is on. The one setting that MariaDB's sessions get is meant for a pool
// of Latchkey's own; it ends a transaction of the host's that stands still, too.
//
// A client that vanishes in the middle of a change holds others up for two seconds
// on PostgreSQL and MariaDB, since the server then ends its transaction. In
// Migrate that is so on MySQL, too. For changes MySQL has no such setting: there a
// vanished client holds its locks until wait_timeout (eight hours by default) or
// until TCP gives up. Set wait_timeout, say to 60, and let connections end before
// that (SetConnMaxIdleTime).
//
// # Servers and failover
//
// Changes and reads that decide something need the server that takes writes. One
// that is read-only, or follows another one, is answered with store.ErrUnavailable,
// and its connections are closed: the next ones lead to wherever the host's
// settings then lead. Let them lead to the server that takes writes:
// target_session_attrs=read-write with several hosts in a data source's name of
// pgx or lib/pq, rejectReadOnly=true with go-sql-driver, or a proxy that follows
// the failover. A replica of MySQL must have read_only set: nothing else tells it
// from the server it follows. An asynchronous replica that takes over has not got
// the last changes.
//
// The clock of the limiter and of what is collected is the server's; that of
// SQLite is the machine's. Servers that may take over one from another must keep
// time.
//
// # Connection poolers
//
// PgBouncer and its like work in session mode with any settings. In transaction
// mode set default_query_exec_mode=exec (or simple_protocol, or cache_describe) for
// pgx, whose default fails there unless the pooler keeps prepared statements
// (PgBouncer from 1.21 with max_prepared_statements). Set binary_parameters=yes for
// lib/pq: without it statements of different clients are mixed up. Statement mode
// does not work. search_path cannot stand in the data source's name then: set it
// with ALTER ROLE or ALTER DATABASE. LISTEN does not work through a pooler in
// transaction mode: give Config.Listen a connection that goes to the server.
//
// # For operators
//
// The views latchkey_keys_view, latchkey_workspaces_view and
// latchkey_events_view show texts, and times in UTC or with their zone; a time
// that is not set is NULL. They show no digest. Joined to a table of the host's:
//
//	SELECT t.title, k.id, k.name, k.created
//	FROM teams t JOIN latchkey_keys_view k ON k.workspace = t.id
//
// On MySQL: ON k.workspace = t.id COLLATE utf8mb4_bin. In the tables themselves,
// which are no interface and change with releases, instants are microseconds
// since 1970, and texts are bytes except on PostgreSQL.
package sqlstore

import (
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

// Config says how a Database works. The zero value is for production.
type Config struct {
	// Prefix begins the name of every table. Empty means "latchkey_";
	// otherwise 1 to 32 characters a-z, 0-9 and _, the first of them a letter.
	Prefix string
	// Listen, for PostgreSQL only, waits for notifications, which makes a
	// Watch read at once. It must issue LISTEN with the given channel on a
	// connection of its own, call ready, and then notify for each
	// notification, until ctx ends or the connection breaks; it returns why.
	// Each Watch calls it again after a pause. Whatever it does, nothing is
	// lost and nothing comes later than 50 ms. Nil: polling only.
	Listen func(ctx context.Context, channel string, ready, notify func()) error
}

const defaultPrefix = "latchkey_"

// Database is Latchkey's tables in a database. It is safe for concurrent use.
type Database struct {
	pool       *sql.DB
	dialect    Dialect
	config     Config
	words      *strings.Replacer
	translated sync.Map // of texts
	migrations [][]string

	// checked says that the schema was found to be ours; the frequent queries are
	// prepared before and never changed after.
	checked        atomic.Bool
	checking       chan struct{} // a lock
	galera         atomic.Bool   // a connection led to a node of a Galera cluster
	lookup, epochs frequent

	writer  chan struct{} // SQLite: a lock, held while writing
	stripes [stripes]lane
	feed    lane
	// fit holds the connections whose settings were found fit, by the value that
	// their driver knows them by, and sessions is how many there are.
	fit      sync.Map
	sessions atomic.Int64
	dropping sync.Mutex // held while dropReadOnly looks through the pool
	wakes    wakes
	sweeps   sweeps
}

// New returns the tables in db, which stays the host's to tune and to close.
// It reads nothing yet: call Migrate before the first use.
func New(db *sql.DB, dialect Dialect, cfg Config) (*Database, error) {
	var problems []error
	if db == nil {
		problems = append(problems, errors.New("db: is missing"))
	}
	if !dialect.known() {
		problems = append(problems, errors.New("dialect: must be PostgreSQL, MySQL or SQLite"))
	}
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	} else if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`).MatchString(cfg.Prefix) {
		problems = append(problems, errors.New("Config.Prefix: must have 1 to 32 characters a-z, 0-9 and _ and begin with a letter"))
	}
	if cfg.Listen != nil && dialect != PostgreSQL {
		problems = append(problems, errors.New("Config.Listen: is for PostgreSQL only"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	d := &Database{
		pool: db, dialect: dialect, config: cfg, words: dialect.words(cfg.Prefix), migrations: migrations(dialect, cfg.Prefix),
		checking: make(chan struct{}, 1), writer: make(chan struct{}, 1), feed: make(lane, 1),
	}
	for i := range d.stripes {
		d.stripes[i] = make(lane, 1)
	}
	return d, nil
}

// Store returns the store, with every field but Cached set. Its signing keys
// are durable.
func (d *Database) Store() store.Store {
	return store.Store{
		Records: store.Records{
			Keys:     &keyTable{d},
			Upkeep:   &upkeep{d},
			Settings: &settings{d},
			Events:   &eventLog{d},
			Epochs:   &epochs{d},
			OnceIDs:  &onceIDs{d},
			Lists:    &lists{d},
			Watch:    &watch{d},
		},
		SigningKeys: &signingKeys{d},
		Usage:       &usage{d},
		Limiter:     &limiter{d},
	}
}
