package redisstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// List implements store.Keys.
func (t *keyTable) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	page, err := t.list(ctx, &q)
	return page, fail("list keys", err)
}

func (t *keyTable) list(ctx context.Context, q *store.KeyQuery) (store.KeyPage, error) {
	page, err := q.Page(func(q *store.KeyQuery, most int) ([]store.Key, error) { return t.scan(ctx, q, most) })
	if err != nil || len(page.Keys) == 0 {
		return store.KeyPage{}, err
	}
	var ids []string
	for i := range page.Keys {
		ids = append(ids, page.Keys[i].Workspace)
	}
	slices.Sort(ids)
	instance, workspaces, err := t.db.settings(ctx, slices.Compact(ids)...)
	if err != nil {
		return store.KeyPage{}, err
	}
	page.Instance, page.Workspaces = instance, make(map[string]store.Workspace, len(workspaces))
	for _, w := range workspaces {
		page.Workspaces[w.ID] = w
	}
	return page, nil
}

// maxVisit bounds how many records a script reads, and batch how many it changes, so
// that no script blocks the server for long.
const (
	maxVisit = 200
	batch    = 50
)

// scan returns up to limit matching keys in the order of a sorted set.
func (t *keyTable) scan(ctx context.Context, q *store.KeyQuery, limit int) ([]store.Key, error) {
	l, byName := t.db.layout, q.Sort == store.ByName
	order := cmp.Or(map[store.KeySort]string{store.ByName: "names", store.ByExpiry: "ends"}[q.Sort], "created")
	p := page{script: t.db.scripts.page, keys: []string{l.order(q.Workspace, order), l.keys(), l.deleting()}, from: "-", to: "+", descending: q.Descending, byName: byName}
	switch {
	case q.After == nil:
	case byName:
		p.after(nameMember(q.After.Name, q.After.ID))
	case q.Sort == store.ByExpiry:
		p.after(expiryMember(q.After.Time, q.After.ID))
	default:
		p.after(sortable(q.After.Time) + q.After.ID)
	}
	return collect(ctx, t.db, p, limit, decodeKey, q.Matches)
}

// page is the part of a sorted set that is still to be read.
type page struct {
	script     *script  // page.lua or workspaces.lua
	keys       []string // of the script
	from, to   string   // the bounds of ZRANGEBYLEX; "-" and "+" are no bounds
	descending bool
	byName     bool
}

// after moves the start of the page behind a member.
func (p *page) after(member string) {
	if p.descending {
		p.to = "(" + member
	} else {
		p.from = "(" + member
	}
}

// collect reads records and returns up to limit for which keep returns true.
func collect[R any](
	ctx context.Context, db *Driver, p page, limit int, decode func(id, text string) (R, error), keep func(*R) bool,
) ([]R, error) {
	var records []R
	for {
		found, more, err := db.visit(ctx, &p, limit-len(records))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			r, err := decode(f.id, f.text)
			if err != nil {
				return nil, err
			}
			if !keep(&r) {
				continue
			}
			if records = append(records, r); len(records) == limit {
				return records, nil
			}
		}
		if !more {
			return records, nil
		}
	}
}

// visited is a record and its member in the sorted set.
type visited struct{ id, member, text string }

// visit returns the next records, without those of deleted workspaces, and moves p
// behind them.
func (db *Driver) visit(ctx context.Context, p *page, wanted int) (found []visited, more bool, err error) {
	n := min(max(wanted, 100), maxVisit)
	c := evaluate(p.script, p.keys, p.descending, p.from, p.to, n, p.byName)
	if err := db.send(ctx, c); err != nil {
		return nil, false, err
	}
	for texts := c.texts(); len(texts) >= 3; texts = texts[3:] { // id, member and record of each
		if texts[2] != "" {
			found = append(found, visited{texts[0], texts[1], texts[2]})
		}
		p.after(texts[1])
	}
	return found, len(c.list()) == 3*n, nil
}
