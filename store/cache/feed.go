package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// feed says whether answers from memory are vouched for. A generation begins when a
// stream is known to be whole, and ends when it may not be. So of a record that was
// read within the present generation every notice has come, up to the last
// heartbeat.
type feed struct {
	half     time.Duration // half of Config.Bound: a longer silence ends vouching
	followed atomic.Bool   // there was a stream once
	last     atomic.Pointer[heartbeat]

	mu     sync.Mutex
	count  uint64  // of generations
	leader *stream // the stream whose numbers are checked, and that vouches
}

// heartbeat is the last notice of any kind. It never changes.
type heartbeat struct {
	at         time.Time
	generation uint64
}

// stream is one call of Watch.
type stream struct {
	sequence uint64 // of the last notice, while it leads
	// behind is how far its notices may lag because their receiver is slow.
	behind   time.Duration
	returned time.Time
}

// generation returns the present generation, if the feed vouches now.
func (f *feed) generation(now time.Time) (uint64, bool) {
	b := f.last.Load()
	if b == nil || !within(b.at, now, f.half) {
		return 0, false
	}
	return b.generation, true
}

// heard takes a notice, after what it is about was forgotten. It reports
// whether notices were lost.
func (f *feed) heard(s *stream, n store.Notice, now time.Time) (lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followed.Store(true)
	_, vouched := f.generation(now)
	switch {
	case f.leader == s:
		want := s.sequence + 1
		if n.Kind == store.NoticeHeartbeat {
			want = s.sequence
		}
		lost = n.Sequence != want
		// After a silence more may wait in some buffer: what was read before
		// this notice stays out of use.
		if lost || !vouched {
			f.count++
		}
	case f.leader != nil && vouched:
		return false
	default:
		f.leader = s
		f.count++
	}
	s.sequence = n.Sequence
	f.last.Store(&heartbeat{now, f.count})
	return lost
}

// left ends a stream. If it was the one that vouched, nobody does until
// another is heard of.
func (f *feed) left(s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leader == s {
		f.leader = nil
		f.end()
	}
}

// drop ends the generation. The next notice begins another.
func (f *feed) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}

func (f *feed) end() {
	f.count++
	f.last.Store(nil)
}

// lag takes note of how long the receiver took with a notice that came at the
// given time, and returns how late the next ones may be: while it takes them
// more slowly than they are sent, they pile up.
func (s *stream) lag(came, now time.Time) time.Duration {
	if idle := came.Sub(s.returned); !s.returned.IsZero() {
		s.behind -= min(idle, s.behind)
	}
	s.behind += now.Sub(came)
	s.returned = now
	return s.behind
}
