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
	if err != nil {
		return store.KeyPage{}, fail("list keys", err)
	}
	return page, nil
}

func (t *keyTable) list(ctx context.Context, q *store.KeyQuery) (store.KeyPage, error) {
	limit, err := pageSize(q.Limit)
	if err != nil {
		return store.KeyPage{}, err
	}
	var keys []store.Key
	switch q.Sort {
	case "", store.ByCreated, store.ByName:
		// One more than asked for tells whether there is a next page.
		keys, err = t.scan(ctx, q, limit+1, func(k *store.Key) bool { return matches(q, k) })
	case store.ByLastUsed, store.ByExpiry:
		keys, err = t.sorted(ctx, q)
	default:
		err = fmt.Errorf("unknown order %q", q.Sort)
	}
	if err != nil {
		return store.KeyPage{}, err
	}
	if len(keys) <= limit {
		return store.KeyPage{Keys: keys}, nil
	}
	return store.KeyPage{Keys: keys[:limit:limit], Next: cursor(q.Sort, &keys[limit-1])}, nil
}

func pageSize(limit int) (int, error) {
	if limit < 0 || limit > store.MaxPage {
		return 0, fmt.Errorf("the limit must be 1 to %d, or 0 for 100", store.MaxPage)
	}
	if limit == 0 {
		return 100, nil
	}
	return limit, nil
}

// stretch is how many records one script visits, and batch how many one changes,
// so that others come in between.
const (
	stretch = 200
	batch   = 100
)

// scan collects up to limit keys in an order that is kept.
func (t *keyTable) scan(ctx context.Context, q *store.KeyQuery, limit int, keep func(*store.Key) bool) ([]store.Key, error) {
	byName := q.Sort == store.ByName
	l := t.db.layout
	p := page{keys: []string{l.order(q.Workspace, byName), l.keys(), l.deleting()}, descending: q.Descending, byName: byName}
	switch {
	case q.After == nil:
	case byName:
		p.after(namePlace(q.After.Name, q.After.ID))
	default:
		p.after(sortable(q.After.Time) + q.After.ID)
	}
	var keys []store.Key
	for {
		found, more, err := t.db.visit(ctx, &p, limit-len(keys))
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			k, err := decodeKey(r.id, r.text)
			if err != nil {
				return nil, err
			}
			if keep(&k) {
				keys = append(keys, k)
			}
			if len(keys) == limit {
				return keys, nil
			}
		}
		if !more {
			return keys, nil
		}
	}
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

// placed is a record and its place in an order.
type placed struct{ id, place, text string }

// visit returns the next records, without those of deleted workspaces, and moves
// on behind them.
func (db *database) visit(ctx context.Context, p *page, wanted int) (found []placed, more bool, err error) {
	direction := "up"
	if p.descending {
		direction = "down"
	}
	by := ""
	if p.byName {
		by = "name"
	}
	n := min(max(wanted, 100), stretch)
	c := evaluate(db.scripts.page, p.keys, direction, cmp.Or(p.from, "-"), cmp.Or(p.to, "+"), n, by)
	if err := db.read(ctx, c); err != nil {
		return nil, false, err
	}
	texts := c.texts()
	for i := 0; i+1 < len(texts); i += 2 {
		r := placed{place: texts[i], text: texts[i+1]}
		if _, id, found := strings.Cut(r.place, "\x00\x01"); p.byName && found {
			r.id = id
		} else if len(r.place) >= 16 {
			r.id = r.place[16:]
		}
		if r.text != "" {
			found = append(found, r)
		}
	}
	if len(texts) > 1 {
		p.after(texts[len(texts)-2])
	}
	return found, len(texts) == 2*n, nil
}

// sorted collects all matching keys of one workspace behind the cursor, in the
// order of a value that has no index.
func (t *keyTable) sorted(ctx context.Context, q *store.KeyQuery) ([]store.Key, error) {
	if q.Workspace == "" {
		return nil, fmt.Errorf("the order %q is for one workspace only", q.Sort)
	}
	all := store.KeyQuery{Workspace: q.Workspace}
	keys, err := t.scan(ctx, &all, store.MaxSorted+1, func(*store.Key) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(keys) > store.MaxSorted {
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
	keys = slices.DeleteFunc(keys, func(k store.Key) bool {
		return !matches(q, &k) || after != nil && order(&k, after) <= 0
	})
	slices.SortFunc(keys, func(a, b store.Key) int { return order(&a, &b) })
	return keys, nil
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

func cursor(sort store.KeySort, k *store.Key) *store.KeyCursor {
	c := &store.KeyCursor{ID: k.ID}
	switch sort {
	case store.ByName:
		c.Name = k.Name
	case store.ByLastUsed:
		c.Time = k.LastUsed
	case store.ByExpiry:
		c.Time = k.NotAfter
	default:
		c.Time = k.Created
	}
	return c
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
