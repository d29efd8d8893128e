package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// watch implements store.Watch by publish and subscribe.
//
// change.lua numbers and publishes the notice of each change, and keeps the last
// number. Each notice names the change before it, so that a number which a
// failover used twice shows. In every round, the stream reads the last number and
// then sends a ping through its subscription: what was published before should
// arrive before the answer. Where the slot has moved, another server of the Cluster
// may pass it on a little later, so a notice counts as lost if it has not arrived by
// the end of the next round.
type watch struct{ db *Driver }

const (
	// roundEvery leaves time for a round within store.HeartbeatEvery.
	roundEvery = 120 * time.Millisecond
	// silence is after how long without a word the stream ends.
	silence = 3 * time.Second
)

// Watch implements store.Watch. A subscription that breaks, a server that does not
// answer for 3 s, and a failover end the stream with store.ErrUnavailable. So does
// Redis where the subscriber falls behind (client-output-buffer-limit pubsub). Where ctx
// ends while the stream asks a server that does not answer, Watch returns within 3 s.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	if err := ctx.Err(); err != nil {
		return fail("watch", err)
	}
	err := w.watch(ctx, ready, notice)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fail("watch", err)
}

func (w *watch) watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	opening, stop := context.WithTimeout(ctx, silence)
	defer stop()
	s := &stream{db: w.db, sub: w.db.client.Subscribe(opening, w.db.layout.channel()), notice: notice}
	// A read of the client heeds deadlines only: this ends it.
	context.AfterFunc(ctx, func() { _ = s.sub.Close() }) //nolint:errcheck // it is given up
	var pinging sync.WaitGroup
	defer pinging.Wait()
	defer cancel(nil)
	first, err := s.sub.Receive(opening)
	if err != nil {
		return w.db.failure(ctx, err, nil)
	}
	if _, ok := first.(*redis.Subscription); !ok {
		return fmt.Errorf("no subscription: %w", store.ErrUnavailable)
	}
	// Revocations that a failover lost are written before anybody relies on this
	// stream, and before the number that it begins with is read.
	if err := (&epochs{w.db}).restore(opening); err != nil {
		return err
	}
	if s.last, err = w.db.lastNotice(opening); err != nil {
		return err
	}
	w.db.checked.Do(func() {
		if _, err := w.db.Check(opening); err != nil {
			w.db.cfg.Logger.WarnContext(ctx, "redisstore: the servers could not be checked", "error", err)
		}
	})
	ready()
	s.pass(store.Notice{})
	pinging.Go(func() { cancel(s.ping(ctx)) })
	err = s.receive(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// place is where a stream stands: the number of a notice and the id of its change.
type place struct {
	n      uint64
	change string
}

func (p *place) fields() []any { return []any{&p.n, &p.change} }

// lastNotice reads where the last notice stands.
func (db *Driver) lastNotice(ctx context.Context) (last place, err error) {
	c := command("get", db.layout.stream())
	if err := db.send(ctx, c); err != nil {
		return place{}, err
	}
	err = decodeSaved(c.text(), last.fields()...)
	return last, err
}

// stream is one subscription.
type stream struct {
	db     *Driver
	sub    *redis.PubSub
	notice func(store.Notice)

	last    place         // of the last notice that was passed on
	seen    atomic.Uint64 // its number
	missing place         // what had not arrived when the last round ended
}

// ping begins rounds until one fails or ctx ends.
func (s *stream) ping(ctx context.Context) error {
	last := uint64(0)
	for {
		// A pause, however long the last round took: the next must not follow at once.
		err := pause(ctx, roundEvery)
		if err == nil {
			last, err = s.begin(ctx, max(s.seen.Load(), last))
		}
		if err != nil {
			return err
		}
	}
}

// begin begins a round, and returns the number of the last notice: at least floor. The
// server sends back what a ping holds: where that notice stands. The client may have no
// timeouts of its own.
func (s *stream) begin(ctx context.Context, floor uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	last, err := s.db.lastNotice(ctx)
	switch {
	case err != nil:
		return 0, err
	case last.n < floor:
		return 0, errBackwards
	}
	if err := s.sub.Ping(ctx, encode(last.fields()...)); err != nil {
		return 0, s.db.failure(ctx, err, nil)
	}
	return last.n, nil
}

var errBackwards = fmt.Errorf("the stream went backwards: %w", store.ErrUnavailable)

// receive passes on what arrives until the subscription ends.
func (s *stream) receive(ctx context.Context) error {
	for {
		msg, err := s.sub.ReceiveTimeout(ctx, silence)
		if err != nil {
			return s.db.failure(ctx, err, nil)
		}
		switch msg := msg.(type) {
		case *redis.Message:
			err = s.published(msg.Payload)
		case *redis.Pong:
			err = s.compare(msg.Payload)
		default:
			// The client has subscribed anew: what was published in between is lost.
			err = fmt.Errorf("the subscription was interrupted: %w", store.ErrUnavailable)
		}
		if err != nil {
			return err
		}
	}
}

// compare ends a round: it compares what has arrived with where the last notice
// stood when the round began.
func (s *stream) compare(text string) error {
	var read place
	lost := s.missing
	s.missing = place{}
	switch err := decode(text, read.fields()...); {
	case err != nil:
		return err
	case read.n == s.last.n && read.change != s.last.change:
		return errBackwards
	case s.last.n < lost.n:
		// The number of a heartbeat ahead of the notices shows the loss.
		s.last = lost
	case read.n > s.last.n:
		s.missing = read
		return nil
	}
	s.pass(store.Notice{})
	return nil
}

// published handles a notice: the id of the change before, the notice's place, and what
// the change was about.
func (s *stream) published(text string) error {
	var (
		before string
		at     place
		kind   int64
		n      store.Notice
	)
	err := decode(text, &before, &at.n, &at.change, &kind, &n.Workspace, &n.Key, &n.Token)
	n.Kind = store.NoticeKind(kind & math.MaxUint8)
	switch {
	case err != nil:
		return errors.Join(err, store.ErrUnavailable)
	case at.n <= s.last.n:
		// Published before this stream began, or counted as lost already.
		return nil
	case at.n == s.last.n+1 && before != s.last.change:
		return errBackwards
	}
	s.last = at
	s.pass(n)
	return nil
}

func (s *stream) pass(n store.Notice) {
	s.seen.Store(s.last.n)
	n.Sequence = s.last.n
	s.notice(n)
}
