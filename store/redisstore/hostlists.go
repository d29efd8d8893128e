package redisstore

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/store"
)

// lists implements store.HostLists with one hash, in which each field is an entry.
type lists struct{ db *Driver }

// Entries implements store.HostLists.
func (l *lists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	get := command("hgetall", l.db.layout.lists())
	if err := l.db.send(ctx, get); err != nil {
		return nil, fail("read lists", err)
	}
	var entries []store.ListEntry
	for pair := range slices.Chunk(get.texts(), 2) {
		var e store.ListEntry
		err := decode(strings.Join(pair, " "), (*string)(&e.List), &e.Name, &e.Fingerprint, &e.Until)
		if err != nil {
			return nil, fail("read lists", err)
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b store.ListEntry) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Name, b.Name))
	})
	return entries, nil
}

// Record implements store.HostLists.
func (l *lists) Record(ctx context.Context, entries ...store.ListEntry) error {
	args := []any{false, len(entries)}
	for _, e := range entries {
		args = append(args, encode((*string)(&e.List), &e.Name), encode(&e.Fingerprint, &e.Until))
	}
	return fail("record list entries", l.db.apply(ctx, change{script: l.db.scripts.entries, args: args}))
}

// Forget implements store.HostLists.
func (l *lists) Forget(ctx context.Context, list store.ListName, name string) error {
	args := []any{true, 1, encode((*string)(&list), &name), ""}
	return fail("forget list entry", l.db.apply(ctx, change{script: l.db.scripts.entries, args: args}))
}
