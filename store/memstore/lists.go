package memstore

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// lists implements store.HostLists.
type lists struct{ db *database }

type listKey struct {
	list store.ListName
	name string
}

// Entries implements store.HostLists.
func (l *lists) Entries(ctx context.Context) (all []store.ListEntry, err error) {
	err = l.db.read(ctx, "read lists", func() error {
		all = slices.SortedFunc(maps.Values(l.db.lists), func(a, b store.ListEntry) int {
			return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Name, b.Name))
		})
		return nil
	})
	return all, err
}

// Record implements store.HostLists.
func (l *lists) Record(ctx context.Context, entries ...store.ListEntry) error {
	return l.db.write(ctx, "record list entries", func() error {
		merged := maps.Clone(l.db.lists)
		for _, e := range entries {
			key := listKey{e.List, e.Name}
			e.Until = toMicro(e.Until)
			if old, known := merged[key]; known {
				if old.Fingerprint != e.Fingerprint {
					return store.ErrConflict
				}
				if old.Until.IsZero() || !e.Until.IsZero() && old.Until.After(e.Until) {
					e.Until = old.Until
				}
			}
			merged[key] = e
		}
		l.db.lists = merged
		return nil
	})
}

// Forget implements store.HostLists.
func (l *lists) Forget(ctx context.Context, list store.ListName, name string) error {
	return l.db.write(ctx, "forget list entry", func() error {
		key := listKey{list, name}
		if _, known := l.db.lists[key]; !known {
			return store.ErrNotFound
		}
		delete(l.db.lists, key)
		return nil
	})
}
