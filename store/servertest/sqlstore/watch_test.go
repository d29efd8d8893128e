package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// stream is a Watch that runs until the test ends.
type stream struct {
	notifications chan store.Notification
	ended         chan error
	cancel        context.CancelFunc
}

func watch(t *testing.T, s store.Store) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &stream{make(chan store.Notification, 10_000), make(chan error, 1), cancel}
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

// until returns the first notification for which ok is true.
func (w *stream) until(t *testing.T, ok func(store.Notification) bool) store.Notification {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case n := <-w.notifications:
			if ok(n) {
				return n
			}
		case err := <-w.ended:
			t.Fatal("the stream ended: ", err)
		case <-deadline:
			t.Fatal("the expected notification did not come")
		}
	}
}

func (w *stream) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the stream does not end")
		return nil
	}
}

func isChange(n store.Notification) bool    { return n.Kind != store.NotificationHeartbeat }
func isHeartbeat(n store.Notification) bool { return n.Kind == store.NotificationHeartbeat }

// raise makes n changes.
func raise(t *testing.T, s store.Store, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, s.Epochs.Revoke(context.Background(), fmt.Sprint("token-", i), noon, noon))
	}
}

// The changes of another process come by polling, all of them and in order.
func TestWatchAcrossProcesses(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		stores, _ := replicas(t, e, 2)
		w := watch(t, stores[0])
		first := w.until(t, isHeartbeat)
		raise(t, stores[1], 1200) // more than one read returns
		for i := range 1200 {
			require.Equal(t, first.Sequence+uint64(i)+1, w.until(t, isChange).Sequence)
		}
		require.Equal(t, first.Sequence+1200, w.until(t, isHeartbeat).Sequence)
	})
}

func TestWatchReportsLoss(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		t.Run("a removed notification shows as a gap", func(t *testing.T) {
			hold, at := make(chan struct{}), make(chan store.Notification, 100)
			ctx, cancel := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() {
				ended <- s.Watch.Watch(ctx, func() {}, func(n store.Notification) { at <- n; <-hold })
			}()
			require.Zero(t, (<-at).Sequence)
			raise(t, s, 5)
			_, err := db.ExecContext(ctx, "DELETE FROM latchkey_notices WHERE seq < 4")
			require.NoError(t, err)
			close(hold)
			require.Equal(t, uint64(4), (<-at).Sequence, "1 to 3 were lost")
			require.Equal(t, uint64(5), (<-at).Sequence)
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
		t.Run("the loss of the last notification shows in the heartbeat", func(t *testing.T) {
			wipe(t, db)
			_, err := db.ExecContext(ctx, "UPDATE latchkey_feed SET seq = 7")
			require.NoError(t, err)
			w := watch(t, s)
			require.Equal(t, uint64(7), w.until(t, isHeartbeat).Sequence)
			_, err = db.ExecContext(ctx, "UPDATE latchkey_feed SET seq = 8")
			require.NoError(t, err)
			w.until(t, func(n store.Notification) bool { return isHeartbeat(n) && n.Sequence == 8 })
		})
		t.Run("the stream ends if its numbers go backwards", func(t *testing.T) {
			wipe(t, db)
			raise(t, s, 3)
			w := watch(t, s)
			w.until(t, isHeartbeat)
			_, err := db.ExecContext(ctx, "UPDATE latchkey_feed SET seq = 2")
			require.NoError(t, err)
			require.ErrorIs(t, w.end(t), store.ErrUnavailable)
		})
		t.Run("old notifications are removed, the latest are kept", func(t *testing.T) {
			wipe(t, db)
			raise(t, s, 20)
			_, err := db.ExecContext(ctx, fmt.Sprint("UPDATE latchkey_feed SET seq = ", maxNotifications))
			require.NoError(t, err)
			for range sweepEvery {
				raise(t, s, 1)
			}
			require.Equal(t, sweepEvery, count(t, db, "SELECT COUNT(*) FROM latchkey_notices"))
			require.Equal(t, maxNotifications+1, count(t, db, "SELECT MIN(seq) FROM latchkey_notices"))
		})
	})
}

// listenWithPgx returns a Config.Listen as a host would write it.
func listenWithPgx(source string) func(ctx context.Context, channel string, ready, notify func()) error {
	return func(ctx context.Context, channel string, ready, notify func()) error {
		conn, err := pgx.Connect(ctx, source)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
		ready()
		for {
			if _, err := conn.WaitForNotification(ctx); err != nil {
				return err
			}
			notify()
		}
	}
}

