package cache_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestHammer changes a key through one cache while it is read through that one and
// another. No reader sees an older version after a newer one, or an outdated version after
// the change returned or its notification came.
func TestHammer(t *testing.T) {
	rounds, readers := 40, 4
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		rounds = 2000
	}
	_, below, tap := newTap()
	tapped := tap.Over(below)
	create(t, below, newKey("team-a", "key-1"))
	st, other := cached(t, tapped, patient), cached(t, tapped, patient)
	notifications := listen(t, other)
	for round := range rounds {
		var reading sync.WaitGroup
		done := make(chan struct{})
		for i := range readers {
			reading.Go(func() {
				on := []store.Store{st, other}[i%2]
				for {
					select {
					case <-done:
						return
					default:
						runtime.Gosched()
					}
					if found, err := finders[i/2].find(background, on, "key-1"); err != nil || found.Key.Version < int64(round+1) {
						t.Errorf("round %d: version %d: %v", round, found.Key.Version, err)
						return
					}
				}
			})
		}
		update(t, st, "key-1", func(k *store.Key) { k.Name = fmt.Sprint(round) })
		want, err := below.Keys.Lookup(background, "key-1")
		require.NoError(t, err)
		check := func(where string, on store.Store) {
			for _, by := range finders {
				found, err := by.find(background, on, "key-1")
				require.NoError(t, err)
				require.Equal(t, want.Key, found.Key, "B07 round %d, %s, %s", round, where, by.name)
			}
			state, err := on.Reads().Read(background, token("key-1"))
			require.NoError(t, err)
			require.Equal(t, want.Key.Epoch, state.Key, "B07 round %d, %s", round, where)
		}
		check("where it was changed", st)
		notifications.await(1)
		check("elsewhere, after the notification", other)
		close(done)
		reading.Wait()
	}
}

// TestHammerSecrets moves a secret between two keys, of two workspaces, while 64 goroutines look
// it up through the cache that changes it and through another. Every answer is a key with the
// secret, or none, and never an older one than before. Once the key has lost the secret, or its
// notification came, no answer is that key.
func TestHammerSecrets(t *testing.T) {
	rounds := 40
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		rounds = 2000
	}
	const readers = 64
	below := memstore.New()
	moving := store.Credential{ID: "moving", Digest: "d", Created: noon}
	keys := []store.Key{newKey("team-a", "key-0"), newKey("team-b", "key-1")}
	create(t, below, keys...)
	st, other := cached(t, below, patient), cached(t, below, patient)
	notifications := listen(t, other)
	with := func(k *store.Key) { k.Credentials = append(k.Credentials, moving) }
	without := func(k *store.Key) { k.Credentials = k.Credentials[:2] }
	// round counts how often the secret was added: in round n it is added to key n%2.
	var round atomic.Int64
	add := func() {
		update(t, st, keys[(round.Load()+1)%2].ID, with)
		round.Add(1)
	}
	add()
	notifications.await(1)
	var calls, hits, misses atomic.Int64
	done := make(chan struct{})
	var reading sync.WaitGroup
	stop := sync.OnceFunc(func() { close(done); reading.Wait() })
	defer stop()
	for i := range readers {
		reading.Go(func() {
			on := []store.Store{st, other}[i%2]
			last := map[string]int64{}
			for {
				select {
				case <-done:
					return
				default:
					runtime.Gosched()
				}
				calls.Add(1)
				found, err := on.Reads().LookupSecret(background, moving.ID)
				k := &found.Key
				switch {
				case errors.Is(err, store.ErrNotFound):
					misses.Add(1)
				case err != nil || len(k.Credentials) != 3 || k.Credentials[2].ID != moving.ID || k.Version < last[k.ID]:
					t.Errorf("after version %d: %+v: %v", last[k.ID], found, err)
					return
				default:
					hits.Add(1)
					last[k.ID] = k.Version
				}
			}
		})
	}
	check := func(want string, on store.Store) {
		found, err := on.Reads().LookupSecret(background, moving.ID)
		if want == "" {
			require.ErrorIs(t, err, store.ErrNotFound)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want, found.Key.ID)
	}
	// overlap waits until the readers have read as often as there are readers.
	overlap := func() {
		for before := calls.Load(); calls.Load() < before+readers && !t.Failed(); {
			runtime.Gosched()
		}
	}
	for range rounds {
		overlap()
		update(t, st, keys[round.Load()%2].ID, without)
		check("", st)
		overlap()
		notifications.await(1)
		check("", other)
		add()
		owner := keys[round.Load()%2].ID
		check(owner, st)
		notifications.await(1)
		check(owner, other)
	}
	stop()
	require.Equal(t, calls.Load(), hits.Load()+misses.Load())
	require.NotZero(t, hits.Load())
	require.NotZero(t, misses.Load())
}
