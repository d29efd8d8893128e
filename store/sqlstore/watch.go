package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
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
	if !due(&d.sweeps.notices) {
		return
	}
	var head int64
	err := d.read(ctx, func(r runner) error { return r.row(ctx, d.text.head).Scan(new(primary), &head) })
	if err == nil {
		d.discardOld(ctx, d.text.pruneNotices, head-kept)
	}
}

// wakes are the streams within this process.
type wakes struct {
	mu      sync.Mutex
	streams map[chan struct{}]struct{}
}

func (w *wakes) join() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.streams == nil {
		w.streams = make(map[chan struct{}]struct{})
	}
	wake := make(chan struct{}, 1)
	w.streams[wake] = struct{}{}
	return wake
}

func (w *wakes) leave(wake chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.streams, wake)
}

func (w *wakes) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for wake := range w.streams {
		nudge(wake)
	}
}

// nudge wakes a stream unless it is about to wake anyway.
func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// watch implements store.Watch.
type watch struct{ d *Database }

// pollTimeout bounds a single read of what is new, so that a connection that
// answers no more ends the stream.
const pollTimeout = 2 * time.Second

// Watch implements store.Watch: it reads what is new every Config.PollEvery,
// at once after a change through the same Database and, with Config.Listen,
// upon a notification. Each read that finds nothing is a heartbeat. A read
// that fails ends the stream; one that comes back to an earlier number, as
// after a restore, too.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	if err := w.watch(ctx, ready, notice); err != nil {
		return fail(ctx, "watch", err)
	}
	return nil
}

func (w *watch) watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	last, err := w.head(ctx)
	if err != nil {
		return err
	}
	wake := w.d.wakes.join()
	defer w.d.wakes.leave(wake)
	if w.d.config.Listen != nil {
		listening, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { w.listen(listening, wake) })
		defer done.Wait()
		defer stop()
	}
	ready()
	notice(heartbeat(last))
	poll := time.NewTicker(w.d.config.PollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-poll.C:
		}
		if last, err = w.drain(ctx, last, notice); err != nil {
			return err
		}
	}
}

// head reads the number of the last change.
func (w *watch) head(ctx context.Context) (last int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	err = w.d.read(ctx, func(r runner) error { return r.row(ctx, w.d.text.head).Scan(new(primary), &last) })
	return last, err
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
	err = w.d.read(bounded, func(r runner) error {
		news = nil
		rows, err := r.rows(bounded, w.d.text.feed, last)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var seq, kind sql.NullInt64
			var n store.Notice
			if err := rows.Scan(new(primary), &head, &seq, &kind, text{&n.Workspace}, text{&n.Key}, text{&n.Token}); err != nil {
				return err
			}
			if seq.Valid {
				n.Sequence, n.Kind = uint64(seq.Int64), store.NoticeKind(kind.Int64) //nolint:gosec // as tell wrote them
				news = append(news, n)
			}
		}
		return rows.Err()
	})
	return head, news, err
}

// listenAgain is the pause before a listener that broke is called again.
const listenAgain = time.Second

// listen keeps the host's listener going. Whatever becomes of it, polling goes
// on.
func (w *watch) listen(ctx context.Context, wake chan struct{}) {
	notify := func() { nudge(wake) }
	for ctx.Err() == nil {
		// ready wakes, too: for what came before the listener was there.
		_ = w.d.config.Listen(ctx, w.d.config.Prefix+"notices", notify, notify) //nolint:errcheck // polling covers for it
		again := time.NewTimer(listenAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}
