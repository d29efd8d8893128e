package storetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// raceRotations rotates one key through all replicas at once. The id of the newest secret
// contains the version that it replaced.
func raceRotations(t tester, r []store.Store) {
	rounds := int64(5)
	if soak() {
		rounds = 10_000
	}
	k := newKey("team-a", "key-1")
	k.Credentials = k.Credentials[:2]
	k.Credentials[1].ID = "s0-0"
	create(t, r[0], k)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for _, s := range r {
		readers.Go(func() { lookWhileRotating(t, s, stop) })
	}
	defer readers.Wait()
	defer close(stop)
	for version := int64(1); version <= rounds && !t.Failed(); version++ {
		current := lookup(t, of(r, int(version)), "key-1").Key
		equal(t, "Version", current.Version, version)
		errs := race(12, func(i int) error {
			next := current.Clone()
			next.Credentials = append(next.Credentials[1:], store.Credential{ID: fmt.Sprintf("s%d-%d", version, i), Digest: "d", Created: noon})
			return of(r, i).Keys.Update(background, next, store.Change{Now: noon})
		})
		equal(t, "rotations that succeeded", wins(t, "Update", errs, store.ErrConflict), 1)
		for i, err := range errs {
			if err == nil {
				secrets := lookup(t, of(r, i+1), "key-1").Key.Credentials
				equal(t, "the newest secret", secrets[len(secrets)-1].ID, fmt.Sprintf("s%d-%d", version, i))
			}
		}
	}
}

// lookWhileRotating reads the key until stop is closed.
func lookWhileRotating(t tester, s store.Store, stop <-chan struct{}) {
	last := int64(0)
	for {
		select {
		case <-stop:
			return
		default:
		}
		found, err := s.Keys.Lookup(background, "key-1")
		if err != nil {
			t.Errorf("Lookup during a rotation: %v", err)
			return
		}
		k := found.Key
		if k.Version < last {
			t.Errorf("version %d was read after version %d", k.Version, last)
			return
		}
		last = k.Version
		newest := fmt.Sprintf("s%d-", k.Version-1)
		before := fmt.Sprintf("s%d-", k.Version-2)
		if k.Version == 1 {
			before = "s1"
		}
		if len(k.Credentials) != 2 || !strings.HasPrefix(k.Credentials[0].ID, before) || !strings.HasPrefix(k.Credentials[1].ID, newest) {
			t.Errorf("version %d was read with secrets %+v", k.Version, k.Credentials)
			return
		}
	}
}

func raceAttempts(t tester, r []store.Store) {
	const limit = 10
	rounds := 5
	if soak() {
		rounds = 1000
	}
	for round := range rounds {
		var moved atomic.Int64
		errs := race(48, func(i int) error {
			_, ok, err := of(r, i).Limiter.Advance(background, fmt.Sprint("id-", round), noon, time.Hour, limit*time.Hour)
			if ok {
				moved.Add(1)
			}
			return err
		})
		for _, err := range errs {
			must(t, "Advance", err)
		}
		equal(t, "attempts that passed", moved.Load(), limit)
	}
}
