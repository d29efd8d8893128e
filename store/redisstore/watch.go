package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
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
	defer cancel()
	sub := w.db.client.Subscribe(ctx, w.db.layout.channel())
	s := &stream{db: w.db, sub: sub, notice: notice, arrived: make(chan any, backlog), failed: make(chan error, 1), states: make(chan state, 1)}
	var receiving sync.WaitGroup
	defer func() {
		cancel()
		_ = sub.Close() //nolint:errcheck // it is given up
		receiving.Wait()
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
	if s.last, err = w.db.streamState(opening); err != nil {
		return err
	}
	receiving.Go(func() { s.receive(ctx) })
	w.db.checked.Do(func() { w.db.checkOnce(opening) })
	ready()
	notice(store.Notice{Sequence: s.last.n})
	return s.run(ctx)
}

// state is the number of a notice and the id of its change.
type state struct {
	n      uint64
	change string
	err    error
}

// streamState reads the last notice's.
func (db *database) streamState(ctx context.Context) (state, error) {
	c := command("hmget", db.layout.stream(), "n", "last")
	if err := db.read(ctx, c); err != nil {
		return state{}, err
	}
	texts := c.texts()
	if len(texts) != 2 {
		return state{}, errRecord
	}
	if texts[0] == "" {
		return state{}, nil
	}
	n, err := strconv.ParseUint(texts[0], 10, 64)
	if err != nil {
		return state{}, errRecord
	}
	return state{n: n, change: texts[1]}, nil
}

// stream is one subscription.
type stream struct {
	db      *database
	sub     *redis.PubSub
	notice  func(store.Notice)
	arrived chan any // *redis.Message or *redis.Pong
	failed  chan error
	states  chan state

	last    state   // of the last notice that was passed on
	floor   uint64  // its number when the round began
	pings   []round // those without an answer, oldest first
	rounds  int
	missing state // what had not arrived when the last round ended
}

// round is a state that was read, and the ping that was sent after it.
type round struct {
	state
	ping string
}

// receive passes on what arrives until the subscription ends.
func (s *stream) receive(ctx context.Context) {
	for {
		msg, err := s.sub.Receive(ctx)
		if err == nil {
			switch msg.(type) {
			case *redis.Message, *redis.Pong:
			default:
				// The client has subscribed anew: what was published in
				// between is lost.
				err = fmt.Errorf("the subscription was interrupted: %w", store.ErrUnavailable)
			}
		} else {
			err = s.db.outage(ctx, err)
		}
		if err == nil {
			select {
			case s.arrived <- msg:
				continue
			default:
				err = fmt.Errorf("the subscriber fell %d notices behind: %w", backlog, store.ErrUnavailable)
			}
		}
		s.failed <- err
		return
	}
}

func (s *stream) run(ctx context.Context) error {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	reading := false
	for {
		var err error
		done := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err = <-s.failed:
		case <-quiet.C:
			err = fmt.Errorf("no answer for %s: %w", silence, store.ErrUnavailable)
		case <-tick.C:
			if !reading {
				reading, s.floor = true, s.last.n
				go s.readState(ctx)
			}
		case read := <-s.states:
			reading = false
			err = s.ping(ctx, read)
		case msg := <-s.arrived:
			done, err = s.take(msg)
		}
		if err != nil {
			return err
		}
		if done {
			quiet.Reset(silence)
		}
	}
}

// readState does not hold up notices.
func (s *stream) readState(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	read, err := s.db.streamState(ctx)
	read.err = err
	s.states <- read
}

func (s *stream) ping(ctx context.Context, read state) error {
	if read.err != nil {
		return read.err
	}
	if read.n < max(s.floor, s.missing.n) {
		return errBackwards
	}
	s.rounds++
	s.pings = append(s.pings, round{read, strconv.Itoa(s.rounds)})
	if err := s.sub.Ping(ctx, strconv.Itoa(s.rounds)); err != nil {
		return s.db.outage(ctx, err)
	}
	return nil
}

var errBackwards = fmt.Errorf("the stream went backwards: %w", store.ErrUnavailable)

// take handles what arrived; done reports the end of a round.
func (s *stream) take(msg any) (done bool, err error) {
	switch msg := msg.(type) {
	case *redis.Message:
		return false, s.published(msg.Payload)
	case *redis.Pong:
		// Pongs come in order: those before it are lost.
		for i := range s.pings {
			if s.pings[i].ping == msg.Payload {
				read := s.pings[i].state
				s.pings = slices.Delete(s.pings, 0, i+1)
				return true, s.compare(read)
			}
		}
	}
	return false, nil
}

// compare ends a round: it compares what has arrived with what the round has
// read.
func (s *stream) compare(read state) error {
	lost := s.missing
	s.missing = state{}
	switch {
	case read.n == s.last.n && read.change != s.last.change:
		return errBackwards
	case s.last.n < lost.n:
		// The number of a heartbeat ahead of the notices shows the loss.
		s.last = lost
	case read.n > s.last.n:
		s.missing = read
		return nil
	}
	s.notice(store.Notice{Sequence: s.last.n})
	return nil
}

// published handles a notice: "number, change before, change", and noticeText.
func (s *stream) published(text string) error {
	d := words{text: text}
	n, before, change := d.number(), d.next(), d.next()
	kind := d.number()
	changed := store.Notice{Kind: store.NoticeKind(kind & 255), Workspace: d.word(), Key: d.word(), Token: d.word()}
	if d.failed || n < 0 || kind < 0 || kind > 255 {
		return errors.Join(errRecord, store.ErrUnavailable)
	}
	next := state{n: uint64(n), change: change}
	switch {
	case next.n <= s.last.n:
		// Published before this stream began, or counted as lost already.
		return nil
	case next.n == s.last.n+1 && before != s.last.change:
		return errBackwards
	}
	changed.Sequence = next.n
	s.last = next
	s.notice(changed)
	return nil
}
