package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// lists implements store.Lists.
type lists struct{ d *Database }

// Entries implements store.Lists.
func (l *lists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	var entries []store.ListEntry
	err := l.d.read(ctx, func(r runner) error {
		entries = nil
		rows, err := r.rows(ctx, l.d.text.entries)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var e store.ListEntry
			var until int64
			if err := rows.Scan(text{(*string)(&e.List)}, text{&e.Name}, text{&e.Fingerprint}, &until); err != nil {
				return err
			}
			e.Until = expires(until)
			entries = append(entries, e)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fail(ctx, "read lists", err)
	}
	return entries, nil
}

// Record implements store.Lists.
func (l *lists) Record(ctx context.Context, entries ...store.ListEntry) error {
	for i := range entries {
		if err := checkEntry(&entries[i]); err != nil {
			return fail(ctx, "record list entries", err)
		}
	}
	// One order for all, so that no two calls wait for one another.
	sorted := slices.SortedStableFunc(slices.Values(entries), func(a, b store.ListEntry) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Name, b.Name))
	})
	err := l.d.write(ctx, func(r runner) error {
		for _, e := range sorted {
			if err := l.record(ctx, r, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fail(ctx, "record list entries", err)
	}
	return nil
}

func (l *lists) record(ctx context.Context, r runner, e store.ListEntry) error {
	list, name := l.d.arg(string(e.List)), l.d.arg(e.Name)
	if _, err := r.exec(ctx, l.d.text.addEntry, list, name, l.d.arg(e.Fingerprint), expiry(e.Until)); err != nil {
		return err
	}
	var fingerprint string
	if err := r.row(ctx, l.d.text.lockEntry, list, name).Scan(text{&fingerprint}); err != nil {
		return err
	}
	if fingerprint != e.Fingerprint {
		return store.ErrConflict
	}
	return nil
}

func checkEntry(e *store.ListEntry) error {
	for _, text := range []string{string(e.List), e.Name, e.Fingerprint} {
		if err := checkText("a text of a list's entry", text, maxID); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements store.Lists.
func (l *lists) Forget(ctx context.Context, list store.ListName, name string) error {
	removed := 0
	err := l.d.single(ctx, func(r runner) (err error) {
		if storable(string(list)) && storable(name) {
			removed, err = affected(r.exec(ctx, l.d.text.deleteEntry, l.d.arg(string(list)), l.d.arg(name)))
		}
		return err
	})
	if err == nil && removed == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fail(ctx, "forget list entry", err)
	}
	return nil
}
