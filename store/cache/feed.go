package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// feed decides whether the cache can be used. A generation begins when a stream is known
// to be complete, and ends when it may not be. So all notifications about a record that was
// read in the present generation have come, up to the last heartbeat.
type feed struct {
	half     time.Duration // half of Config.Bound: the longest silence
	followed atomic.Bool   // a stream was open at least once
	last     atomic.Pointer[heartbeat]

	mu     sync.Mutex
	count  uint64  // number of the latest generation
	leader *stream // the stream that the generation relies on, and whose numbers are checked
}

// heartbeat records when the last notification of any kind came. It is immutable.
type heartbeat struct {
	at         time.Time
	generation uint64
}

// stream is one call of Watch.
type stream struct {
	sequence uint64 // of the last notification, while the stream is the leader
	// behind is how late its notifications may be because their receiver is slow.
	behind   time.Duration
	returned time.Time
}

// generation returns the present generation, and whether the cache can be used now.
func (f *feed) generation(now time.Time) (uint64, bool) {
	last := f.last.Load()
	if last == nil || !within(last.at, now, f.half) {
		return 0, false
	}
	return last.generation, true
}

// receive records a notification, after the caller has invalidated what it is about. It
// reports whether notifications were lost.
func (f *feed) receive(s *stream, n store.Notification, now time.Time) (lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followed.Store(true)
	_, usable := f.generation(now)
	switch {
	case f.leader == s:
		want := s.sequence + 1
		if n.Kind == store.NotificationHeartbeat {
			want = s.sequence
		}
		lost = n.Sequence != want
		// After a silence more notifications may wait in a buffer, so what was read before
		// this notification is not used any more.
		if lost || !usable {
			f.count++
		}
	case f.leader != nil && usable:
		return false
	default:
		f.leader = s
		f.count++
	}
	s.sequence = n.Sequence
	f.last.Store(&heartbeat{now, f.count})
	return lost
}

// closeStream records the end of a stream. If it was the leader, the cache is not used
// until a notification comes on another stream.
func (f *feed) closeStream(s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leader == s {
		f.leader = nil
		f.end()
	}
}

// invalidate ends the generation. The next notification begins another.
func (f *feed) invalidate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}

func (f *feed) end() {
	f.count++
	f.last.Store(nil)
}

// delay records how long the receiver took for a notification that came at the given time, and
// returns how late the next ones may be. Notifications accumulate while the receiver takes
// longer for them than the pauses between them.
func (s *stream) delay(came, now time.Time) time.Duration {
	if idle := came.Sub(s.returned); !s.returned.IsZero() {
		s.behind -= min(idle, s.behind)
	}
	s.behind += now.Sub(came)
	s.returned = now
	return s.behind
}
