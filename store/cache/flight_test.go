package cache_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
)

type read struct {
	name string
	call string // the name of the call in a Tap
	do   func(ctx context.Context, st store.Store) error
}

// reads are the cached reads of key-1.
var reads = []read{
	{"Lookup", "Keys.Lookup", func(ctx context.Context, st store.Store) error {
		_, err := st.Reads().Lookup(ctx, "key-1")
		return err
	}},
	{"Epochs", "Epochs.Read", func(ctx context.Context, st store.Store) error {
		_, err := st.Reads().Read(ctx, token("key-1"))
		return err
	}},
}

// withEmptyCache runs test with an empty cache over a store with key-1.
func withEmptyCache(t *testing.T, test func(t *testing.T, st, below store.Store, tap *storetest.Tap)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tapped, below, tap := newTap()
		create(t, below, newKey("team-a", "key-1"))
		st := cached(t, tapped, patient)
		test(t, st, below, tap)
		tap.Before(nil)
		tap.After(nil)
	})
}

func TestOneReadAtATime(t *testing.T) {
	for _, tc := range []struct {
		name  string
		read  read
		first func(t *testing.T, st store.Store)
	}{
		{"Lookup", reads[0], nothing},
		{"Lookup of a key whose workspace changed", reads[0], withoutWorkspace},
		{"Epochs", reads[1], nothing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
				read := tc.read
				tc.first(t, st)
				synctest.Wait()
				tap.Take()
				_, release := holdOne(tap, read.call)
				var callers sync.WaitGroup
				errs := make(chan error, 200)
				for range 200 {
					callers.Go(func() { errs <- read.do(background, st) })
				}
				synctest.Wait() // all 200 wait
				require.Equal(t, map[string]int{read.call: 1}, tap.Take())
				close(release)
				callers.Wait()
				for range 200 {
					require.NoError(t, <-errs)
				}
				require.Empty(t, tap.Take())
			})
		})
	}
}

func TestSharedReads(t *testing.T) {
	t.Run("each caller gets its own copy", func(t *testing.T) {
		withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			_, release := holdOne(tap, "Keys.Lookup")
			found := make(chan store.Found, 10)
			for range 10 {
				go func() {
					f, _ := st.Reads().Lookup(background, "key-1")
					found <- f
				}()
			}
			synctest.Wait()
			close(release)
			for range 10 {
				f := <-found
				require.Equal(t, "d1", f.Key.Secrets[0].Digest)
				f.Key.Secrets[0].Digest = ""
			}
		})
	})
	for _, read := range reads {
		t.Run(read.name+": the first caller leaves, the others get the record", func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
				_, release := holdOne(tap, read.call)
				ctx, cancel := context.WithCancel(background)
				first, second := make(chan error, 1), make(chan error, 1)
				go func() { first <- read.do(ctx, st) }()
				synctest.Wait()
				go func() { second <- read.do(background, st) }()
				synctest.Wait()
				cancel()
				require.ErrorIs(t, <-first, context.Canceled)
				close(release)
				require.NoError(t, <-second)
				require.Equal(t, 1, tap.Take()[read.call])
			})
		})
	}
	t.Run("a read is canceled when all callers have left", func(t *testing.T) {
		withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			ended := make(chan error, 1)
			tap.Before(func(ctx context.Context, _ string) error {
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			})
			for i := range 3 {
				ctx, cancel := context.WithTimeout(background, time.Duration(i+1)*time.Second)
				defer cancel()
				go func() { _, _ = st.Reads().Lookup(ctx, "key-1") }()
			}
			time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Empty(t, ended)
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			require.ErrorIs(t, <-ended, context.Canceled)
			tap.Before(nil)
			_, err := st.Reads().Lookup(background, "key-1")
			require.NoError(t, err)
		})
	})
	t.Run("a canceled read is not shared", func(t *testing.T) {
		withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			release := make(chan struct{})
			tap.Before(func(ctx context.Context, _ string) error { // a driver that sees the cancellation late
				<-release
				return ctx.Err()
			})
			ctx, cancel := context.WithTimeout(background, time.Second)
			defer cancel()
			_, err := st.Reads().Lookup(ctx, "key-1")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			tap.Before(nil)
			_, err = st.Reads().Lookup(background, "key-1")
			require.NoError(t, err)
			close(release)
		})
	})
	t.Run("a failure is not cached", func(t *testing.T) {
		withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			down(tap)
			for range 2 {
				_, err := st.Reads().Lookup(background, "key-1")
				require.ErrorIs(t, err, store.ErrUnavailable)
			}
			tap.Before(nil)
			_, err := st.Reads().Lookup(background, "key-1")
			require.NoError(t, err)
		})
	})
	t.Run("a read that hangs is not shared for ever", func(t *testing.T) {
		withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			_, release := holdOne(tap, "Keys.Lookup")
			defer close(release)
			go func() { _, _ = st.Reads().Lookup(background, "key-1") }()
			synctest.Wait()
			time.Sleep(patient.Bound) //nolint:forbidigo // the bubble's clock
			_, err := st.Reads().Lookup(background, "key-1")
			require.NoError(t, err)
		})
	})
	t.Run("a panic of the driver is an outage", func(t *testing.T) {
		withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			tap.Before(func(context.Context, string) error { panic("canary") })
			_, err := st.Reads().Lookup(background, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.NotContains(t, err.Error(), "canary")
		})
	})
}

