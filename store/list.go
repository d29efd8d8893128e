package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// KeySort is the order of a list.
type KeySort string

// The orders. Keys with the same value are ordered by id, so that a cursor is stable.
const (
	ByCreated  KeySort = "created" // the default
	ByName     KeySort = "name"    // byte order
	ByLastUsed KeySort = "last_used"
	ByExpiry   KeySort = "expires" // a key that never expires has the latest expiry: last, or first if Descending
)

// MaxSorted is the largest number of keys that a workspace may hold to be listed by
// last use.
const MaxSorted = 10_000

// MaxPage is the largest page that a list returns.
const MaxPage = 1000

// PageSize returns the page size for the Limit of a query. A limit below 0 or above
// MaxPage is an error. It is for drivers.
func PageSize(limit int) (int, error) {
	switch {
	case limit < 0 || limit > MaxPage:
		return 0, fmt.Errorf("the page limit must be from 1 to %d, or 0 for 100", MaxPage)
	case limit == 0:
		return 100, nil
	}
	return limit, nil
}

// readPage reads the records of one page, and reports whether there is a next page. It
// calls read for one record more than the page holds, to find that out.
func readPage[R any](limit int, read func(most int) ([]R, error)) (records []R, more bool, err error) {
	limit, err = PageSize(limit)
	if err != nil {
		return nil, false, err
	}
	records, err = read(limit + 1)
	if err != nil {
		return nil, false, err
	}
	return records[:min(len(records), limit)], len(records) > limit, nil
}

// KeyQuery selects and orders keys. A key must meet every condition that is set.
// The zero value lists all keys of all workspaces by creation.
//
// A key that exists while a caller follows the cursors, and whose sorted value does not
// change meanwhile, is on exactly one of the pages, in order, even if other keys are
// created or deleted. ByName, ByLastUsed and ByExpiry go by the values at the time of
// each page.
//
// ByLastUsed is for one workspace of at most MaxSorted keys; otherwise List returns an
// error that says so. All other orders are for any number of keys, also of all
// workspaces.
type KeyQuery struct {
	// Workspace, unless empty, limits the list to one workspace.
	Workspace string
	// Text, unless empty, keeps keys whose name or id contains it, without
	// regard to ASCII case.
	Text string
	// Permission, unless empty, keeps keys that hold it.
	Permission string
	// CreatedBy, unless zero, keeps keys that this actor created. An empty Kind
	// matches every kind.
	CreatedBy ActorRef
	// CreatorID, unless empty, keeps keys that the actor with this id created, and
	// keys with a credential that it created, whatever its Kind.
	CreatorID string
	// Disabled, unless nil, keeps keys in that state.
	Disabled *bool
	// NotAfterFrom and NotAfterTo, unless zero, keep keys with
	// NotAfterFrom <= NotAfter < NotAfterTo. A key that never expires has no
	// NotAfter and matches neither.
	NotAfterFrom time.Time
	NotAfterTo   time.Time
	// LastUsedFrom and LastUsedTo, unless zero, keep keys with
	// LastUsedFrom <= LastUsed < LastUsedTo. A key that was never used matches
	// neither.
	LastUsedFrom time.Time
	LastUsedTo   time.Time
	Sort         KeySort
	Descending   bool
	// After, unless nil, begins the page after this key of an earlier page.
	After *KeyCursor
	// Limit is the size of the page: 1 to MaxPage; 0 means 100.
	Limit int
}

// KeyCursor is a position in a list: the sorted value and the id of a key, or the time and
// the id of an event.
type KeyCursor struct {
	ID   string
	Time time.Time // ByCreated, ByLastUsed, ByExpiry; of an event
	Name string    // ByName
}

// Cursor returns the position of k in a list of this order. It is for drivers.
func (s KeySort) Cursor(k *Key) *KeyCursor {
	c := &KeyCursor{ID: k.ID}
	switch s {
	case ByName:
		c.Name = k.Name
	case ByLastUsed:
		c.Time = k.LastUsed
	case ByExpiry:
		c.Time = k.NotAfter
	default:
		c.Time = k.Created
	}
	return c
}