func TestListen(t *testing.T) {
	e := engines[0]
	t.Run("each change of another process is notified", func(t *testing.T) {
		driver, source := e.space(t)
		other := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
		listening, notified := make(chan struct{}, 10), make(chan struct{}, 100)
		listen := listenWithPgx(source)
		d := e.tables(t, dial(t, driver, source), sqlstore.Config{
			Listen: func(ctx context.Context, channel string, ready, notify func()) error {
				return listen(ctx, channel, func() { ready(); listening <- struct{}{} }, func() { notify(); notified <- struct{}{} })
			},
		})
		w := watch(t, d.Store())
		<-listening
		for i := range 20 {
			raise(t, other, 1)
			select {
			case <-notified:
			case <-time.After(patience):
				t.Fatal("no notification")
			}
			require.Equal(t, uint64(i)+1, w.until(t, isChange).Sequence)
		}
		w.cancel()
		require.ErrorIs(t, w.end(t), context.Canceled)
	})
	t.Run("changes before it listened are read, too", func(t *testing.T) {
		driver, source := e.space(t)
		other := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
		begin := make(chan struct{})
		listen := listenWithPgx(source)
		d := e.tables(t, dial(t, driver, source), sqlstore.Config{
			Listen: func(ctx context.Context, channel string, ready, notify func()) error {
				<-begin
				return listen(ctx, channel, ready, notify)
			},
		})
		w := watch(t, d.Store())
		raise(t, other, 1)
		close(begin)
		w.until(t, isChange)
	})
	t.Run("if it fails, polling goes on and it is called again", func(t *testing.T) {
		driver, source := e.space(t)
		other := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
		var calls atomic.Int64
		d := e.tables(t, dial(t, driver, source), sqlstore.Config{
			Listen: func(context.Context, string, func(), func()) error {
				calls.Add(1)
				return errors.New("no connection is available")
			},
		})
		w := watch(t, d.Store())
		raise(t, other, 1)
		w.until(t, isChange)
		require.Eventually(t, func() bool { return calls.Load() > 1 }, patience, 10*time.Millisecond)
		w.until(t, isHeartbeat)
	})
	t.Run("it ends with the stream", func(t *testing.T) {
		var left atomic.Bool
		listening := make(chan struct{})
		d := e.tables(t, e.connect(t), sqlstore.Config{
			Listen: func(ctx context.Context, _ string, ready, _ func()) error {
				ready()
				close(listening)
				<-ctx.Done()
				left.Store(true)
				return ctx.Err()
			},
		})
		w := watch(t, d.Store())
		<-listening
		w.cancel()
		require.ErrorIs(t, w.end(t), context.Canceled)
		require.True(t, left.Load())
	})
}

// behind returns a proxy of a server, and the data source through it.
func behind(t *testing.T, driver, source string) (*servers.Proxy, string) {
	t.Helper()
	if driver == "mysql" {
		cfg, err := mysql.ParseDSN(source)
		require.NoError(t, err)
		p, err := servers.NewProxy(cfg.Addr)
		require.NoError(t, err)
		t.Cleanup(p.Close)
		cfg.Addr = p.Addr()
		return p, cfg.FormatDSN()
	}
	u, err := url.Parse(source)
	require.NoError(t, err)
	p, err := servers.NewProxy(net.JoinHostPort(u.Hostname(), u.Port()))
	require.NoError(t, err)
	t.Cleanup(p.Close)
	u.Host = p.Addr()
	return p, u.String()
}

// The stream ends if the server does not answer any more.
func TestWatchEndsOnAFrozenConnection(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			driver, source := e.space(t)
			proxy, source := behind(t, driver, source)
			s := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
			w := watch(t, s)
			w.until(t, isHeartbeat)
			proxy.Freeze()
			err := w.end(t)
			proxy.Thaw()
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.NotContains(t, fmt.Sprint(err), proxy.Addr())
			w = watch(t, s)
			raise(t, s, 1)
			w.until(t, isChange)
		})
	}
}

// The first read has a timeout, too. Watch then returns an error without calling ready.
func TestWatchDoesNotBeginOnAFrozenConnection(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			driver, source := e.space(t)
			proxy, source := behind(t, driver, source)
			db := dial(t, driver, source)
			s := e.tables(t, db, sqlstore.Config{}).Store()
			_, err := s.Settings.Instance(context.Background())
			require.NoError(t, err)
			proxy.Freeze()
			for _, connections := range []string{"an open connection", "a new connection"} {
				w := &stream{ended: make(chan error, 1)}
				ctx, cancel := context.WithCancel(context.Background())
				t.Cleanup(cancel)
				go func() {
					w.ended <- s.Watch.Watch(ctx, func() { t.Error("ready") }, func(store.Notification) { t.Error("a notification") })
				}()
				require.ErrorIs(t, w.end(t), store.ErrUnavailable, connections)
			}
			proxy.Thaw()
			watch(t, s).until(t, isHeartbeat)
		})
	}
}
