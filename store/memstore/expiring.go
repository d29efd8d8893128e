package memstore

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// expiring holds ids until they expire: one-time ids, and the ids of revoked tokens.
type expiring struct {
	start   time.Time // with a monotonic reading
	entries map[onceKey]*expiringID
	byKeep  index[expiringID]
}

type onceKey struct{ space, id string }

// expiringID is an id that can be removed once the process has run for the time in keep,
// in microseconds.
type expiringID struct {
	store.OnceID
	keep int64
}

func newExpiring(start time.Time) expiring {
	return expiring{
		start:   start,
		entries: make(map[onceKey]*expiringID),
		byKeep: newIndex(func(a, b *expiringID) int {
			return cmp.Or(cmp.Compare(a.keep, b.keep), cmp.Compare(a.Space, b.Space), cmp.Compare(a.ID, b.ID))
		}),
	}
}

// An id is kept for margin after its expiry, for callers whose clocks are behind. If the
// clock of the caller that added it differs from the process's clock, it is kept longer by
// that difference, at most longestToken. So a revocation outlives its token, even if the
// caller's clock was wrong.
const (
	margin       = 10 * time.Minute
	longestToken = 24 * time.Hour
)

// put adds an id for a caller whose time is now. It also removes up to four ids whose time
// is over: more than put adds, so that they do not accumulate, and few enough not to delay
// other calls. The removal uses the process's monotonic clock, so that a caller's wrong
// clock never removes an id too early.
func (x *expiring) put(id store.OnceID, now time.Time) {
	elapsed := time.Since(x.start) //nolint:forbidigo // monotonic
	difference := now.Sub(x.start.Add(elapsed)).Abs()
	left := max(id.Expires.UnixMicro()-now.UnixMicro(), 0)
	id.Expires = toMicro(id.Expires)
	e := &expiringID{id, left + (elapsed + margin + min(difference, longestToken)).Microseconds()}
	key := onceKey{id.Space, id.ID}
	if old := x.entries[key]; old != nil {
		x.byKeep.tree.Delete(old)
		e.keep = max(e.keep, old.keep)
	}
	x.entries[key] = e
	x.byKeep.tree.ReplaceOrInsert(e)
	for range 4 {
		first, _ := x.byKeep.tree.Min()
		if first.keep > elapsed.Microseconds() {
			return
		}
		x.byKeep.tree.DeleteMin()
		delete(x.entries, onceKey{first.Space, first.ID})
	}
}

// has reports whether the id exists and has not expired by the caller's time.
func (x *expiring) has(space, id string, now time.Time) bool {
	e := x.entries[onceKey{space, id}]
	return e != nil && e.Expires.After(toMicro(now))
}

// onceIDs implements store.OnceIDs.
type onceIDs struct{ db *database }

// Spend implements store.OnceIDs.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	spend := store.Change{Once: &id, Now: now}
	return o.db.change(ctx, "spend one-time id", spend, store.Notification{}, func() error { return nil })
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (found store.OnceID, err error) {
	err = o.db.read(ctx, "find one-time id", func() error {
		if !o.db.once.has(space, id, now) {
			return store.ErrNotFound
		}
		found = o.db.once.entries[onceKey{space, id}].OnceID
		return nil
	})
	return found, err
}
