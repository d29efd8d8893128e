package memstore

import (
	"cmp"
	"math"

	"github.com/google/btree"

	"github.com/latchkey-go/latchkey/store"
)

// treeDegree makes nodes of up to 63 entries: about 20 bytes a key and tree.
const treeDegree = 32

// orders are the orders in which keys are listed without sorting: of all
// workspaces and of each.
type orders struct {
	created      *btree.BTreeG[*row]
	name         *btree.BTreeG[*row]
	spaceCreated *btree.BTreeG[*row]
	spaceName    *btree.BTreeG[*row]
}

func newOrders() orders {
	created := func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id))
	}
	name := func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	}
	tree := func(order func(a, b *row) int) *btree.BTreeG[*row] {
		return btree.NewG(treeDegree, func(a, b *row) bool { return order(a, b) < 0 })
	}
	inSpace := func(order func(a, b *row) int) func(a, b *row) int {
		return func(a, b *row) int {
			if a.ws == b.ws {
				return order(a, b)
			}
			return cmp.Or(cmp.Compare(a.ws.id, b.ws.id), order(a, b))
		}
	}
	return orders{tree(created), tree(name), tree(inSpace(created)), tree(inSpace(name))}
}

// add puts r in all orders, in the place of an equal one.
func (o *orders) add(r *row) {
	o.created.ReplaceOrInsert(r)
	o.name.ReplaceOrInsert(r)
	o.spaceCreated.ReplaceOrInsert(r)
	o.spaceName.ReplaceOrInsert(r)
}

func (o *orders) remove(r *row) {
	o.created.Delete(r)
	o.name.Delete(r)
	o.spaceCreated.Delete(r)
	o.spaceName.Delete(r)
}

// walk calls visit for the rows after the given place (nil: from the start)
// in the order of q, until it returns false.
func (o *orders) walk(q *store.KeyQuery, after *row, visit func(*row) bool) {
	tree, byName := o.created, q.Sort == store.ByName
	switch {
	case byName && q.Workspace == "":
		tree = o.name
	case byName:
		tree = o.spaceName
	case q.Workspace != "":
		tree = o.spaceCreated
	}
	from := after
	if from == nil && q.Workspace != "" {
		// The text that comes right after the workspace's id bounds it.
		bound := q.Workspace
		if q.Descending {
			bound += "\x00"
		}
		from = &row{ws: &workspace{id: bound}, created: math.MinInt64}
	}
	step := func(r *row) bool {
		if q.Workspace != "" && r.ws.id != q.Workspace {
			return false
		}
		if after != nil && r.id == after.id && (byName && r.name == after.name || !byName && r.created == after.created) {
			return true // the place itself
		}
		return visit(r)
	}
	switch {
	case q.Descending && from == nil:
		tree.Descend(step)
	case q.Descending:
		tree.DescendLessOrEqual(from, step)
	case from == nil:
		tree.Ascend(step)
	default:
		tree.AscendGreaterOrEqual(from, step)
	}
}
