package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// backlog is how many notices may wait for one watcher.
const backlog = 1024

// send sends a notice to all watchers. It never waits for one: the stream of a watcher that
// is too far behind ends with an error.
func (db *database) send(n store.Notification) {
	db.sequence++
	n.Sequence = db.sequence
	for notices := range db.watchers {
		select {
		case notices <- n:
		default:
			delete(db.watchers, notices)
			close(notices)
		}
	}
}

// watch implements store.Watch.
type watch struct{ db *database }

// Watch implements store.Watch. A watcher that is more than 1,024 notices behind gets those
// 1,024, and then store.ErrUnavailable.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notification)) error {
	db, notices, last := w.db, make(chan store.Notification, backlog), uint64(0)
	err := db.write(ctx, "watch", func() error {
		db.watchers[notices] = struct{}{}
		last = db.sequence
		return nil
	})
	if err != nil {
		return err
	}
	defer func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		delete(db.watchers, notices)
	}()
	ready()
	notice(store.Notification{Sequence: last})
	heartbeat := time.NewTicker(store.HeartbeatEvery)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return fail("watch", ctx.Err())
		case n, open := <-notices:
			if !open {
				return fail("watch", fmt.Errorf("the watcher is more than %d notices behind, so its stream ended: %w", backlog, store.ErrUnavailable))
			}
			last = n.Sequence
			notice(n)
		case <-heartbeat.C:
			notice(store.Notification{Sequence: last})
		}
	}
}
