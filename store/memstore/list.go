package memstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// stretch is how many rows a list visits before it lets writers in.
const stretch = 512

// List implements store.Keys. A page is put together in stretches, between
// which keys may come and go as they may between pages.
func (t *keyTable) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	page, err := t.list(ctx, q)
	if err != nil {
		return store.KeyPage{}, fail("list keys", err)
	}
	return page, nil
}

func (t *keyTable) list(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	if err := ctx.Err(); err != nil {
		return store.KeyPage{}, err
	}
	limit, err := store.PageSize(q.Limit)
	if err != nil {
		return store.KeyPage{}, err
	}
	var rows []*row
	switch q.Sort {
	case "", store.ByCreated, store.ByName:
		// One more than asked for tells whether there is a next page.
		rows, err = t.scan(ctx, &q, place(&q), limit+1)
	case store.ByLastUsed, store.ByExpiry:
		rows, err = t.sorted(ctx, &q)
	default:
		err = fmt.Errorf("unknown order %q", q.Sort)
	}
	if err != nil {
		return store.KeyPage{}, err
	}
	more := len(rows) > limit
	if more {
		rows = rows[:limit]
	}
	page := store.KeyPage{Keys: make([]store.Key, len(rows))}
	for i, r := range rows {
		page.Keys[i] = r.key()
	}
	t.around(rows, &page)
	if more {
		page.Next = q.Sort.Cursor(&page.Keys[limit-1])
	}
	return page, nil
}

// around adds the settings that the keys of a page stand under.
func (t *keyTable) around(rows []*row, page *store.KeyPage) {
	if len(rows) == 0 {
		return
	}
	page.Workspaces = make(map[string]store.Workspace)
	lock := t.db.reader(rows[0].ws.id)
	lock.RLock()
	defer lock.RUnlock()
	page.Instance = t.db.instance
	for _, r := range rows {
		page.Workspaces[r.ws.id] = r.ws.record
	}
}

// scan collects up to limit matching rows after the given place.
func (t *keyTable) scan(ctx context.Context, q *store.KeyQuery, after *row, limit int) ([]*row, error) {
	var rows []*row
	lock := t.db.reader(q.Workspace)
	for {
		visited := 0
		lock.RLock()
		t.db.orders.walk(q, after, func(r *row) bool {
			visited++
			after = r
			if matches(q, r) {
				rows = append(rows, r)
			}
			return visited < stretch && len(rows) < limit
		})
		lock.RUnlock()
		if visited < stretch || len(rows) >= limit {
			return rows, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// sorted collects all matching rows of one workspace behind the cursor, in
// the order of a value that has no index.
func (t *keyTable) sorted(ctx context.Context, q *store.KeyQuery) ([]*row, error) {
	if q.Workspace == "" {
		return nil, fmt.Errorf("the order %q is for one workspace only", q.Sort)
	}
	all := store.KeyQuery{Workspace: q.Workspace}
	rows, err := t.scan(ctx, &all, nil, store.MaxSorted+1)
	if err != nil {
		return nil, err
	}
	if len(rows) > store.MaxSorted {
		return nil, fmt.Errorf("the order %q is for workspaces of at most %d keys", q.Sort, store.MaxSorted)
	}
	order := func(a, b *row) int {
		return cmp.Or(cmp.Compare(sortValue(q.Sort, a), sortValue(q.Sort, b)), cmp.Compare(a.id, b.id))
	}
	if q.Descending {
		ascending := order
		order = func(a, b *row) int { return ascending(b, a) }
	}
	after := place(q)
	rows = slices.DeleteFunc(rows, func(r *row) bool {
		return !matches(q, r) || after != nil && order(r, after) <= 0
	})
	slices.SortFunc(rows, order)
	return rows, nil
}

// sortValue is what ByLastUsed and ByExpiry compare. A key that never expires
// comes after all that do.
func sortValue(sort store.KeySort, r *row) int64 {
	switch {
	case sort == store.ByLastUsed:
		return r.lastUsed
	case r.notAfter == never:
		return math.MaxInt64
	}
	return r.notAfter
}

// place is the cursor as a row, or nil.
func place(q *store.KeyQuery) *row {
	if q.After == nil {
		return nil
	}
	value := micros(q.After.Time)
	return &row{
		ws: &workspace{id: q.Workspace}, id: q.After.ID, name: q.After.Name,
		created: value, lastUsed: value, notAfter: value,
	}
}

// matches reports whether r meets every condition of q.
func matches(q *store.KeyQuery, r *row) bool {
	if q.Disabled != nil && *q.Disabled != r.disabled {
		return false
	}
	if q.CreatedBy != (store.ActorRef{}) {
		if q.CreatedBy.ID != r.makerID || q.CreatedBy.Kind != "" && q.CreatedBy.Kind != r.makerKind {
			return false
		}
	}
	if q.MadeBy != "" && q.MadeBy != r.makerID &&
		!slices.ContainsFunc(r.secrets, func(s secretRow) bool { return s.makerID == q.MadeBy }) {
		return false
	}
	if !q.NotAfterFrom.IsZero() && (r.notAfter == never || r.notAfter < micros(q.NotAfterFrom)) {
		return false
	}
	if !q.NotAfterTo.IsZero() && (r.notAfter == never || r.notAfter >= micros(q.NotAfterTo)) {
		return false
	}
	if q.Permission != "" && !r.permissions.Has(q.Permission) {
		return false
	}
	return q.Text == "" || containsFold(r.name, q.Text) || containsFold(r.id, q.Text)
}

// containsFold is strings.Contains without regard to ASCII case, without a
// copy of either text.
func containsFold(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		j := 0
		for j < len(part) && lower(text[i+j]) == lower(part[j]) {
			j++
		}
		if j == len(part) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
