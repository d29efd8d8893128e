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

// NewLimiter returns a limiter within the process, for the given number of ids at a time;
// fewer than 1,024 count as 1,024. It takes at most 64 bytes for each of these entries,
// however many distinct ids there are. Ids are stored as 64-bit hashes with a
// random seed. Two ids with the same hash share their count, which never allows more. When
// the limiter is full it removes an id whose arrival time has passed. If it finds none
// among a few ids, it removes the one of them with the earliest arrival time, so an id that
// has used up its window stays.
//
// It is safe for concurrent use. Times are exact to the nanosecond and must be in the
// years 1971 to 2261.
func NewLimiter(entries int) store.Limiter {
	return &limiter{seed: maphash.MakeSeed(), most: max(entries, 1024), arrivals: make(map[uint64]int64)}
}

// late is how far the time of a call may be behind that of other calls by the same clock:
// the time is read when a request begins, and requests overtake one another. A late call
// does not give back what the others used. If the clock is set back by less than late, ids are
// refused for that much longer.
const late = time.Second

// limiter implements store.Limiter by the generic cell rate algorithm, which stores one
// number for each id.
type limiter struct {
	seed     maphash.Seed
	most     int
	mu       sync.Mutex
	arrivals map[uint64]int64 // by the hash of an id, in nanoseconds
}

var (
	errStep = errors.New("the step must not be negative")
	errTime = errors.New("the time must be in the years 1971 to 2261")
)

// Advance implements store.Limiter. A negative step and a time out of range are errors,
// and change nothing.
func (l *limiter) Advance(ctx context.Context, id string, now time.Time, step, window time.Duration) (ahead time.Duration, moved bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, fail("advance limiter", err)
	}
	if step < 0 {
		return 0, false, fail("advance limiter", errStep)
	}
	if year := now.Year(); year < 1971 || year > 2261 {
		return 0, false, fail("advance limiter", errTime)
	}
	ahead, moved = l.advance(maphash.String(l.seed, id), now.UnixNano(), step, window)
	return ahead, moved, nil
}

func (l *limiter) advance(hash uint64, now int64, step, window time.Duration) (ahead time.Duration, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Compare differences of times, which fit into an int64; a sum could overflow.
	at, known := l.arrivals[hash]
	if known {
		most := max(window, 0)
		ahead = time.Duration(at - now)
		if ahead > most && ahead-most > late {
			// Store it, too: otherwise each refusal would move the block along with now.
			l.arrivals[hash] = now + int64(most)
		}
		ahead = max(0, min(ahead, most))
	}
	if step == 0 || step > window || ahead > window-step || now+int64(ahead) > math.MaxInt64-int64(step) {
		return ahead, false
	}
	ahead += step
	if !known && len(l.arrivals) >= l.most {
		l.evict(now)
	}
	l.arrivals[hash] = now + int64(ahead)
	return ahead, true
}

// evict removes one of a few ids. Iteration over a map begins at a random id, so each call
// considers others.
func (l *limiter) evict(now int64) {
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
