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

// NewLimiter returns a limiter within the process, for about the given number
// of ids at a time; fewer than 1,024 count as 1,024. It grows as ids come, up
// to 64 bytes for each entry, and never beyond, however many distinct ids
// there are. Ids are kept as 64-bit hashes under a random seed; two ids of
// one hash share their count, which never lets more through. When full it
// forgets what is past first, and then the id that is nearest to being past;
// one that uses up its window stays.
//
// It is safe for concurrent use. Instants are exact to the nanosecond and
// must lie between the years 1971 and 2261.
func NewLimiter(entries int) store.Limiter {
	l := &limiter{seed: maphash.MakeSeed(), maxBuckets: 1}
	// Twice as many slots as entries keep full buckets rare.
	for l.maxBuckets*bucketSize*limiterShards < 2*max(min(entries, 1<<30), 1024) {
		l.maxBuckets *= 2
	}
	return l
}

const (
	limiterShards = 16
	bucketSize    = 8
)

// late is how far a call's time may lie behind those of others on one clock:
// it was read when a request began, and requests overtake one another. What
// they used is not given back by a late call; a clock set back by less than
// this blocks for that much longer.
const late = time.Second

// limiter implements store.Limiter by the generic cell rate algorithm: one
// number an id.
type limiter struct {
	seed       maphash.Seed
	maxBuckets int // of one shard, a power of two
	shards     [limiterShards]limiterShard
}

type limiterShard struct {
	mu      sync.Mutex
	buckets []bucket // a power of two, or none yet
	_       [32]byte // fills the cache line
}

// bucket holds the ids whose hashes share their low bits. A slot whose
// arrival is past is free.
type bucket [bucketSize]arrival

type arrival struct {
	hash uint64
	at   int64 // nanoseconds; 0 in a slot never used
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
	hash := maphash.String(l.seed, id)
	shard := &l.shards[hash>>60]
	at, moved := shard.advance(hash, now.UnixNano(), by, window, l.maxBuckets)
	return time.Duration(at - now.UnixNano()), moved, nil
}

func (s *limiterShard) advance(hash uint64, now int64, by, window time.Duration, maxBuckets int) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now
	slot := s.find(hash)
	// at-now and window-by fit in an int64; a sum could overflow.
	if slot != nil {
		ahead, most := slot.at-now, max(int64(window), 0)
		if ahead > most && ahead-most > int64(late) {
			// Kept, too: else each refusal would move the block along with now.
			slot.at = now + most
		}
		at = now + max(0, min(ahead, most))
	}
	if by == 0 || by > window || at-now > int64(window-by) {
		return at, false
	}
	if at > math.MaxInt64-int64(by) {
		return at, false
	}
	at += int64(by)
	if slot == nil {
		slot = s.free(hash, now, maxBuckets)
	}
	*slot = arrival{hash, at}
	return at, true
}

func (s *limiterShard) find(hash uint64) *arrival {
	if len(s.buckets) == 0 {
		return nil
	}
	b := s.bucket(hash)
	for i := range b {
		if b[i].hash == hash && b[i].at != 0 {
			return &b[i]
		}
	}
	return nil
}

func (s *limiterShard) bucket(hash uint64) *bucket {
	return &s.buckets[hash&uint64(len(s.buckets)-1)] //nolint:gosec // a shard has at least one bucket
}

// free returns the slot to use for a new id: one that is past; else the table
// grows; else the one that is nearest to being past.
func (s *limiterShard) free(hash uint64, now int64, maxBuckets int) *arrival {
	if len(s.buckets) == 0 {
		s.buckets = make([]bucket, 1)
	}
	for {
		b := s.bucket(hash)
		oldest := &b[0]
		for i := range b {
			if b[i].at < oldest.at {
				oldest = &b[i]
			}
		}
		if oldest.at <= now || len(s.buckets) >= maxBuckets {
			return oldest
		}
		s.grow()
	}
}

// grow doubles the table: the next bit of a hash says in which of two buckets
// its slot now is, and that slot is as free there as it was before.
func (s *limiterShard) grow() {
	half := uint64(len(s.buckets))
	buckets := make([]bucket, 2*half)
	for i := range s.buckets {
		for j, a := range s.buckets[i] {
			if a.at != 0 { // an empty entry would overwrite one of the first bucket
				buckets[a.hash&(2*half-1)][j] = a
			}
		}
	}
	s.buckets = buckets
}
