package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func signingRules() []rule {
	return []rule{
		{
			name: "never saved is a zero ring",
			why:  "A ring that was never saved is a zero record with Version 0.",
			run: func(t tester, s store.Store) {
				equalText(t, "ring", ringText(ring(t, s)), ringText(store.Ring{}))
			},
		},
		{
			name: "keeps every field",
			why:  "The ring is returned as it was saved, with its version raised by one. Sealed bytes may have any value.",
			run: func(t tester, s store.Store) {
				r := someRing()
				must(t, "SetRing", s.SigningKeys.SetRing(background, r))
				r.Version = 1
				equalText(t, "ring", ringText(ring(t, s)), ringText(r))
				r.Keys = r.Keys[1:]
				must(t, "SetRing", s.SigningKeys.SetRing(background, r))
				r.Version = 2
				equalText(t, "ring after one key was removed", ringText(ring(t, s)), ringText(r))
			},
		},
		{
			name: "another version is ErrConflict",
			why:  "SetRing compares the version: of two replicas that rotate, one must read again.",
			run: func(t tester, s store.Store) {
				r := someRing()
				for _, version := range []int64{1, -1} {
					r.Version = version
					wantError(t, "SetRing, none saved", s.SigningKeys.SetRing(background, r), store.ErrConflict)
				}
				r.Version = 0
				must(t, "SetRing", s.SigningKeys.SetRing(background, r))
				for _, version := range []int64{0, 2, -1} {
					lost := store.Ring{Version: version}
					wantError(t, "SetRing", s.SigningKeys.SetRing(background, lost), store.ErrConflict)
				}
				r.Version = 1
				equalText(t, "ring", ringText(ring(t, s)), ringText(r))
			},
		},
		{
			name: "copies in and out",
			why:  "A caller may change what it passed or got, the sealed bytes included.",
			run: func(t tester, s store.Store) {
				r := someRing()
				must(t, "SetRing", s.SigningKeys.SetRing(background, r))
				r.Keys[0].Sealed[0], r.Keys[1].ID = 0xff, "changed by the caller"
				want := someRing()
				want.Version = 1
				for range 2 {
					got := ring(t, s)
					equalText(t, "ring", ringText(got), ringText(want))
					if len(got.Keys) != 2 {
						return
					}
					got.Keys[0].Sealed[0], got.Keys[1].ID = 0xff, "changed by the caller"
				}
			},
		},
		{
			name: "one rotation wins",
			why:  "Of N concurrent saves with one version exactly one succeeds: replicas that sign with different rings would refuse each other's tokens.",
			run: func(t tester, s store.Store) {
				for version := range int64(4) {
					errs := race(16, func(i int) error {
						return s.SigningKeys.SetRing(background, store.Ring{Version: version, Keys: []store.SigningKey{{ID: fmt.Sprint("kid-", i)}}})
					})
					equal(t, "saves that succeeded", wins(t, "SetRing", errs, store.ErrConflict), 1)
					for i, err := range errs {
						if r := ring(t, s); err == nil && len(r.Keys) == 1 {
							equal(t, "the key that is stored", r.Keys[0].ID, fmt.Sprint("kid-", i))
						}
					}
				}
			},
		},
	}
}

func someRing() store.Ring {
	return store.Ring{Keys: []store.SigningKey{
		{ID: "kid-1", Algorithm: "ES256", Sealed: []byte{0, 1, 2, 0xfe, 0xff, '\''}, SealKey: 3, SealFingerprint: "0a1b", Created: noon,
			NotBefore: noon.Add(time.Hour), NotAfter: noon.Add(2 * time.Hour), PublishUntil: noon.Add(3 * time.Hour)},
		{ID: "kid-2", Algorithm: "EdDSA", Sealed: []byte("sealed"), Created: noon},
	}}
}

func ring(t tester, s store.Store) store.Ring {
	t.Helper()
	r, err := s.SigningKeys.Ring(background)
	must(t, "Ring", err)
	return r
}

func ringText(r store.Ring) []string {
	text := []string{fmt.Sprint("Version ", r.Version)}
	for _, k := range r.Keys {
		text = append(text, fmt.Sprintf("Key %s %s sealed %x by %d %q created %s from %s to %s until %s", k.ID, k.Algorithm,
			k.Sealed, k.SealKey, k.SealFingerprint, stamp(k.Created), stamp(k.NotBefore), stamp(k.NotAfter), stamp(k.PublishUntil)))
	}
	return text
}
