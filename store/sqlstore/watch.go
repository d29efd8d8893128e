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

// kept is how many notices stay. A stream that falls behind further sees a gap.
const kept = 4096

// wakeWatchers wakes the streams of this process after a commit. Now and then it
// also removes old notices.
func (d *Database) wakeWatchers(ctx context.Context) {
	d.wakes.all()
	if due(&d.sweeps.notices) {
		_, _ = d.remove(ctx, `DELETE FROM {p}notices WHERE seq < (SELECT seq FROM {p}feed WHERE id = 1) - ?`, int64(kept)) //nolint:errcheck // the next one does it
	}
}

// wakes wakes the streams within this process.
type wakes struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns what is closed by the next wake.
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

// pollTimeout bounds a single read of what is new, so that a connection that
// answers no more ends the stream.
const pollTimeout = 2 * time.Second

// Watch implements store.Watch: it reads what is new every pollEvery, at
// once after a change through the same Database and, with Config.Listen,
// upon a notification. Each read that finds nothing is a heartbeat. A read
// that fails ends the stream; one that comes back to an earlier number, as
// after a restore, too.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	return fail(ctx, "watch", w.watch(ctx, ready, notice))
}

func (w *watch) watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	wake := w.d.wakes.wait()
	last, _, err := w.news(ctx, math.MaxInt64)
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
	notice(heartbeat(last))
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
		if last, err = w.drain(ctx, last, notice); err != nil {
			return err
		}
	}
}

func heartbeat(head int64) store.Notice {
	return store.Notice{Sequence: uint64(head)} //nolint:gosec // counts up from 0
}

// drain hands out all that came after last. Numbers that are not there any
// more show as a gap.
func (w *watch) drain(ctx context.Context, last int64, notice func(store.Notice)) (int64, error) {
	for {
		head, news, err := w.news(ctx, last)
		if err != nil {
			return last, err
		}
		if head < last {
			return last, fmt.Errorf("%w: the numbers of changes went back", store.ErrUnavailable)
		}
		if len(news) == 0 {
			notice(heartbeat(head))
			return head, nil
		}
		for _, n := range news {
			notice(n)
		}
		last = int64(news[len(news)-1].Sequence) //nolint:gosec // it was one
		if last == head {
			return last, nil
		}
	}
}

// news reads the number of the last change and the notices after a number,
// of one moment.
func (w *watch) news(ctx context.Context, last int64) (head int64, news []store.Notice, err error) {
	bounded, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	news, err = all(bounded, w.d, func(n *store.Notice) []any {
		return []any{
			primary{}, &head, orZero[uint64]{&n.Sequence}, orZero[store.NoticeKind]{&n.Kind},
			orZero[string]{&n.Workspace}, orZero[string]{&n.Key}, orZero[string]{&n.Token},
		}
	}, `SELECT {standby}, f.seq, n.seq, n.kind, n.workspace, n.key_id, n.token
		FROM {p}feed f LEFT JOIN {p}notices n ON n.seq > ? WHERE f.id = 1 ORDER BY n.seq LIMIT 1000`, last)
	// Where there is no news, one row has the number of the last change alone.
	return head, slices.DeleteFunc(news, func(n store.Notice) bool { return n.Sequence == 0 }), err
}

// listenAgain is the pause before a listener that broke is called again.
const listenAgain = time.Second

// listen keeps the host's listener going. Whatever becomes of it, polling goes
// on. ready wakes, too: for what came before the listener was there.
func (w *watch) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.d.config.Listen(ctx, w.d.config.Prefix+"notices", w.d.wakes.all, w.d.wakes.all) //nolint:errcheck // polling covers for it
		_ = sleep(ctx, listenAgain)                                                           //nolint:errcheck // the loop looks at ctx
	}
}
