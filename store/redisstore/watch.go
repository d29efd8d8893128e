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

// watch implements store.Watch with publish and subscribe.
//
// change.lua numbers and publishes the notification of each change, and stores the last
// number. Each notification contains the id of the change before it, which shows if a
// failover used a number twice. In every round, the stream reads the last number and then
// sends a ping through its subscription. Notifications that were published before should
// arrive before the answer. After the slot has moved, another server of the Cluster may
// deliver them a little later. So a notification counts as lost if it has not arrived by
// the end of the next round.
type watch struct{ db *Driver }

const (
	// roundEvery is the pause between rounds. It leaves time for a round within
	// store.HeartbeatEvery.
	roundEvery = 120 * time.Millisecond
	// silenceTimeout is how long the server may not answer before the stream ends.
	silenceTimeout = 3 * time.Second
)

// Watch implements store.Watch. The stream ends with store.ErrUnavailable if the
// subscription breaks, if the server does not answer for 3 s, and on a failover. Redis
// also ends it if the subscriber falls behind (client-output-buffer-limit pubsub). If ctx
// ends while a server does not answer, Watch returns within 3 s.
func (w *watch) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	if err := ctx.Err(); err != nil {
		return fail("watch", err)
	}
	err := w.watch(ctx, ready, notify)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fail("watch", err)
}

func (w *watch) watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	opening, stop := context.WithTimeout(ctx, silenceTimeout)
	defer stop()
	s := &stream{db: w.db, sub: w.db.client.Subscribe(opening, w.db.layout.channel()), notify: notify}
	// A read of the client ends only by its deadline, so the end of ctx closes it.
	context.AfterFunc(ctx, func() { _ = s.sub.Close() }) //nolint:errcheck // the subscription is not used any more
	var pinging sync.WaitGroup
	defer pinging.Wait()
	defer cancel(nil)
	first, err := s.sub.Receive(opening)
	if err != nil {
		return w.db.failure(ctx, err, nil)
	}
	if _, ok := first.(*redis.Subscription); !ok {
		return fmt.Errorf("the server did not confirm the subscription: %w", store.ErrUnavailable)
	}
	// Revocations that a failover lost are written before ready is called, and before
	// the first number of the stream is read.
	if err := (&epochs{w.db}).restore(opening); err != nil {
		return err
	}
	if s.last, err = w.db.lastNotification(opening); err != nil {
		return err
	}
	w.db.checked.Do(func() {
		if _, err := w.db.Check(opening); err != nil {
			w.db.cfg.Logger.WarnContext(ctx, "redisstore: the settings of the servers could not be checked", "error", err)
		}
	})
	ready()
	s.deliver(store.Notification{})
	pinging.Go(func() { cancel(s.ping(ctx)) })
	err = s.receive(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// position is a position in the stream: the number of a notification and the id of its
// change.
type position struct {
	n      uint64
	change string
}

func (p *position) fields() []any { return []any{&p.n, &p.change} }

// lastNotification returns the position of the last notification.
func (db *Driver) lastNotification(ctx context.Context) (last position, err error) {
	c := command("get", db.layout.stream())
	if err := db.send(ctx, c); err != nil {
		return position{}, err
	}
	err = decodeSaved(c.text(), last.fields()...)
	return last, err
}

// stream is one subscription.
type stream struct {
	db     *Driver
	sub    *redis.PubSub
	notify func(store.Notification)

	last    position      // of the last notification that was delivered
	seen    atomic.Uint64 // its number
	missing position      // the last position that had not arrived when the last round ended
}

// ping starts rounds until one fails or ctx ends.
func (s *stream) ping(ctx context.Context) error {
	last := uint64(0)
	for {
		// There is a pause also after a long round.
		err := pause(ctx, roundEvery)
		if err == nil {
			last, err = s.startRound(ctx, max(s.seen.Load(), last))
		}
		if err != nil {
			return err
		}
	}
}

// startRound starts a round and returns the number of the last notification. A number
// below floor is an error. The ping contains the position of that notification, and the
// server sends it back. The round has its own timeout, since the client may have none.
func (s *stream) startRound(ctx context.Context, floor uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, silenceTimeout)
	defer cancel()
	last, err := s.db.lastNotification(ctx)
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

var errBackwards = fmt.Errorf("the numbers of notifications went backwards, as after a failover: %w", store.ErrUnavailable)

// receive handles messages until the subscription ends.
func (s *stream) receive(ctx context.Context) error {
	for {
		msg, err := s.sub.ReceiveTimeout(ctx, silenceTimeout)
		if err != nil {
			return s.db.failure(ctx, err, nil)
		}
		switch msg := msg.(type) {
		case *redis.Message:
			err = s.handle(msg.Payload)
		case *redis.Pong:
			err = s.compare(msg.Payload)
		default:
			// The client has subscribed again, so messages may have been lost.
			err = fmt.Errorf("the subscription was interrupted: %w", store.ErrUnavailable)
		}
		if err != nil {
			return err
		}
	}
}

// compare ends a round. It compares the notifications that have arrived with the last
// position at the start of the round.
func (s *stream) compare(text string) error {
	var read position
	lost := s.missing
	s.missing = position{}
	switch err := decode(text, read.fields()...); {
	case err != nil:
		return err
	case read.n == s.last.n && read.change != s.last.change:
		return errBackwards
	case s.last.n < lost.n:
		// The next heartbeat has a number beyond the notifications, which shows the loss.
		s.last = lost
	case read.n > s.last.n:
		s.missing = read
		return nil
	}
	s.deliver(store.Notification{})
	return nil
}

// handle handles a message: the id of the change before, the notification's position, and
// its content.
func (s *stream) handle(text string) error {
	var (
		before string
		at     position
		kind   int64
		n      store.Notification
	)
	err := decode(text, &before, &at.n, &at.change, &kind, &n.Workspace, &n.Key, &n.Token)
	n.Kind = store.NotificationKind(kind & math.MaxUint8)
	switch {
	case err != nil:
		return errors.Join(err, store.ErrUnavailable)
	case at.n <= s.last.n:
		// It was published before this stream began, or was counted as lost.
		return nil
	case at.n == s.last.n+1 && before != s.last.change:
		return errBackwards
	}
	s.last = at
	s.deliver(n)
	return nil
}

func (s *stream) deliver(n store.Notification) {
	s.seen.Store(s.last.n)
	n.Sequence = s.last.n
	s.notify(n)
}
