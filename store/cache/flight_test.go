package cache_test

import (
	"context"
	"errors"
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
	{"LookupSecret", "Secrets.LookupSecret", func(ctx context.Context, st store.Store) error {
		_, err := st.Reads().LookupSecret(ctx, "s1-key-1")
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
		{"LookupSecret", reads[1], nothing},
		{"LookupSecret of a key whose workspace changed", reads[1], withoutWorkspace},
		{"Epochs", reads[2], nothing},
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
		t.Run(read.name+": a failure is not cached", func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
				down(tap)
				for range 2 {
					require.ErrorIs(t, read.do(background, st), store.ErrUnavailable)
				}
				tap.Before(nil)
				require.NoError(t, read.do(background, st))
			})
		})
		t.Run(read.name+": a read that hangs is not shared for ever", func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
				_, release := holdOne(tap, read.call)
				defer close(release)
				go func() { _ = read.do(background, st) }()
				synctest.Wait()
				time.Sleep(patient.Bound) //nolint:forbidigo // the bubble's clock
				require.NoError(t, read.do(background, st))
			})
		})
		t.Run(read.name+": a panic of the driver is an outage", func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
				tap.Before(func(context.Context, string) error { panic("canary") })
				err := read.do(background, st)
				require.ErrorIs(t, err, store.ErrUnavailable)
				require.NotContains(t, err.Error(), "canary")
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
}

// TestStaleReads checks that a record that was read before a change is neither shared with
// callers after it nor cached. The change is made through this cache, or in the store below
// it, and then its notification has come.
func TestStaleReads(t *testing.T) {
	suspended := func(found store.Found, err error) (bool, error) { return !found.Workspace.Suspended, err }
	off := func(found store.Found, err error) (bool, error) { return !found.Instance.KeysOff, err }
	changeWorkspace := func(t *testing.T, st store.Store) { setWorkspace(t, st, suspend) }
	changeInstance := func(t *testing.T, st store.Store) { setInstance(t, st, keysOff) }
	for i, by := range finders {
		for _, tc := range []struct {
			name   string
			first  func(t *testing.T, st store.Store)
			change func(t *testing.T, st store.Store)
			stale  func(found store.Found, err error) (bool, error)
		}{
			{"the key", nothing, func(t *testing.T, st store.Store) {
				k := newKey("team-a", "key-1")
				k.Version = 1
				disable(&k)
				require.NoError(t, st.Keys.Update(background, k, atNoon))
			}, func(found store.Found, err error) (bool, error) { return !found.Key.Disabled, err }},
			{"the workspace", nothing, changeWorkspace, suspended},
			{"the instance", nothing, changeInstance, off},
			{"the workspace, again", withoutWorkspace, changeWorkspace, suspended},
			{"the instance, after the workspace", withoutWorkspace, changeInstance, off},
			{"the number of keys", nothing, func(t *testing.T, st store.Store) { create(t, st, newKey("team-a", "key-2")) },
				func(found store.Found, err error) (bool, error) { return found.Workspace.Keys != 2, err }},
			{"the workspace, deleted", nothing, func(t *testing.T, st store.Store) {
				require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, atNoon))
			}, func(_ store.Found, err error) (bool, error) { return isFound(err) }},
		} {
			testStale(t, "Lookup "+by.name+", "+tc.name, reads[i], tc.first, tc.change, func(st store.Store) (bool, error) {
				// Not longer, so that it does not wait for a read that holdOne blocks.
				ctx, cancel := context.WithTimeout(background, 10*time.Second)
				defer cancel()
				return tc.stale(by.find(ctx, st, "key-1"))
			})
		}
	}
	testStale(t, "Epochs, the token", reads[2], nothing, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(1, 0, 0), noon))
	}, func(st store.Store) (bool, error) {
		state, err := st.Reads().Read(background, token("key-1"))
		return !state.Revoked, err
	})
	testStale(t, "Epochs, the key", reads[2], nothing, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, atNoon))
	}, func(st store.Store) (bool, error) {
		_, err := st.Reads().Read(background, token("key-1"))
		return isFound(err)
	})
}

// isFound reports whether err is nil. ErrNotFound is no failure.
func isFound(err error) (bool, error) {
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return true, err
}

func testStale(t *testing.T, name string, read read, first, change func(t *testing.T, st store.Store), stale func(st store.Store) (bool, error)) {
	for _, where := range []string{"here", "elsewhere", "elsewhere, and no read in between"} {
		t.Run("B07 "+name+", changed "+where, func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, below store.Store, tap *storetest.Tap) {
				first(t, st)
				synctest.Wait()
				entered, release := holdOne(tap, read.call)
				early := make(chan error, 1)
				go func() { early <- read.do(background, st) }()
				<-entered // it has the old record
				if where == "here" {
					change(t, st)
				} else {
					change(t, below)
					synctest.Wait()
				}
				if !strings.Contains(where, "no read") {
					is, err := stale(st)
					require.NoError(t, err)
					require.False(t, is, "shared with a caller after the change")
				}
				close(release)
				require.NoError(t, <-early)
				for range 2 {
					is, err := stale(st)
					require.NoError(t, err)
					require.False(t, is, "cached")
				}
			})
		})
	}
}

func nothing(*testing.T, store.Store) {}

// withoutWorkspace caches the key, and invalidates the settings of its workspace.
func withoutWorkspace(t *testing.T, st store.Store) {
	warm(t, st)
	setWorkspace(t, st, func(w *store.Workspace) { w.Rules.MaxKeys = 5 })
}

// The workspace of a cached key is known. Its settings are cached, even if the settings of
// another workspace change while they are read.
func TestChangesOfOtherWorkspaces(t *testing.T) {
	for i, by := range finders {
		t.Run(by.name, func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
				withoutWorkspace(t, st)
				synctest.Wait()
				entered, release := holdOne(tap, by.call)
				done := make(chan error, 1)
				go func() { done <- reads[i].do(background, st) }()
				<-entered
				require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-b"}, atNoon))
				synctest.Wait()
				close(release)
				require.NoError(t, <-done)
				tap.Take()
				lookUp(t, st, by)
				require.Empty(t, tap.Take())
			})
		})
	}
}

// An answer that there is no key is not used after the key was created.
func TestStaleMiss(t *testing.T) {
	for _, by := range finders {
		t.Run(by.name, func(t *testing.T) {
			withEmptyCache(t, func(t *testing.T, st, below store.Store, tap *storetest.Tap) {
				entered, release := holdOne(tap, by.call)
				early := make(chan error, 1)
				go func() {
					_, err := by.find(background, st, "key-2")
					early <- err
				}()
				<-entered
				create(t, below, newKey("team-a", "key-2"))
				synctest.Wait()
				close(release)
				require.ErrorIs(t, <-early, store.ErrNotFound)
				_, err := by.find(background, st, "key-2")
				require.NoError(t, err)
			})
		})
	}
}
