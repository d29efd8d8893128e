package memstore

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// NewLimiter returns a limiter within the process, for the given number of ids at a
// time; fewer than 1,024 count as 1,024. It grows as ids come, up to 64 bytes for each
// entry, and never beyond, however many distinct ids there are. Ids are kept as 64-bit
// hashes under a random seed; two ids of one hash share their count, which never lets
// more through. When full it forgets one that is past or, if it finds none among a few,
// the one of them that is nearest to being past; one that uses up its window stays.
//
// It is safe for concurrent use. Instants are exact to the nanosecond and
// must lie between the years 1971 and 2261.
func NewLimiter(entries int) store.Limiter {
	return &limiter{seed: maphash.MakeSeed(), most: max(entries, 1024), arrivals: make(map[uint64]int64)}
}

// late is how far a call's time may lie behind those of others on one clock:
// it was read when a request began, and requests overtake one another. What
// they used is not given back by a late call; a clock set back by less than
// this blocks for that much longer.
const late = time.Second

// limiter implements store.Limiter by the generic cell rate algorithm: one
// number an id.
type limiter struct {
	seed     maphash.Seed
	most     int
	mu       sync.Mutex
	arrivals map[uint64]int64 // by the hash of an id, in nanoseconds
}

var (
	errStep = errors.New("the step must not be negative")
	errTime = errors.New("the time is out of range")
)

// Advance implements store.Limiter. A negative step, or a time that
// nanoseconds since 1970 cannot hold, is an error and counts nothing.
func (l *limiter) Advance(ctx context.Context, id string, now time.Time, by, window time.Duration) (ahead time.Duration, moved bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, fail("advance limiter", err)
	}
	if by < 0 {
		return 0, false, fail("advance limiter", errStep)
	}
	if year := now.Year(); year < 1971 || year > 2261 {
		return 0, false, fail("advance limiter", errTime)
	}
	ahead, moved = l.advance(maphash.String(l.seed, id), now.UnixNano(), by, window)
	return ahead, moved, nil
}

func (l *limiter) advance(hash uint64, now int64, by, window time.Duration) (ahead time.Duration, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Differences of instants fit; a sum could overflow.
	at, known := l.arrivals[hash]
	if known {
		most := max(window, 0)
		ahead = time.Duration(at - now)
		if ahead > most && ahead-most > late {
			// Kept, too: else each refusal would move the block along with now.
			l.arrivals[hash] = now + int64(most)
		}
		ahead = max(0, min(ahead, most))
	}
	if by == 0 || by > window || ahead > window-by || now+int64(ahead) > math.MaxInt64-int64(by) {
		return ahead, false
	}
	ahead += by
	if !known && len(l.arrivals) >= l.most {
		l.forget(now)
	}
	l.arrivals[hash] = now + int64(ahead)
	return ahead, true
}

// forget removes one of a few ids: a map yields them from a random place on, but not in
// a random order.
func (l *limiter) forget(now int64) {
	const few = 64
	var first uint64
	earliest, seen := int64(math.MaxInt64), 0
	for hash, at := range l.arrivals {
		if at <= earliest {
			first, earliest = hash, at
		}
		if seen++; seen == few || at <= now {
			break
		}
	}
	delete(l.arrivals, first)
}
