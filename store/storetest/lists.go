package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func hostListRules() []rule {
	pepper := store.ListEntry{List: store.Peppers, Name: "1", Fingerprint: "ab12"}
	signer := store.ListEntry{List: store.Signers, Name: "2026-03", Fingerprint: "cd34", Until: noon}
	return []rule{
		{
			name: "records entries",
			why:  "Entries are returned as they were recorded, sorted by list and name in byte order.",
			run: func(t tester, s store.Store) {
				wantEntries(t, s)
				upper := store.ListEntry{List: store.Signers, Name: "A", Fingerprint: "ef"}
				lower := store.ListEntry{List: store.Signers, Name: "a", Fingerprint: "gh"}
				prefix := store.ListEntry{List: store.SecretPrefixes, Name: "acme_ "}
				must(t, "Record", s.HostLists.Record(background, lower, signer, pepper))
				must(t, "Record", s.HostLists.Record(background, prefix, upper))
				must(t, "Record of nothing", s.HostLists.Record(background))
				wantEntries(t, s, pepper, prefix, signer, upper, lower)
			},
		},
		{
			name: "the later Until stays",
			why:  "An entry is in use until the last thing made with it expires. Zero means never.",
			run: func(t tester, s store.Store) {
				e := signer
				for _, until := range []time.Duration{0, time.Hour, -time.Hour, time.Minute} {
					e.Until = noon.Add(until)
					must(t, "Record", s.HostLists.Record(background, e))
				}
				e.Until = noon.Add(time.Hour)
				wantEntries(t, s, e)
				e.Until = time.Time{}
				must(t, "Record", s.HostLists.Record(background, e))
				must(t, "Record", s.HostLists.Record(background, signer))
				wantEntries(t, s, e)
			},
		},
		{
			name: "another fingerprint is ErrConflict",
			why:  "Two keys with one name could be confused. All entries of a call are recorded, or none.",
			run: func(t tester, s store.Store) {
				must(t, "Record", s.HostLists.Record(background, pepper))
				other := pepper
				other.Fingerprint = "zz"
				wantError(t, "Record", s.HostLists.Record(background, signer, other), store.ErrConflict)
				wantEntries(t, s, pepper)
			},
		},
		{
			name: "forget removes one entry",
			why:  "Forget removes the entry with that name and no other. A missing entry is ErrNotFound.",
			run: func(t tester, s store.Store) {
				must(t, "Record", s.HostLists.Record(background, pepper, signer))
				wantError(t, "Forget", s.HostLists.Forget(background, store.SecretPrefixes, "1"), store.ErrNotFound)
				must(t, "Forget", s.HostLists.Forget(background, store.Peppers, "1"))
				wantError(t, "Forget again", s.HostLists.Forget(background, store.Peppers, "1"), store.ErrNotFound)
				wantEntries(t, s, signer)
				pepper := pepper
				pepper.Fingerprint = "new"
				must(t, "Record", s.HostLists.Record(background, pepper))
				wantEntries(t, s, pepper, signer)
			},
		},
		{
			name: "concurrent records of one entry",
			why:  "Replicas that start at the same time record the same entries.",
			run: func(t tester, s store.Store) {
				errs := race(16, func(i int) error {
					e := signer
					e.Until = noon.Add(time.Duration(i) * time.Minute)
					return s.HostLists.Record(background, e, pepper)
				})
				for _, err := range errs {
					must(t, "Record", err)
				}
				last := signer
				last.Until = noon.Add(15 * time.Minute)
				wantEntries(t, s, pepper, last)
			},
		},
	}
}

func wantEntries(t tester, s store.Store, want ...store.ListEntry) {
	t.Helper()
	entries, err := s.HostLists.Entries(background)
	must(t, "Entries", err)
	text := func(entries []store.ListEntry) []string {
		lines := []string{}
		for _, e := range entries {
			lines = append(lines, fmt.Sprintf("%s %q fingerprint %q until %s", e.List, e.Name, e.Fingerprint, stamp(e.Until)))
		}
		return lines
	}
	equalList(t, "entries", text(entries), text(want))
}
