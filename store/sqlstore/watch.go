package sqlstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// maxNotifications is how many notifications are kept. A stream that falls further behind
// sees a gap.
const maxNotifications = 4096

// wakeWatchers wakes the streams of this process after a commit. Every sweepEvery-th
// call also removes old notifications.
func (d *Database) wakeWatchers(ctx context.Context) {
	d.wakes.all()
	if due(&d.sweeps.notifications) {
		_, _ = d.remove(ctx, `DELETE FROM {p}notices WHERE seq < (SELECT seq FROM {p}feed WHERE id = 1) - ?`, int64(maxNotifications)) //nolint:errcheck // the next sweep removes them
	}
}

// wakes wakes the streams within this process.
type wakes struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that the next call of all closes.
func (w *wakes) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		w.next = make(chan struct{})
	}
	return w.next
}

func (w *wakes) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

// watch implements store.Watch.
type watch struct{ d *Database }

// pollEvery is less than store.HeartbeatEvery, since each read is a heartbeat.
const pollEvery = 50 * time.Millisecond

// pollTimeout bounds a single read, so that a connection that does not answer ends the
// stream.
const pollTimeout = 2 * time.Second

// Watch implements store.Watch. It reads new notifications every 50 ms, at once after
// a change through the same Database, and with Config.Listen at once after any change. A
// read that finds nothing gives a heartbeat. The stream ends if a read fails, or if the
// numbers go backwards, as after a restore.
func (w *watch) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	return fail(ctx, "watch", w.watch(ctx, ready, notify))
}

func (w *watch) watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	wake := w.d.wakes.wait()
	last, _, err := w.readSince(ctx, math.MaxInt64)
	if err != nil {
		return err
	}
	if w.d.config.Listen != nil {
		listening, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { w.listen(listening) })
		defer done.Wait()
		defer stop()
	}
	ready()
	notify(heartbeat(last))
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-poll.C:
		}
		wake = w.d.wakes.wait()
		if last, err = w.drain(ctx, last, notify); err != nil {
			return err
		}
	}
}

func heartbeat(head int64) store.Notification {
	return store.Notification{Sequence: uint64(head)} //nolint:gosec // counts up from 0
}

// drain passes on all notifications after last. Numbers of notifications that were
// removed show as a gap.
func (w *watch) drain(ctx context.Context, last int64, notify func(store.Notification)) (int64, error) {
	for {
		head, notifications, err := w.readSince(ctx, last)
		if err != nil {
			return last, err
		}
		if head < last {
			return last, fmt.Errorf("%w: the numbers of notifications went backwards, as after a restore of the database", store.ErrUnavailable)
		}
		if len(notifications) == 0 {
			notify(heartbeat(head))
			return head, nil
		}
		for _, n := range notifications {
			notify(n)
		}
		last = int64(notifications[len(notifications)-1].Sequence) //nolint:gosec // it was an int64
		if last == head {
			return last, nil
		}
	}
}

// readSince reads, in one query, the number of the last change and the notifications
// after a number.
func (w *watch) readSince(ctx context.Context, last int64) (head int64, notifications []store.Notification, err error) {
	bounded, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	notifications, err = all(bounded, w.d, func(n *store.Notification) []any {
		return []any{
			primary{}, &head, orZero[uint64]{&n.Sequence}, orZero[store.NotificationKind]{&n.Kind},
			orZero[string]{&n.Workspace}, orZero[string]{&n.Key}, orZero[string]{&n.Token},
		}
	}, `SELECT {standby}, f.seq, n.seq, n.kind, n.workspace, n.key_id, n.token
		FROM {p}feed f LEFT JOIN {p}notices n ON n.seq > ? WHERE f.id = 1 ORDER BY n.seq LIMIT 1000`, last)
	// Without new notifications there is one row with only the number of the last change.
	return head, slices.DeleteFunc(notifications, func(n store.Notification) bool { return n.Sequence == 0 }), err
}

// listenAgain is the pause before a listener that broke is called again.
const listenAgain = time.Second

// listen runs the host's listener, and runs it again when it ends. Polling goes on
// meanwhile. The function ready also wakes the stream, for changes before the listener was
// ready.
func (w *watch) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.d.config.Listen(ctx, w.d.config.Prefix+"notices", w.d.wakes.all, w.d.wakes.all) //nolint:errcheck // polling covers for it
		_ = sleep(ctx, listenAgain)                                                           //nolint:errcheck // the loop looks at ctx
	}
}
