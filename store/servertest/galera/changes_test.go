package galera_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// stream is a Watch that runs until the test ends.
type stream struct {
	notifications chan store.Notification
	ended         chan error
}

func watch(t *testing.T, s store.Store) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &stream{make(chan store.Notification, 100_000), make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		w.ended <- s.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notification) { w.notifications <- n })
	}()
	t.Cleanup(cancel)
	select {
	case <-ready:
	case err := <-w.ended:
		t.Fatal("the stream ended before it was ready: ", err)
	case <-time.After(patience):
		t.Fatal("the stream is not ready")
	}
	return w
}

// follow returns a Watch that is called again when it ends. It may end when a node fails
// and the others do not answer for longer than a stream's timeout.
func follow(t *testing.T, s store.Store) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &stream{make(chan store.Notification, 100_000), make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		first := func() { close(ready) }
		for ctx.Err() == nil {
			err := s.Watch.Watch(ctx, first, func(n store.Notification) { w.notifications <- n })
			if !errors.Is(err, store.ErrUnavailable) {
				w.ended <- err
				return
			}
			first = func() {}
			w.notifications <- store.Notification{Kind: again}
		}
	}()
	<-ready
	return w
}

// again separates the notifications of two calls of Watch.
const again store.NotificationKind = 255

// through reads the notifications of follow up to a number, and fails on a gap. Changes
// between two calls show in the number with which the next call begins.
func (w *stream) through(t *testing.T, head int) {
	t.Helper()
	deadline := time.After(patience)
	last, begins := uint64(0), true
	for last < uint64(head) {
		select {
		case next := <-w.notifications:
			switch {
			case next.Kind == again:
				begins = true
			case begins:
				require.Equal(t, store.NotificationHeartbeat, next.Kind)
				require.GreaterOrEqual(t, next.Sequence, last)
				last, begins = next.Sequence, false
			case next.Kind == store.NotificationHeartbeat:
				require.Equal(t, last, next.Sequence)
			default:
				require.Equal(t, last+1, next.Sequence)
				last = next.Sequence
			}
		case <-deadline:
			t.Fatalf("change %d of %d", last, head)
		}
	}
	require.EqualValues(t, head, last)
}

// changes returns the next n changes, and fails on a gap.
func (w *stream) changes(t *testing.T, n int) (all []store.Notification) {
	t.Helper()
	deadline := time.After(patience)
	last := (<-w.notifications).Sequence
	for len(all) < n {
		select {
		case next := <-w.notifications:
			if next.Kind == store.NotificationHeartbeat {
				require.Equal(t, last, next.Sequence)
				continue
			}
			require.Equal(t, last+1, next.Sequence)
			last = next.Sequence
			all = append(all, next)
		case err := <-w.ended:
			t.Fatal("the stream ended: ", err)
		case <-deadline:
			t.Fatalf("%d changes of %d", len(all), n)
		}
	}
	return all
}

// Concurrent changes through all nodes conflict, since each takes the next number. All
// succeed, and the streams of all nodes have all of them in one order, without a gap.
func TestChangesThroughAllNodes(t *testing.T) {
	g := cluster(t)
	stores := open(t, g)
	const each = 100
	var streams []*stream
	for _, s := range stores {
		streams = append(streams, watch(t, s))
	}
	refused, aborted := status(t, g, "wsrep_local_cert_failures"), status(t, g, "wsrep_local_bf_aborts")
	begun := time.Now()
	errs := make([]error, nodes)
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() {
			ctx := within(t, patience)
			for n := 0; n < each && errs[i] == nil; n++ {
				id := fmt.Sprintf("key-%d-%d", i, n)
				errs[i] = s.Keys.Create(ctx, key(fmt.Sprint("team-", i), id), store.NoLimit, event(id))
			}
		})
	}
	all.Wait()
	took := time.Since(begun)
	for _, err := range errs {
		require.NoError(t, err)
	}
	refused, aborted = status(t, g, "wsrep_local_cert_failures")-refused, status(t, g, "wsrep_local_bf_aborts")-aborted
	t.Logf("%d changes in %s, %.0f a second; %d refused at COMMIT, %d aborted before", nodes*each, took,
		nodes*each/took.Seconds(), refused, aborted)
	require.Positive(t, refused+aborted, "there was no conflict, so the test is not valid")
	first := streams[0].changes(t, nodes*each)
	for _, w := range streams[1:] {
		require.Equal(t, first, w.changes(t, nodes*each))
	}
	for i := range nodes {
		db := dial(t, g.DSN(i))
		require.Equal(t, nodes*each, count(t, db, "SELECT COUNT(*) FROM latchkey_keys"))
		require.Equal(t, nodes*each, count(t, db, "SELECT COUNT(*) FROM latchkey_events"))
	}
}

