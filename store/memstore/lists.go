package memstore

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/latchkey-go/latchkey/store"
)

// lists implements store.Lists.
type lists struct {
	mu      sync.Mutex
	entries map[listKey]store.ListEntry
}

type listKey struct {
	list store.ListName
	name string
}

// Entries implements store.Lists.
func (l *lists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail("read lists", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]store.ListEntry, 0, len(l.entries))
	for _, e := range l.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b store.ListEntry) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// Record implements store.Lists.
func (l *lists) Record(ctx context.Context, entries ...store.ListEntry) error {
	if err := ctx.Err(); err != nil {
		return fail("record list entries", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	merged := make(map[listKey]store.ListEntry, len(entries))
	for _, e := range entries {
		key := listKey{e.List, e.Name}
		old, known := merged[key]
		if !known {
			old, known = l.entries[key]
		}
		e.Until = kept(e.Until)
		if known {
			if old.Fingerprint != e.Fingerprint {
				return fail("record list entries", store.ErrConflict)
			}
			if old.Until.IsZero() || !e.Until.IsZero() && old.Until.After(e.Until) {
				e.Until = old.Until
			}
		}
		merged[key] = e
	}
	for key, e := range merged {
		l.entries[key] = e
	}
	return nil
}

// Forget implements store.Lists.
func (l *lists) Forget(ctx context.Context, list store.ListName, name string) error {
	if err := ctx.Err(); err != nil {
		return fail("forget list entry", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := listKey{list, name}
	if _, known := l.entries[key]; !known {
		return fail("forget list entry", store.ErrNotFound)
	}
	delete(l.entries, key)
	return nil
}
