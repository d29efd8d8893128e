package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// backlog is how many notifications may wait for one watcher.
const backlog = 1024

// send sends a notification to all watchers. It never waits for one: the stream of a
// watcher that is too far behind ends with an error.
func (db *database) send(n store.Notification) {
	db.sequence++
	n.Sequence = db.sequence
	for notifications := range db.watchers {
		select {
		case notifications <- n:
		default:
			delete(db.watchers, notifications)
			close(notifications)
		}
	}
}

// watch implements store.Watch.
type watch struct{ db *database }

// Watch implements store.Watch. A watcher that is more than 1,024 notifications behind
// gets those 1,024, and then store.ErrUnavailable.
func (w *watch) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	db, notifications, last := w.db, make(chan store.Notification, backlog), uint64(0)
	err := db.write(ctx, "watch", func() error {
		db.watchers[notifications] = struct{}{}
		last = db.sequence
		return nil
	})
	if err != nil {
		return err
	}
	defer func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		delete(db.watchers, notifications)
	}()
	ready()
	notify(store.Notification{Sequence: last})
	heartbeat := time.NewTicker(store.HeartbeatEvery)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return fail("watch", ctx.Err())
		case n, open := <-notifications:
			if !open {
				return fail("watch", fmt.Errorf("the watcher is more than %d notifications behind, so its stream ended; call Watch again: %w", backlog, store.ErrUnavailable))
			}
			last = n.Sequence
			notify(n)
		case <-heartbeat.C:
			notify(store.Notification{Sequence: last})
		}
	}
}
