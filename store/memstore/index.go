package memstore

import (
	"context"

	"github.com/google/btree"
)

// index is an ordered set of elements. The zero index is empty and must not be written to.
type index[E any] struct {
	tree    *btree.BTreeG[*E]
	compare func(a, b *E) int
}

func newIndex[E any](compare func(a, b *E) int) index[E] {
	// With nodes of up to 63 elements the tree takes about 20 bytes an element.
	const degree = 32
	return index[E]{btree.NewG(degree, func(a, b *E) bool { return compare(a, b) < 0 }), compare}
}

// walk calls visit for the elements after the given one (nil means all) until visit
// returns false.
func (x index[E]) walk(after *E, descending bool, visit func(*E) bool) {
	step := func(e *E) bool {
		return after != nil && x.compare(e, after) == 0 || visit(e)
	}
	switch {
	case x.tree == nil:
	case descending && after == nil:
		x.tree.Descend(step)
	case descending:
		x.tree.DescendLessOrEqual(after, step)
	case after == nil:
		x.tree.Ascend(step)
	default:
		x.tree.AscendGreaterOrEqual(after, step)
	}
}

// batch is how many records a list visits before it releases the lock to writers.
const batch = 512

// scan is like walk, for long lists. It releases the lock between batches: as between two
// pages, other calls may then add and remove records. lookUp returns the index; it is
// called with the lock held.
func scan[E any](ctx context.Context, db *database, lookUp func() index[E], after *E, descending bool, visit func(*E) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		visited, more := 0, true
		var last E
		db.mu.RLock()
		lookUp().walk(after, descending, func(e *E) bool {
			visited++
			if more = visit(e); more && visited == batch {
				last = *e // a copy: e may change when the lock is released
				return false
			}
			return more
		})
		db.mu.RUnlock()
		if !more || visited < batch {
			return nil
		}
		after = &last
	}
}
