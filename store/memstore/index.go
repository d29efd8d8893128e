package memstore

import (
	"context"

	"github.com/google/btree"
)

// index keeps elements in an order. The zero index is empty, for reading only.
type index[E any] struct {
	tree    *btree.BTreeG[*E]
	compare func(a, b *E) int
}

func newIndex[E any](compare func(a, b *E) int) index[E] {
	// Nodes of up to 63 elements take about 20 bytes for each of them.
	const degree = 32
	return index[E]{btree.NewG(degree, func(a, b *E) bool { return compare(a, b) < 0 }), compare}
}

// walk calls visit for the elements behind after (nil: from the start) until it
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

// stretch is how many records a list visits before it lets writers in.
const stretch = 512

// scan is walk for long lists: between stretches it gives the lock up, so that
// records may come and go as they may between pages. of finds the index under the lock.
func scan[E any](ctx context.Context, db *database, of func() index[E], after *E, descending bool, visit func(*E) bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		visited, more := 0, true
		var last E
		db.mu.RLock()
		of().walk(after, descending, func(e *E) bool {
			visited++
			if more = visit(e); more && visited == stretch {
				last = *e // it may be changed in between
				return false
			}
			return more
		})
		db.mu.RUnlock()
		if !more || visited < stretch {
			return nil
		}
		after = &last
	}
}
