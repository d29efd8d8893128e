package redisstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// lists implements store.Lists: one hash, of which each field is an entry.
type lists struct{ db *database }

func entryField(list store.ListName, name string) string {
	return escape(string(list)) + " " + escape(name)
}

// Entries implements store.Lists.
func (l *lists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	get := command("hgetall", l.db.layout.lists())
	if err := l.db.send(ctx, get); err != nil {
		return nil, fail("read lists", err)
	}
	var entries []store.ListEntry
	texts := get.texts()
	for i := 0; i+1 < len(texts); i += 2 {
		d := words{text: texts[i] + " " + texts[i+1]}
		entries = append(entries, store.ListEntry{List: store.ListName(d.word()), Name: d.word(), Fingerprint: d.word(), Until: d.instant()})
		if d.failed {
			return nil, fail("read lists", errRecord)
		}
	}
	slices.SortFunc(entries, func(a, b store.ListEntry) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Name, b.Name))
	})
	return entries, nil
}

// Record implements store.Lists.
func (l *lists) Record(ctx context.Context, entries ...store.ListEntry) error {
	args := []any{flag(false), len(entries)}
	for _, e := range entries {
		args = append(args, entryField(e.List, e.Name), escape(e.Fingerprint), instant(e.Until))
	}
	return fail("record list entries", l.db.make(ctx, change{script: l.db.scripts.entries, args: args}))
}

// Forget implements store.Lists.
func (l *lists) Forget(ctx context.Context, list store.ListName, name string) error {
	args := []any{flag(true), 1, entryField(list, name), "", ""}
	return fail("forget list entry", l.db.make(ctx, change{script: l.db.scripts.entries, args: args}))
}
