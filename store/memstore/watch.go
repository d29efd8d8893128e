package memstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// backlog is how many notices may wait for one subscriber.
const backlog = 1024

// hub passes notices to subscribers. It never waits for one: a subscriber that
// falls behind loses the stream, with an error that says so.
type hub struct {
	mu       sync.Mutex
	sequence uint64
	subs     map[*subscriber]struct{}
}

type subscriber struct {
	notices chan store.Notice // closed when the subscriber fell behind
	joined  uint64            // the last sequence number before it
}

// send sends a notice of a change that readers can see already.
func (h *hub) send(n store.Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sequence++
	n.Sequence = h.sequence
	for sub := range h.subs {
		select {
		case sub.notices <- n:
		default:
			delete(h.subs, sub)
			close(sub.notices)
		}
	}
}

func (h *hub) join() *subscriber {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs == nil {
		h.subs = make(map[*subscriber]struct{})
	}
	sub := &subscriber{make(chan store.Notice, backlog), h.sequence}
	h.subs[sub] = struct{}{}
	return sub
}

func (h *hub) leave(sub *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, sub)
}

// watch implements store.Watch.
type watch struct{ hub *hub }

// Watch implements store.Watch. A subscriber that falls 1,024 notices behind
// gets the ones before, and then store.ErrUnavailable.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	if err := ctx.Err(); err != nil {
		return fail("watch", err)
	}
	sub := w.hub.join()
	defer w.hub.leave(sub)
	ready()
	last := sub.joined
	notice(store.Notice{Sequence: last})
	heartbeat := time.NewTicker(store.HeartbeatEvery)
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return fail("watch", ctx.Err())
		case n, open := <-sub.notices:
			if !open {
				return fail("watch", fmt.Errorf("the subscriber fell %d notices behind: %w", backlog, store.ErrUnavailable))
			}
			last = n.Sequence
			notice(n)
		case <-heartbeat.C:
			notice(store.Notice{Sequence: last})
		}
	}
}
