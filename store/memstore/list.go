package memstore

import (
	"context"
	"fmt"

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
	var keys []store.Key
	switch q.Sort {
	case "", store.ByCreated, store.ByName:
		// One more than asked for tells whether there is a next page.
		keys, err = t.scan(ctx, &q, limit+1)
	case store.ByLastUsed, store.ByExpiry:
		all := store.KeyQuery{Workspace: q.Workspace}
		if q.Workspace != "" {
			keys, err = t.scan(ctx, &all, store.MaxSorted+1)
		}
		if err == nil {
			keys, err = q.SortAll(keys)
		}
	default:
		err = fmt.Errorf("unknown order %q", q.Sort)
	}
	if err != nil {
		return store.KeyPage{}, err
	}
	page := store.KeyPage{Keys: keys[:min(len(keys), limit)]}
	if len(keys) > limit {
		page.Next = q.Sort.Cursor(&keys[limit-1])
	}
	t.around(&page)
	return page, nil
}

// around adds the settings that the keys of a page stand under.
func (t *keyTable) around(page *store.KeyPage) {
	if len(page.Keys) == 0 {
		return
	}
	page.Workspaces = make(map[string]store.Workspace)
	lock := t.db.reader(page.Keys[0].Workspace)
	lock.RLock()
	defer lock.RUnlock()
	page.Instance = t.db.instance
	for i := range page.Keys {
		id := page.Keys[i].Workspace
		page.Workspaces[id] = store.Workspace{ID: id}
		if ws := t.db.workspaces[id]; ws != nil {
			page.Workspaces[id] = ws.record
		}
	}
}

// scan collects up to limit matching keys behind the cursor of q, in an order that is
// kept.
func (t *keyTable) scan(ctx context.Context, q *store.KeyQuery, limit int) ([]store.Key, error) {
	var keys []store.Key
	lock, after := t.db.reader(q.Workspace), place(q)
	for {
		var rows []*row
		n := min(max(limit-len(keys), 100), stretch)
		lock.RLock()
		t.db.orders.walk(q, after, func(r *row) bool {
			rows = append(rows, r)
			return len(rows) < n
		})
		lock.RUnlock()
		for _, r := range rows {
			if k := r.key(); q.Matches(&k) {
				if keys = append(keys, k); len(keys) == limit {
					return keys, nil
				}
			}
		}
		if len(rows) < n {
			return keys, nil
		}
		after = rows[n-1]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
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
