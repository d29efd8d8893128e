package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// An outage is ErrUnavailable. The error has the cause, but no address and no query.
func TestOutageErrorsRevealNothing(t *testing.T) {
	ctx := context.Background()
	for _, try := range []struct {
		name, driver, source string
		dialect              sqlstore.Dialect
		reason               string
	}{
		{"PostgreSQL", "pgx", "postgres://someone:hunter2@127.0.0.1:1/secretdb?sslmode=disable", sqlstore.PostgreSQL, "connection refused"},
		{"MySQL", "mysql", "someone:hunter2@tcp(127.0.0.1:1)/secretdb", sqlstore.MySQL, "connection refused"},
		{"SQLite", "sqlite", sqliteSource(filepath.Join(t.TempDir(), "secretdb", "keys.db")), sqlstore.SQLite, "error 14"},
	} {
		t.Run(try.name, func(t *testing.T) {
			d, err := sqlstore.New(dial(t, try.driver, try.source), try.dialect, sqlstore.Config{})
			require.NoError(t, err)
			s := d.Store()
			_, lookup := s.Keys.Lookup(ctx, "key-1")
			for what, err := range map[string]error{
				"migrate": d.Migrate(ctx), "look-up": lookup,
				"create": s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1")),
				"watch":  s.Watch.Watch(ctx, func() { t.Error("ready") }, func(store.Notification) {}),
				"spend":  s.OnceIDs.Spend(ctx, store.OnceID{ID: "id", Expires: noon}, noon),
			} {
				require.ErrorIs(t, err, store.ErrUnavailable, what)
				require.ErrorContains(t, err, try.reason, what)
				for _, secret := range []string{"127.0.0.1", "hunter2", "someone", "secretdb", "SELECT", "INSERT", "key-1"} {
					require.NotContains(t, err.Error(), secret, what)
				}
			}
		})
	}
}

func TestAReadOnlyServerIsUnavailable(t *testing.T) {
	e := engines[0]
	driver, source := e.space(t)
	e.tables(t, dial(t, driver, source), sqlstore.Config{})
	db := dial(t, driver, postgresWith("default_transaction_read_only=on")(t, source))
	d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
	require.NoError(t, err)
	_, err = d.Store().Keys.Lookup(context.Background(), "key-1")
	require.ErrorIs(t, err, store.ErrNotFound)
	err = d.Store().Keys.Create(context.Background(), key("team-a", "key-1"), store.NoLimit, store.Change{})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorContains(t, err, "SQLSTATE 25006")
}

// A commit whose answer is lost may have succeeded. The error says so, comes within the
// caller's deadline, and the commit is not repeated.
func TestACommitOfUnknownOutcome(t *testing.T) {
	// MySQL's answer is an OK packet with the status that no transaction is open.
	answers := []string{"COMMIT", "\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"}
	for i, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			driver, source := e.space(t)
			proxy, through := behind(t, driver, source)
			db := dial(t, driver, through)
			s := e.tables(t, db, sqlstore.Config{}).Store()
			witness := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
			require.NoError(t, s.Keys.Create(context.Background(), key("team-a", "key-1"), store.NoLimit, event("event-1")))
			idle := func() bool { return db.Stats().InUse == 0 }
			require.Eventually(t, idle, patience, time.Millisecond)

			proxy.DropNext(answers[i])
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			made := make(chan error, 1)
			go func() { made <- s.Keys.Create(ctx, key("team-a", "key-2"), store.NoLimit, event("event-2")) }()
			var err error
			select {
			case err = <-made:
			case <-time.After(patience):
				require.Fail(t, "the call did not end with its context")
			}
			require.Equal(t, 1, proxy.Dropped())
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "it is unknown whether the change was written")
			found, err := witness.Keys.Lookup(context.Background(), "key-2")
			require.NoError(t, err)
			require.Equal(t, 2, found.Workspace.Keys, "the change was made once")
			require.Equal(t, []string{"event-1", "event-2"}, events(t, witness))
			require.Eventually(t, idle, patience, time.Millisecond, "no connection is kept")
		})
	}
}

// Connections that broke are replaced, whatever they were doing.
func TestBrokenConnections(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			driver, source := e.space(t)
			proxy, source := behind(t, driver, source)
			db := dial(t, driver, source)
			s := e.tables(t, db, sqlstore.Config{}).Store()
			ctx := context.Background()
			made := []string{}
			for i := range 20 {
				proxy.CutAfter(37 * i)
				name := fmt.Sprintf("key-%02d", i)
				err := s.Keys.Create(ctx, key("team-a", name), store.NoLimit, event(name))
				if err == nil {
					made = append(made, name)
					continue
				}
				require.ErrorIs(t, err, store.ErrUnavailable)
				require.Eventually(t, func() bool {
					_, err := s.Keys.List(ctx, store.KeyQuery{})
					return err == nil
				}, patience, time.Millisecond)
			}
			proxy.CutAfter(1 << 30)
			page, err := s.Keys.List(ctx, store.KeyQuery{})
			require.NoError(t, err)
			there := []string{}
			for _, k := range page.Keys {
				there = append(there, k.ID)
			}
			require.Subset(t, there, made, "acknowledged changes are not lost")
			require.ElementsMatch(t, there, events(t, s), "each change has its event")
			w, err := s.Settings.Workspace(ctx, "team-a")
			require.NoError(t, err)
			require.Len(t, there, w.Keys)
			require.Eventually(t, func() bool { return db.Stats().InUse == 0 }, patience, time.Millisecond, "no connection is kept")
		})
	}
}