// Matches reports whether k meets every condition of q but Workspace and After, which it
// does not check. It is for drivers.
func (q *KeyQuery) Matches(k *Key) bool {
	creator, text := q.CreatedBy, lower(q.Text)
	createdCredential := func(c Credential) bool { return c.CreatedBy.ID == q.CreatorID }
	return (q.Disabled == nil || *q.Disabled == k.Disabled) &&
		(creator == ActorRef{} || creator.ID == k.CreatedBy.ID && (creator.Kind == "" || creator.Kind == k.CreatedBy.Kind)) &&
		(q.CreatorID == "" || q.CreatorID == k.CreatedBy.ID || slices.ContainsFunc(k.Credentials, createdCredential)) &&
		within(k.NotAfter, q.NotAfterFrom, q.NotAfterTo) && within(k.LastUsed, q.LastUsedFrom, q.LastUsedTo) &&
		(q.Permission == "" || k.Permissions.Has(q.Permission)) &&
		(text == "" || strings.Contains(lower(k.Name), text) || strings.Contains(lower(k.ID), text))
}

// within reports whether from <= t < to. A zero bound is not checked. If there is a
// bound, the zero time is not within it.
func within(t, from, to time.Time) bool {
	return from.IsZero() && to.IsZero() || !t.IsZero() && !t.Before(from) && (to.IsZero() || t.Before(to))
}

// lower changes only ASCII letters.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// Page assembles one page, for a driver that keeps keys ordered by creation, name and
// expiry, and matches them in Go. It calls read with a query in one of these
// orders; read returns the first keys that match, in order, and at most the given
// number of them. Page does not set the settings of the keys; the driver does.
func (q *KeyQuery) Page(read func(q *KeyQuery, most int) ([]Key, error)) (KeyPage, error) {
	keys, more, err := readPage(q.Limit, func(most int) ([]Key, error) {
		switch q.Sort {
		case "", ByCreated, ByName, ByExpiry:
			return read(q, most)
		case ByLastUsed:
			return q.byLastUse(read)
		}
		return nil, fmt.Errorf("unknown order %q: use \"created\", \"name\", \"last_used\" or \"expires\"", q.Sort)
	})
	page := KeyPage{Keys: keys}
	if more {
		page.Next = q.Sort.Cursor(&keys[len(keys)-1])
	}
	return page, err
}

// byLastUse returns all keys after the cursor that match, in order of last use.
func (q *KeyQuery) byLastUse(read func(q *KeyQuery, most int) ([]Key, error)) ([]Key, error) {
	if q.Workspace == "" {
		return nil, fmt.Errorf("the order %q needs a workspace: name one in the query", q.Sort)
	}
	keys, err := read(&KeyQuery{Workspace: q.Workspace}, MaxSorted+1)
	if err != nil {
		return nil, err
	}
	if len(keys) > MaxSorted {
		return nil, fmt.Errorf("the order %q is for workspaces of at most %d keys: use another order", q.Sort, MaxSorted)
	}
	order := func(a, b Key) int {
		n := cmp.Or(a.LastUsed.Compare(b.LastUsed), cmp.Compare(a.ID, b.ID))
		if q.Descending {
			return -n
		}
		return n
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool {
		return !q.Matches(&k) || q.After != nil && order(k, Key{ID: q.After.ID, LastUsed: q.After.Time}) <= 0
	})
	slices.SortFunc(keys, order)
	return keys, nil
}

// KeyPage is one page of keys. Next is nil on the last page.
type KeyPage struct {
	Keys []Key
	// Workspaces, by id, and Instance are the settings of the keys, as in Found. On
	// a page without keys they are zero.
	Workspaces map[string]Workspace
	Instance   Instance
	Next       *KeyCursor
}
