package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
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
type watch struct {
	db     *database
	epochs *epochs
}

const (
	// roundEvery leaves time for a round within store.HeartbeatEvery.
	roundEvery = 140 * time.Millisecond
	// silence is after how long without a round the stream ends.
	silence = 3 * time.Second
	backlog = 4096
)

// Watch implements store.Watch. A subscription that breaks, a server that does
// not answer for 3 s, a failover, and a subscriber that falls 4,096 notices
// behind end the stream with store.ErrUnavailable.
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
	ctx, cancel := context.WithCancel(ctx)
	sub := w.db.client.Subscribe(ctx, w.db.layout.channel())
	s := &stream{db: w.db, sub: sub, notice: notice, arrived: make(chan any, backlog), failed: make(chan error, 2)}
	var running sync.WaitGroup
	defer func() {
		cancel()
		_ = sub.Close() //nolint:errcheck // it is given up
		running.Wait()
	}()
	opening, stop := context.WithTimeout(ctx, silence)
	defer stop()
	first, err := sub.Receive(opening)
	if err != nil {
		return w.db.failure(ctx, err)
	}
	if _, ok := first.(*redis.Subscription); !ok {
		return fmt.Errorf("no subscription: %w", store.ErrUnavailable)
	}
	// Revocations that a failover lost are written before anybody relies on this
	// stream, and before the number that it begins with is read.
	if err := w.epochs.restore(opening); err != nil {
		return err
	}
	if s.last, err = w.db.lastNotice(opening); err != nil {
		return err
	}
	s.seen.Store(s.last.n)
	running.Go(func() { s.failed <- s.receive(ctx) })
	w.db.checked.Do(func() { w.db.checkOnce(opening) })
	ready()
	notice(store.Notice{Sequence: s.last.n})
	running.Go(func() { s.failed <- s.ping(ctx) })
	return s.run(ctx)
}

// place is where a stream stands: the number of a notice and the id of its
// change. As text it is both, with a space between.
type place struct {
	n      uint64
	change string
}

func (p place) String() string { return strconv.FormatUint(p.n, 10) + " " + p.change }

func (w *words) place() place {
	n := w.number()
	if n < 0 {
		w.failed = true
	}
	return place{n: uint64(max(n, 0)), change: w.next()}
}

// lastNotice reads where the last notice stands.
func (db *database) lastNotice(ctx context.Context) (place, error) {
	c := command("get", db.layout.stream())
	if err := db.send(ctx, c); err != nil || c.missing() {
		return place{}, err
	}
	d := words{text: c.text()}
	last := d.place()
	if d.failed {
		return place{}, errRecord
	}
	return last, nil
}

// stream is one subscription.
type stream struct {
	db      *database
	sub     *redis.PubSub
	notice  func(store.Notice)
	arrived chan any // *redis.Message or *redis.Pong
	failed  chan error

	last    place         // of the last notice that was passed on
	seen    atomic.Uint64 // its number
	missing place         // what had not arrived when the last round ended
}

// receive passes on what arrives until the subscription ends.
func (s *stream) receive(ctx context.Context) error {
	for {
		msg, err := s.sub.Receive(ctx)
		if err != nil {
			return s.db.failure(ctx, err)
		}
		switch msg.(type) {
		case *redis.Message, *redis.Pong:
		default:
			// The client has subscribed anew: what was published in between is
			// lost.
			return fmt.Errorf("the subscription was interrupted: %w", store.ErrUnavailable)
		}
		select {
		case s.arrived <- msg:
		default:
			return fmt.Errorf("the subscriber fell %d notices behind: %w", backlog, store.ErrUnavailable)
		}
	}
}

// ping begins rounds. The server sends back what a ping holds: where the last
// notice stands.
func (s *stream) ping(ctx context.Context) error {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	var last place
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var err error
		if last, err = s.begin(ctx, max(s.seen.Load(), last.n)); err != nil {
			return err
		}
		select {
		case <-tick.C: // the round took long: the next must not follow at once
			tick.Reset(roundEvery)
		default:
		}
	}
}

// begin begins a round, and returns where the last notice stands. The client may
// have no timeouts of its own.
func (s *stream) begin(ctx context.Context, floor uint64) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	last, err := s.db.lastNotice(ctx)
	switch {
	case err != nil:
		return place{}, err
	case last.n < floor:
		return place{}, errBackwards
	}
	if err := s.sub.Ping(ctx, last.String()); err != nil {
		return place{}, s.db.failure(ctx, err)
	}
	return last, nil
}

var errBackwards = fmt.Errorf("the stream went backwards: %w", store.ErrUnavailable)

func (s *stream) run(ctx context.Context) error {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-s.failed:
		case <-quiet.C:
			err = fmt.Errorf("no answer for %s: %w", silence, store.ErrUnavailable)
		case msg := <-s.arrived:
			switch msg := msg.(type) {
			case *redis.Message:
				err = s.published(msg.Payload)
			case *redis.Pong:
				quiet.Reset(silence)
				err = s.compare(msg.Payload)
			}
		}
		if err != nil {
			return err
		}
	}
}

// compare ends a round: it compares what has arrived with where the last notice
// stood when the round began.
func (s *stream) compare(text string) error {
	d := words{text: text}
	read, lost := d.place(), s.missing
	s.missing = place{}
	switch {
	case d.failed:
		return errRecord
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

// published handles a notice: the id of the change before, the notice's place,
// and noticeText.
func (s *stream) published(text string) error {
	d := words{text: text}
	before, at := d.next(), d.place()
	n := store.Notice{Kind: store.NoticeKind(d.number() & math.MaxUint8), Workspace: d.word(), Key: d.word(), Token: d.word()}
	switch {
	case d.failed:
		return errors.Join(errRecord, store.ErrUnavailable)
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
