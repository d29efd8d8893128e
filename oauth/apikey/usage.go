package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// ErrNotKept says that the store keeps no such records; see store.Store.
var ErrNotKept = errors.New("apikey: the store does not keep this")

const (
	// maxUsageDays is how many days one call of Usage spans at most.
	maxUsageDays = 400
	// maxCounts is how many counts one write holds at most.
	maxCounts = 500
	// maxUnwritten bounds what is kept when nobody flushes: further keys are left out.
	maxUnwritten = 262_144
)

// Usage returns how often a key logged in and was refused, by day (UTC), with
// from <= day < to, at most 400 days; days without either are left out. A wrong secret for the
// key counts as a refusal, too, unless it cannot be a secret at all (see
// ParseSecret), for then no key is looked up. Logins are in it, as in LastUsed of the
// key, once they are written, see Flush. The actor must be allowed to see the key.
// Without store.Usage it returns ErrNotKept.
func (s *Service) Usage(ctx context.Context, actor Actor, id string, from, to time.Time) ([]store.Count, error) {
	key, err := s.Get(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	if to.Sub(from) > maxUsageDays*24*time.Hour {
		return nil, invalid("from", fmt.Sprintf("At most %d days can be asked for at once.", maxUsageDays))
	}
	if s.store.Usage == nil {
		return nil, ErrNotKept
	}
	days, err := s.store.Usage.Days(ctx, key.Workspace, id, from, to)
	if err != nil {
		return nil, fmt.Errorf("apikey: read usage: %w", err)
	}
	return days, nil
}

// unwritten gathers what logins leave until it is flushed: last uses and, where the
// store keeps them, counts by day. What anybody can send makes no entry: the key
// exists.
type unwritten struct {
	counting bool
	mu       sync.Mutex
	uses     map[usedSecret]time.Time
	counts   map[keyDay]store.Count
}

type usedSecret struct{ key, secret string }

type keyDay struct {
	key string
	day time.Time
}

func newUnwritten(counting bool) *unwritten {
	return &unwritten{counting: counting, uses: make(map[usedSecret]time.Time), counts: make(map[keyDay]store.Count)}
}

func (u *unwritten) login(k *store.Key, secret string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.use(store.Use{Key: k.ID, Secret: secret, At: at})
	u.count(store.Count{Workspace: k.Workspace, Key: k.ID, Day: at, Logins: 1})
}

func (u *unwritten) refusal(k *store.Key, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count(store.Count{Workspace: k.Workspace, Key: k.ID, Day: at, Refusals: 1})
}

// use needs the lock, and so does count.
func (u *unwritten) use(use store.Use) {
	id := usedSecret{use.Key, use.Secret}
	old, known := u.uses[id]
	if use.At.After(old) && (known || len(u.uses) < maxUnwritten) {
		u.uses[id] = use.At
	}
}

func (u *unwritten) count(c store.Count) {
	if !u.counting {
		return
	}
	c.Day = c.Day.Truncate(24 * time.Hour)
	id := keyDay{c.Key, c.Day}
	sum, known := u.counts[id]
	if !known && len(u.counts) >= maxUnwritten {
		return
	}
	c.Logins += sum.Logins
	c.Refusals += sum.Refusals
	u.counts[id] = c
}

func (u *unwritten) take() (uses []store.Use, counts []store.Count) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, at := range u.uses {
		uses = append(uses, store.Use{Key: id.key, Secret: id.secret, At: at})
	}
	for _, c := range u.counts {
		counts = append(counts, c)
	}
	clear(u.uses)
	clear(u.counts)
	return uses, counts
}

func (u *unwritten) putBack(uses []store.Use, counts []store.Count) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, use := range uses {
		u.use(use)
	}
	for _, c := range counts {
		u.count(c)
	}
}

// flushUses writes last uses and counts. What a failed write could not tell for
// certain is counted again: rather a login too many than one too few.
func (s *Service) flushUses(ctx context.Context) error {
	uses, counts := s.unwritten.take()
	var problems []error
	if len(uses) > 0 {
		if err := s.store.Upkeep.Touch(ctx, uses); err != nil {
			s.unwritten.putBack(uses, nil)
			problems = append(problems, fmt.Errorf("apikey: write last uses: %w", err))
		}
	}
	for len(counts) > 0 {
		some := counts[:min(len(counts), maxCounts)]
		if err := s.store.Usage.Add(ctx, some); err != nil {
			s.unwritten.putBack(nil, counts)
			problems = append(problems, fmt.Errorf("apikey: write usage: %w", err))
			break
		}
		counts = counts[len(some):]
	}
	return errors.Join(problems...)
}