// Conflicts of two transactions are distinguished from permanent errors.
func TestRetryableErrors(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		driver, source := e.space(t)
		db := dial(t, driver, source)
		retryable := triedAgain(t, e, driver, source)
		_, err := db.ExecContext(ctx, "CREATE TABLE pair (id INTEGER PRIMARY KEY, n INTEGER)")
		require.NoError(t, err)
		_, err = db.ExecContext(ctx, "INSERT INTO pair VALUES (1, 0), (2, 0)")
		require.NoError(t, err)
		_, err = db.ExecContext(ctx, "INSERT INTO pair VALUES (1, 0)")
		require.Error(t, err)
		require.False(t, retryable(err), "a duplicate")
		_, err = db.ExecContext(ctx, "nonsense")
		require.False(t, retryable(err), "nonsense")

		if e.dialect == sqlstore.SQLite {
			one, two := begin(t, db, "BEGIN IMMEDIATE"), begin(t, db, "PRAGMA busy_timeout = 0")
			_, busy := two.ExecContext(ctx, "BEGIN IMMEDIATE")
			_, err = one.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)
			require.True(t, retryable(busy), busy)
			return
		}
		one, two := begin(t, db, "BEGIN"), begin(t, db, "BEGIN")
		for c, id := range map[*sql.Conn]int{one: 1, two: 2} {
			_, err = c.ExecContext(ctx, fmt.Sprint("UPDATE pair SET n = 1 WHERE id = ", id))
			require.NoError(t, err)
		}
		var crossed [2]error
		var both sync.WaitGroup
		for i, c := range []*sql.Conn{one, two} {
			both.Go(func() {
				_, crossed[i] = c.ExecContext(ctx, fmt.Sprint("UPDATE pair SET n = 2 WHERE id = ", 2-i))
			})
		}
		both.Wait()
		victims := 0
		for _, err := range crossed {
			if err != nil {
				require.True(t, retryable(err), err)
				victims++
			}
		}
		require.Equal(t, 1, victims)
		for _, c := range []*sql.Conn{one, two} {
			_, err = c.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)
		}
		waits := map[sqlstore.Dialect]string{
			sqlstore.PostgreSQL: "BEGIN ISOLATION LEVEL SERIALIZABLE", sqlstore.MySQL: "SET innodb_lock_wait_timeout = 1",
		}[e.dialect]
		two = begin(t, db, waits)
		_, err = two.ExecContext(ctx, "SELECT 1 FROM pair")
		require.NoError(t, err)
		one = begin(t, db, "BEGIN")
		_, err = one.ExecContext(ctx, "UPDATE pair SET n = 3")
		require.NoError(t, err)
		if e.dialect == sqlstore.PostgreSQL {
			_, err = one.ExecContext(ctx, "COMMIT")
			require.NoError(t, err)
		}
		_, err = two.ExecContext(ctx, "UPDATE pair SET n = 4")
		require.True(t, retryable(err), err)
		for _, c := range []*sql.Conn{one, two} {
			_, err = c.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)
		}
	})
}

// triedAgain returns a function that reports whether a change is retried after an attempt
// failed with the given error of the database.
func triedAgain(t *testing.T, e engine, driver, source string) func(err error) bool {
	t.Helper()
	db, p := tapped(t, driver, source)
	s := e.tables(t, db, sqlstore.Config{}).Store()
	return func(err error) bool {
		t.Helper()
		require.Error(t, err)
		p.refuse(err)
		err = s.Settings.SetInstance(context.Background(), store.InstanceSettings{}, store.Change{Now: noon})
		require.NoError(t, p.refused(), "the attempt was made")
		if errors.Is(err, store.ErrUnavailable) {
			return false
		}
		require.True(t, err == nil || errors.Is(err, store.ErrConflict), "%v", err)
		return true
	}
}

