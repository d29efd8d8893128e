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
// Notices are numbered where they are published, in one script. Each names the
// mark of the one before, so that a number which a failover used twice shows.
// A round asks for the stream's state and then sends a ping through the
// subscription: what was published before the state was read should arrive
// before the pong. In a Cluster another node may pass it on a little later, so
// that a notice counts as lost when it is missing after the next round, too.
type watch struct {
	db     *database
	epochs *epochs
}

const (
	// roundEvery leaves time for a round within store.HeartbeatEvery.
	roundEvery = 140 * time.Millisecond
	// A change that is under way for longer than doubtful may have been made
	// and not told: the stream sends no heartbeats until it is told, in its
	// writer's place from overdue on and until it is forgotten.
	doubtful  = 300 * time.Millisecond
	overdue   = 2 * time.Second
	forgotten = time.Minute
	// silence is after how long without a round the stream ends.
	silence = 3 * time.Second
	backlog = 4096
	helped  = 100 // changes that one round tells of in their writers' places
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
		return w.db.rerouted(ctx, outageOf(ctx, err))
	}
	if _, ok := first.(*redis.Subscription); !ok {
		return fmt.Errorf("no subscription: %w", store.ErrUnavailable)
	}
	// What a failover took is put right before anybody relies on this stream.
	// What that tells others of is behind the state read next.
	if err := w.epochs.restore(opening); err != nil {
		return err
	}
	if s.last, err = w.db.beat(opening); err != nil {
		return err
	}
	receiving.Go(func() { s.receive(ctx) })
	w.db.checked.Do(func() { w.db.checkOnce(opening) })
	ready()
	notice(store.Notice{Sequence: s.last.n})
	return s.run(ctx)
}

// state is where the stream of all processes stands.
type state struct {
	n    uint64
	mark string
	// doubt says that a change may have been made of which nobody was told.
	doubt bool
	err   error
}

// beat reads the state, and tells in place of writers who are overdue.
func (db *database) beat(ctx context.Context) (state, error) {
	c := evaluate(db.scripts.beat, append(db.layout.open(), db.layout.stream()), db.layout.channel(), newRequest(),
		overdue.Milliseconds(), forgotten.Milliseconds(), doubtful.Milliseconds(), (overdue + 2*roundEvery).Milliseconds(), helped)
	if err := db.run(ctx, append(db.masters(db.layout.stream()), c)...); err != nil {
		return state{}, err
	}
	list := c.list()
	if len(list) != 4 {
		return state{}, errRecord
	}
	text, _ := list[0].(string)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return state{}, errRecord
	}
	mark, _ := list[1].(string)
	late, _ := list[2].([]any)
	doubts, _ := list[3].(int64)
	return state{n: n, mark: mark, doubt: doubts > 0}, db.help(ctx, late)
}

// help finishes what their writers have not: a key that was made gets its
// lasting pointer.
func (db *database) help(ctx context.Context, late []any) error {
	var keys []store.Notice
	var reads []*call
	for i := range late {
		text, _ := late[i].(string)
		w := words{text: text}
		if n := noticeOf(&w); n.Kind == store.NoticeKey {
			keys = append(keys, n)
			reads = append(reads, command("get", db.layout.pointer(n.Key)), command("hget", db.layout.keys(spaceOf(n.Workspace)), n.Key))
		}
	}
	if err := db.run(ctx, reads...); err != nil {
		return err
	}
	for i, n := range keys {
		pointer, record := reads[2*i], reads[2*i+1]
		if state, _ := splitPointer(pointer.text()); state == lasting || record.missing() {
			continue
		}
		if err := db.adopt(ctx, n.Key, n.Workspace, record.text()); err != nil {
			return err
		}
	}
	return nil
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
	asked   []round // what awaits a pong, oldest first
	rounds  int
	missing state // what the round before missed
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
			err = outageOf(ctx, err)
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
	beating := false
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
			if !beating {
				beating, s.floor = true, s.last.n
				go s.ask(ctx)
			}
		case read := <-s.states:
			beating = false
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

// ask reads the state aside, so that notices are not held up meanwhile.
func (s *stream) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	read, err := s.db.beat(ctx)
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
	s.asked = append(s.asked, round{read, strconv.Itoa(s.rounds)})
	if err := s.sub.Ping(ctx, strconv.Itoa(s.rounds)); err != nil {
		return outageOf(ctx, err)
	}
	return nil
}

var errBackwards = fmt.Errorf("the stream went backwards: %w", store.ErrUnavailable)

// take handles what arrived; done reports the end of a round.
func (s *stream) take(msg any) (done bool, err error) {
	switch msg := msg.(type) {
	case *redis.Message:
		return false, s.told(msg.Payload)
	case *redis.Pong:
		// Pongs come in order: those before it are lost.
		for i := range s.asked {
			if s.asked[i].ping == msg.Payload {
				asked := s.asked[i].state
				s.asked = slices.Delete(s.asked, 0, i+1)
				return true, s.compare(asked)
			}
		}
	}
	return false, nil
}

// compare holds what has arrived against what a round has read.
func (s *stream) compare(asked state) error {
	lost := s.missing
	s.missing = state{}
	switch {
	case asked.n == s.last.n && asked.mark != s.last.mark:
		return errBackwards
	case s.last.n < lost.n:
		// The number of a heartbeat ahead of the notices shows the loss.
		s.last = lost
	case asked.n > s.last.n:
		s.missing = asked
		return nil
	case asked.doubt:
		return nil
	}
	s.notice(store.Notice{Sequence: s.last.n})
	return nil
}

func (s *stream) told(text string) error {
	w := words{text: text}
	n, before, mark := w.number(), w.next(), w.next()
	told := noticeOf(&w)
	if w.failed || n < 0 {
		return errors.Join(errRecord, store.ErrUnavailable)
	}
	next := state{n: uint64(n), mark: mark}
	switch {
	case next.n <= s.last.n:
		// Told before this stream began, or counted as lost already.
		return nil
	case next.n == s.last.n+1 && before != s.last.mark:
		return errBackwards
	}
	told.Sequence = next.n
	s.last = next
	s.notice(told)
	return nil
}

// noticeText is a notice as it is written down and published.
func noticeText(n *store.Notice, request string) string {
	return request + " " + strconv.Itoa(int(n.Kind)) + " " + escape(n.Workspace) + " " + escape(n.Key) + " " + escape(n.Token)
}

func noticeOf(w *words) store.Notice {
	w.next() // the request
	kind := w.number()
	if kind < 0 || kind > 255 {
		w.failed = true
	}
	return store.Notice{Kind: store.NoticeKind(kind & 255), Workspace: w.word(), Key: w.word(), Token: w.word()}
}
