package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// lists implements store.HostLists.
type lists struct{ d *Database }

// Entries implements store.HostLists.
func (l *lists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	entries, err := all(ctx, l.d, func(e *store.ListEntry) []any {
		return []any{orZero[string]{(*string)(&e.List)}, orZero[string]{&e.Name}, orZero[string]{&e.Fingerprint}, at{&e.Until}}
	}, `SELECT list, name, fingerprint, until FROM {p}lists ORDER BY list, name`)
	return entries, fail(ctx, "read lists", err)
}

// Record implements store.HostLists.
func (l *lists) Record(ctx context.Context, entries ...store.ListEntry) error {
	for i := range entries {
		if err := checkEntry(&entries[i]); err != nil {
			return fail(ctx, "record list entries", err)
		}
	}
	// All calls use one order, so that two calls do not deadlock.
	sorted := slices.SortedStableFunc(slices.Values(entries), func(a, b store.ListEntry) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Name, b.Name))
	})
	err := l.d.write(ctx, func(r *runner) error {
		for _, e := range sorted {
			if err := r.record(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	return fail(ctx, "record list entries", err)
}

// record adds an entry. If it exists, record locks it and keeps the later end.
func (r *runner) record(ctx context.Context, e store.ListEntry) error {
	_, err := r.exec(ctx, `INSERT INTO {p}lists (list, name, fingerprint, until) VALUES (?, ?, ?, ?)
		ON CONFLICT (list, name) DO UPDATE SET until = {max}({p}lists.until, excluded.until)`,
		string(e.List), e.Name, e.Fingerprint, expiry(e.Until))
	if err != nil {
		return err
	}
	var fingerprint string
	err = r.row(ctx, `SELECT fingerprint FROM {p}lists WHERE list = ? AND name = ?{lock}`, string(e.List), e.Name).Scan(orZero[string]{&fingerprint})
	if err == nil && fingerprint != e.Fingerprint {
		err = store.ErrConflict
	}
	return err
}

func checkEntry(e *store.ListEntry) error {
	for _, text := range []string{string(e.List), e.Name, e.Fingerprint} {
		if err := checkText("a field of a list entry", text, maxID); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements store.HostLists.
func (l *lists) Forget(ctx context.Context, list store.ListName, name string) error {
	if !storable(string(list)) || !storable(name) {
		return fail(ctx, "forget list entry", cmp.Or(ctx.Err(), store.ErrNotFound))
	}
	removed, err := l.d.remove(ctx, `DELETE FROM {p}lists WHERE list = ? AND name = ?`, string(list), name)
	if err == nil && removed == 0 {
		err = store.ErrNotFound
	}
	return fail(ctx, "forget list entry", err)
}