// TestStaleReads checks that a record that was read before a change is neither shared with
// callers after it nor cached. The change is made through this cache, or in the store below
// it, and then its notification has come.
func TestStaleReads(t *testing.T) {
	change := store.Change{Now: noon}
	suspended := func(st store.Store) (bool, error) {
		found, err := lookupSoon(st)
		return !found.Workspace.Suspended, err
	}
	off := func(st store.Store) (bool, error) {
		found, err := lookupSoon(st)
		return !found.Instance.KeysOff, err
	}
	changeWorkspace := func(t *testing.T, st store.Store) { setWorkspace(t, st, suspend) }
	changeInstance := func(t *testing.T, st store.Store) { setInstance(t, st, keysOff) }
	for _, tc := range []struct {
		read   string
		first  func(t *testing.T, st store.Store)
		change func(t *testing.T, st store.Store)
		stale  func(st store.Store) (bool, error)
	}{
		{"Lookup", nothing, func(t *testing.T, st store.Store) {
			k := newKey("team-a", "key-1")
			k.Version = 1
			disable(&k)
			require.NoError(t, st.Keys.Update(background, k, change))
		}, func(st store.Store) (bool, error) {
			found, err := lookupSoon(st)
			return !found.Key.Disabled, err
		}},
		{"Lookup", nothing, changeWorkspace, suspended},
		{"Lookup", nothing, changeInstance, off},
		{"Lookup", withoutWorkspace, changeWorkspace, suspended},
		{"Lookup", withoutWorkspace, changeInstance, off},
		{"Lookup", nothing, func(t *testing.T, st store.Store) { create(t, st, newKey("team-a", "key-2")) },
			func(st store.Store) (bool, error) {
				found, err := lookupSoon(st)
				return found.Workspace.Keys != 2, err
			}},
		{"Lookup", nothing, func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, change))
		}, func(st store.Store) (bool, error) {
			_, err := lookupSoon(st)
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			return true, err
		}},
		{"Epochs", nothing, func(t *testing.T, st store.Store) {
			require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(1, 0, 0), noon))
		}, func(st store.Store) (bool, error) {
			state, err := st.Reads().Read(background, token("key-1"))
			return !state.Revoked, err
		}},
		{"Epochs", nothing, func(t *testing.T, st store.Store) {
			require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, change))
		}, func(st store.Store) (bool, error) {
			_, err := st.Reads().Read(background, token("key-1"))
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			return true, err
		}},
	} {
		for _, where := range []string{"here", "elsewhere", "elsewhere, and no read in between"} {
			t.Run("B07 "+tc.read+", changed "+where, func(t *testing.T) {
				withEmptyCache(t, func(t *testing.T, st, below store.Store, tap *storetest.Tap) {
					read := reads[slices.IndexFunc(reads, func(r read) bool { return r.name == tc.read })]
					tc.first(t, st)
					synctest.Wait()
					entered, release := holdOne(tap, read.call)
					early := make(chan error, 1)
					go func() { early <- read.do(background, st) }()
					<-entered // it has the old record
					if where == "here" {
						tc.change(t, st)
					} else {
						tc.change(t, below)
						synctest.Wait()
					}
					if !strings.Contains(where, "no read") {
						stale, err := tc.stale(st)
						require.NoError(t, err)
						require.False(t, stale, "shared with a caller after the change")
					}
					close(release)
					require.NoError(t, <-early)
					for range 2 {
						stale, err := tc.stale(st)
						require.NoError(t, err)
						require.False(t, stale, "cached")
					}
				})
			})
		}
	}
}

func nothing(*testing.T, store.Store) {}

// withoutWorkspace caches the key, and invalidates the settings of its workspace.
func withoutWorkspace(t *testing.T, st store.Store) {
	warm(t, st)
	setWorkspace(t, st, func(w *store.Workspace) { w.Rules.MaxKeys = 5 })
}

// lookupSoon looks the key up with a timeout, so that it does not wait for a read that
// holdOne blocks.
func lookupSoon(st store.Store) (store.Found, error) {
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	return st.Reads().Lookup(ctx, "key-1")
}

// The workspace of a cached key is known. Its settings are cached, even if the settings of
// another workspace change while they are read.
func TestChangesOfOtherWorkspaces(t *testing.T) {
	withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
		withoutWorkspace(t, st)
		synctest.Wait()
		entered, release := holdOne(tap, "Keys.Lookup")
		done := make(chan error, 1)
		go func() {
			_, err := st.Reads().Lookup(background, "key-1")
			done <- err
		}()
		<-entered
		require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-b"}, store.Change{Now: noon}))
		synctest.Wait()
		close(release)
		require.NoError(t, <-done)
		tap.Take()
		lookUp(t, st)
		require.Empty(t, tap.Take())
	})
}

// An answer that there is no key is not used after the key was created.
func TestStaleMiss(t *testing.T) {
	withEmptyCache(t, func(t *testing.T, st, below store.Store, tap *storetest.Tap) {
		entered, release := holdOne(tap, "Keys.Lookup")
		early := make(chan error, 1)
		go func() {
			_, err := st.Reads().Lookup(background, "key-2")
			early <- err
		}()
		<-entered
		create(t, below, newKey("team-a", "key-2"))
		synctest.Wait()
		close(release)
		require.ErrorIs(t, <-early, store.ErrNotFound)
		_, err := st.Reads().Lookup(background, "key-2")
		require.NoError(t, err)
	})
}

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
					if found, err := on.Reads().Lookup(background, "key-1"); err != nil || found.Key.Version < int64(round+1) {
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
			found, err := on.Reads().Lookup(background, "key-1")
			require.NoError(t, err)
			require.Equal(t, want.Key, found.Key, "B07 round %d, %s", round, where)
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
