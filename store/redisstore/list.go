package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// List implements store.Keys.
func (t *keyTable) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	page, err := t.list(ctx, &q)
	return page, fail("list keys", err)
}

func (t *keyTable) list(ctx context.Context, q *store.KeyQuery) (store.KeyPage, error) {
	limit, err := store.PageSize(q.Limit)
	if err != nil {
		return store.KeyPage{}, err
	}
	var found []store.Found
	switch q.Sort {
	case "", store.ByCreated, store.ByName:
		// One more than asked for tells whether there is a next page.
		found, err = t.scan(ctx, q, limit+1, func(f *store.Found) bool { return matches(q, &f.Key) })
	case store.ByLastUsed, store.ByExpiry:
		found, err = t.sorted(ctx, q)
	default:
		err = fmt.Errorf("unknown order %q", q.Sort)
	}
	if err != nil {
		return store.KeyPage{}, err
	}
	page := store.KeyPage{Workspaces: map[string]store.Workspace{}}
	for i := range found[:min(len(found), limit)] {
		f := &found[i]
		page.Keys = append(page.Keys, f.Key)
		page.Workspaces[f.Key.Workspace], page.Instance = f.Workspace, f.Instance
	}
	if len(found) > limit {
		page.Next = q.Sort.Cursor(&found[limit-1].Key)
	}
	return page, nil
}

// stretch is how many records one script visits, and batch how many one changes,
// so that others come in between.
const (
	stretch = 200
	batch   = 100
)

// scan collects up to limit keys in an order that is kept.
func (t *keyTable) scan(ctx context.Context, q *store.KeyQuery, limit int, keep func(*store.Found) bool) ([]store.Found, error) {
	l, byName := t.db.layout, q.Sort == store.ByName
	p := page{keys: []string{l.order(q.Workspace, byName), l.keys(), l.deleting(), l.settings(), l.counts()}, descending: q.Descending, byName: byName}
	switch {
	case q.After == nil:
	case p.byName:
		p.after(namePlace(q.After.Name, q.After.ID))
	default:
		p.after(sortable(q.After.Time) + q.After.ID)
	}
	return collect(ctx, t.db, p, limit, func(id, text string) (store.Found, error) {
		around := strings.SplitN(text, "\n", 4)
		if len(around) < 4 {
			return store.Found{}, errRecord
		}
		return decodeFound(id, around[3], around[0], around[1], around[2])
	}, keep)
}

// page is a way through an order, a set sorted by its members.
type page struct {
	keys       []string // of page.lua
	descending bool
	byName     bool
	from, to   string // bounds of ZRANGEBYLEX; "" is none
}

// after starts behind a place.
func (p *page) after(place string) {
	if p.descending {
		p.to = "(" + place
	} else {
		p.from = "(" + place
	}
}

// collect returns up to limit of the records that are to be kept.
func collect[R any](
	ctx context.Context, db *database, p page, limit int, decode func(id, text string) (R, error), keep func(*R) bool,
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

// placed is a record and its place in an order.
type placed struct{ id, place, text string }

// visit returns the next records, without those of deleted workspaces, and moves
// on behind them.
func (db *database) visit(ctx context.Context, p *page, wanted int) (found []placed, more bool, err error) {
	n := min(max(wanted, 100), stretch)
	c := evaluate(db.scripts.page, p.keys, flag(p.descending), cmp.Or(p.from, "-"), cmp.Or(p.to, "+"), n, flag(p.byName))
	if err := db.send(ctx, c); err != nil {
		return nil, false, err
	}
	texts := c.texts() // id, place and record of each
	for ; len(texts) >= 3; texts = texts[3:] {
		if texts[2] != "" {
			found = append(found, placed{texts[0], texts[1], texts[2]})
		}
		if len(texts) == 3 {
			p.after(texts[1])
		}
	}
	return found, len(c.list()) == 3*n, nil
}

// sorted collects all matching keys of one workspace behind the cursor, in the
// order of a value that has no index.
func (t *keyTable) sorted(ctx context.Context, q *store.KeyQuery) ([]store.Found, error) {
	if q.Workspace == "" {
		return nil, fmt.Errorf("the order %q is for one workspace only", q.Sort)
	}
	all := store.KeyQuery{Workspace: q.Workspace}
	found, err := t.scan(ctx, &all, store.MaxSorted+1, func(*store.Found) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(found) > store.MaxSorted {
		return nil, fmt.Errorf("the order %q is for workspaces of at most %d keys", q.Sort, store.MaxSorted)
	}
	order := func(a, b *store.Key) int {
		return cmp.Or(cmp.Compare(sortValue(q.Sort, a), sortValue(q.Sort, b)), cmp.Compare(a.ID, b.ID))
	}
	if q.Descending {
		ascending := order
		order = func(a, b *store.Key) int { return ascending(b, a) }
	}
	var after *store.Key
	if q.After != nil {
		after = &store.Key{ID: q.After.ID, LastUsed: q.After.Time, NotAfter: q.After.Time}
	}
	found = slices.DeleteFunc(found, func(f store.Found) bool {
		return !matches(q, &f.Key) || after != nil && order(&f.Key, after) <= 0
	})
	slices.SortFunc(found, func(a, b store.Found) int { return order(&a.Key, &b.Key) })
	return found, nil
}

// sortValue is what ByLastUsed and ByExpiry compare. A key that never expires
// comes after all that do.
func sortValue(sort store.KeySort, k *store.Key) int64 {
	switch {
	case sort == store.ByLastUsed:
		return k.LastUsed.UnixMicro()
	case k.NotAfter.IsZero():
		return math.MaxInt64
	}
	return k.NotAfter.UnixMicro()
}

// matches reports whether k meets every condition of q.
func matches(q *store.KeyQuery, k *store.Key) bool {
	if q.Disabled != nil && *q.Disabled != k.Disabled {
		return false
	}
	if q.CreatedBy != (store.ActorRef{}) {
		if q.CreatedBy.ID != k.CreatedBy.ID || q.CreatedBy.Kind != "" && q.CreatedBy.Kind != k.CreatedBy.Kind {
			return false
		}
	}
	if q.MadeBy != "" && q.MadeBy != k.CreatedBy.ID &&
		!slices.ContainsFunc(k.Secrets, func(s store.Secret) bool { return s.CreatedBy.ID == q.MadeBy }) {
		return false
	}
	if !expiresWithin(k.NotAfter, q.NotAfterFrom, q.NotAfterTo) {
		return false
	}
	if q.Permission != "" && !k.Permissions.Has(q.Permission) {
		return false
	}
	text := lower(q.Text)
	return text == "" || strings.Contains(lower(k.Name), text) || strings.Contains(lower(k.ID), text)
}

func expiresWithin(end, from, to time.Time) bool {
	if from.IsZero() && to.IsZero() {
		return true
	}
	return !end.IsZero() && !end.Before(from) && (to.IsZero() || end.Before(to))
}

// lower changes ASCII letters only.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