// A change that conflicts with others on a new connection is not committed in part.
func TestConflictsOnNewConnections(t *testing.T) {
	g := cluster(t)
	db := dial(t, g.DSN(0))
	for range 30 {
		stores := open(t, g)
		ctx := within(t, patience)
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				id := fmt.Sprint("key-", i)
				err := stores[i%nodes].Keys.Create(ctx, key("team-a", id), 3, store.Change{Now: noon})
				if errors.Is(err, store.ErrLimit) {
					return
				}
				if err == nil {
					err = stores[(i+1)%nodes].Keys.Delete(ctx, "team-a", id, 0, noon, store.Change{Now: noon})
				}
				if err != nil {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		all.Wait()
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM latchkey_keys"))
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM latchkey_creators"))
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM latchkey_credentials"))
		require.Zero(t, count(t, db, "SELECT held FROM latchkey_workspaces"))
		require.Equal(t, count(t, db, "SELECT seq FROM latchkey_feed"), 2*count(t, db, "SELECT COUNT(*) FROM latchkey_tombstones"))
	}
}

// A conflict may appear at any statement; here at one that waits for a row.
func TestConflictAtAStatement(t *testing.T) {
	g := cluster(t)
	stores := open(t, g)
	ctx := within(t, patience)
	host, err := dial(t, g.DSN(0)).BeginTx(ctx, nil)
	require.NoError(t, err)
	defer host.Rollback()
	_, err = host.ExecContext(ctx, "INSERT INTO latchkey_notices (seq, kind, workspace, key_id, token) VALUES (1, 1, '', '', '')")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- stores[0].Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("event-1")) }()
	waits(ctx, t, dial(t, g.DSN(0)))
	aborted := status(t, g, "wsrep_local_bf_aborts")
	require.NoError(t, stores[1].Keys.Create(ctx, key("team-b", "key-2"), store.NoLimit, event("event-2")))
	require.NoError(t, <-done)
	require.Greater(t, status(t, g, "wsrep_local_bf_aborts"), aborted)
	require.Equal(t, 2, count(t, dial(t, g.DSN(2)), "SELECT COUNT(*) FROM latchkey_events"))
	require.Equal(t, 2, count(t, dial(t, g.DSN(2)), "SELECT seq FROM latchkey_feed"))
}

// waits returns when a transaction waits for a row.
func waits(ctx context.Context, t *testing.T, db *sql.DB) {
	t.Helper()
	for waiting := 0; waiting == 0; {
		err := db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'").Scan(new(string), &waiting)
		require.NoError(t, err)
	}
}

// Every connection to a node reads what the cluster has committed, and its transaction
// ends when the client is idle.
func TestSessions(t *testing.T) {
	g := cluster(t)
	db := dial(t, g.DSN(1))
	db.SetMaxOpenConns(1)
	s := migrated(t, db, sqlstore.Config{})
	wipe(t, db)
	require.NoError(t, s.Keys.Create(within(t, patience), key("team-a", "key-1"), store.NoLimit, event("event-1")))
	var sync, idle int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT @@wsrep_sync_wait, @@idle_transaction_timeout").Scan(&sync, &idle))
	require.Equal(t, 7, sync)
	require.Equal(t, 2, idle)
}