func begin(t *testing.T, db *sql.DB, statement string) *sql.Conn {
	t.Helper()
	c, err := db.Conn(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = c.ExecContext(context.Background(), statement)
	require.NoError(t, err)
	return c
}

// A text that is too long gives the same error on every database, and is not truncated.
func TestTextsThatDoNotFit(t *testing.T) {
	ctx := context.Background()
	long := strings.Repeat("x", 1025)
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		widest := key(long[1:], long[:255])
		widest.Name, widest.CreatedBy.ID, widest.Credentials[0].ID = long[1:], long[1:], long[:255]
		require.NoError(t, s.Keys.Create(ctx, widest, store.NoLimit, store.Change{}))
		found, err := s.Keys.Lookup(ctx, widest.ID)
		require.NoError(t, err)
		require.Equal(t, widest.Name+widest.Workspace, found.Key.Name+found.Key.Workspace)

		for name, change := range map[string]func(k *store.Key){
			"id":        func(k *store.Key) { k.ID = long[:256] },
			"workspace": func(k *store.Key) { k.Workspace = long },
			"name":      func(k *store.Key) { k.Name = long },
			"secret":    func(k *store.Key) { k.Credentials[0].ID = long[:256] },
			"expiry":    func(k *store.Key) { k.NotAfterText = long },
			"creator":   func(k *store.Key) { k.CreatedBy.ID = long },
		} {
			k := key("team-a", "key-1")
			change(&k)
			for _, err := range []error{s.Keys.Create(ctx, k, store.NoLimit, store.Change{}), s.Keys.Update(ctx, k, store.Change{})} {
				require.ErrorContains(t, err, "bytes", name)
				require.NotErrorIs(t, err, store.ErrUnavailable, name)
			}
		}
		for name, err := range map[string]error{
			"event":         s.Events.Append(ctx, store.Event{ID: long}),
			"change":        s.Settings.SetInstance(ctx, store.InstanceSettings{}, store.Change{Events: []store.Event{{ID: "e", Workspace: long}}}),
			"settings":      s.Settings.SetWorkspace(ctx, store.Workspace{ID: long}, store.Change{}),
			"deletion":      s.Settings.DeleteWorkspace(ctx, long, noon, store.Change{}),
			"usage":         s.Usage.Add(ctx, []store.Count{{Key: long, Logins: 1}}),
			"negative step": thirdResult(s.Limiter.Advance(ctx, "id", noon, -1, time.Second)),
		} {
			require.Error(t, err, name)
			require.NotErrorIs(t, err, store.ErrUnavailable, name)
		}
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_keys"))
	})
}

// thirdResult returns the error of a call with three results.
func thirdResult(_ time.Duration, _ bool, err error) error { return err }

// lateDriver opens SQLite connections on which BEGIN succeeds once but returns an error,
// as if the context had ended at the same moment.
type lateDriver struct {
	below  driver.Driver
	source string
	late   atomic.Bool
}

func (d *lateDriver) Driver() driver.Driver { return d.below }

func (d *lateDriver) Connect(context.Context) (driver.Conn, error) {
	c, err := d.below.Open(d.source)
	return lateConn{c, d}, err
}

type lateConn struct {
	driver.Conn
	d *lateDriver
}

func (c lateConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	done, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if err == nil && query == "BEGIN IMMEDIATE" && c.d.late.CompareAndSwap(true, false) {
		return nil, context.DeadlineExceeded
	}
	return done, err
}

func (c lateConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
}

// A context may end at the moment at which a transaction begins. The transaction is
// rolled back, and does not block others.
func TestContextEndsDuringBegin(t *testing.T) {
	e := engines[2]
	name, source := e.space(t)
	plain := dial(t, name, source)
	late := &lateDriver{below: plain.Driver(), source: source}
	db := sql.OpenDB(late)
	defer db.Close()
	s := e.tables(t, db, sqlstore.Config{}).Store()
	other := e.tables(t, plain, sqlstore.Config{}).Store()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	late.late.Store(true)
	err := s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.False(t, late.late.Load())
	require.Zero(t, db.Stats().InUse)
	require.NoError(t, other.Keys.Create(ctx, key("team-a", "key-2"), store.NoLimit, event("event-2")))
	require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1")))

	late.late.Store(true)
	fresh, err := sqlstore.New(db, e.dialect, sqlstore.Config{Prefix: "fresh_"})
	require.NoError(t, err)
	require.ErrorIs(t, fresh.Migrate(ctx), context.DeadlineExceeded)
	require.NoError(t, other.Keys.Create(ctx, key("team-a", "key-3"), store.NoLimit, event("event-3")))
	require.NoError(t, fresh.Migrate(ctx))
}

// A change whose context ends between two statements is rolled back at once. Its
// connection does not return to the pool with its locks.
func TestContextEndsBetweenStatements(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		name, source := e.space(t)
		db, p := tapped(t, name, source)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		other := e.tables(t, dial(t, name, source), sqlstore.Config{}).Store()
		ctx, leave := context.WithCancel(context.Background())
		p.mu.Lock()
		p.seen = func(text string) {
			if strings.Contains(text, "INSERT") && strings.Contains(text, "INTO latchkey_keys") {
				leave()
			}
		}
		p.mu.Unlock()
		err := s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1"))
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		soon, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for i, by := range []store.Store{other, s, other, s} {
			id := fmt.Sprint("key-", i+2)
			require.NoError(t, by.Keys.Create(soon, key("team-a", id), store.NoLimit, event(id)))
		}
		_, err = other.Keys.Lookup(soon, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		w, err := other.Settings.Workspace(soon, "team-a")
		require.NoError(t, err)
		require.Equal(t, 4, w.Keys)
	})
}
