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
	call string // as the tap names it
	do   func(ctx context.Context, st store.Store) error
}

// reads are the cached reads of key-1.
var reads = []read{
	{"Lookup", "Keys.Lookup", func(ctx context.Context, st store.Store) error {
		_, err := st.Keys.Lookup(ctx, "key-1")
		return err
	}},
	{"Workspace", "Settings.Workspace", func(ctx context.Context, st store.Store) error {
		_, err := st.Settings.Workspace(ctx, "team-a")
		return err
	}},
	{"Instance", "Settings.Instance", func(ctx context.Context, st store.Store) error {
		_, err := st.Settings.Instance(ctx)
		return err
	}},
	{"Epochs", "Epochs.Read", func(ctx context.Context, st store.Store) error {
		_, err := st.Epochs.Read(ctx, token("key-1"))
		return err
	}},
}

// loading runs test with a cache that holds nothing.
func loading(t *testing.T, test func(t *testing.T, st, below store.Store, tap *storetest.Tap)) {
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
	for _, read := range reads {
		t.Run(read.name, func(t *testing.T) {
			loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
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
	t.Run("each caller gets a copy of its own", func(t *testing.T) {
		loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			_, release := holdOne(tap, "Keys.Lookup")
			found := make(chan store.Found, 10)
			for range 10 {
				go func() {
					f, _ := st.Keys.Lookup(background, "key-1")
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
		t.Run(read.name+": who began it leaves, the others are served", func(t *testing.T) {
			loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
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
	t.Run("when all have left it is cancelled", func(t *testing.T) {
		loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			ended := make(chan error, 1)
			tap.Before(func(ctx context.Context, _ string) error {
				<-ctx.Done()
				ended <- ctx.Err()
				return ctx.Err()
			})
			for i := range 3 {
				ctx, cancel := context.WithTimeout(background, time.Duration(i+1)*time.Second)
				defer cancel()
				go func() { _, _ = st.Keys.Lookup(ctx, "key-1") }()
			}
			time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
			synctest.Wait()
			require.Empty(t, ended)
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
			require.ErrorIs(t, <-ended, context.Canceled)
			tap.Before(nil)
			_, err := st.Keys.Lookup(background, "key-1")
			require.NoError(t, err)
		})
	})
	t.Run("nobody joins what was given up", func(t *testing.T) {
		loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			release := make(chan struct{})
			tap.Before(func(ctx context.Context, _ string) error { // a driver that is slow to notice
				<-release
				return ctx.Err()
			})
			ctx, cancel := context.WithTimeout(background, time.Second)
			defer cancel()
			_, err := st.Keys.Lookup(ctx, "key-1")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			tap.Before(nil)
			_, err = st.Keys.Lookup(background, "key-1")
			require.NoError(t, err)
			close(release)
		})
	})
	t.Run("a failure is everybody's, and not kept", func(t *testing.T) {
		loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			down(tap)
			for range 2 {
				_, err := st.Keys.Lookup(background, "key-1")
				require.ErrorIs(t, err, store.ErrUnavailable)
			}
			tap.Before(nil)
			_, err := st.Keys.Lookup(background, "key-1")
			require.NoError(t, err)
		})
	})
	t.Run("a read that hangs is not joined for ever", func(t *testing.T) {
		loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			_, release := holdOne(tap, "Keys.Lookup")
			defer close(release)
			go func() { _, _ = st.Keys.Lookup(background, "key-1") }()
			synctest.Wait()
			time.Sleep(patient.Bound) //nolint:forbidigo // the bubble's clock
			_, err := st.Keys.Lookup(background, "key-1")
			require.NoError(t, err)
		})
	})
	t.Run("a panic below is an outage", func(t *testing.T) {
		loading(t, func(t *testing.T, st, _ store.Store, tap *storetest.Tap) {
			tap.Before(func(context.Context, string) error { panic("canary") })
			_, err := st.Keys.Lookup(background, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.NotContains(t, err.Error(), "canary")
		})
	})
}

// TestStaleReads: what was read before a change is neither shared with who
// came after it nor kept. The change is made here, or elsewhere and told.
func TestStaleReads(t *testing.T) {
	change := store.Change{Now: noon}
	for _, tc := range []struct {
		read   string
		change func(t *testing.T, st store.Store)
		stale  func(st store.Store) (bool, error)
	}{
		{"Lookup", func(t *testing.T, st store.Store) {
			k := newKey("team-a", "key-1")
			disable(&k)
			require.NoError(t, st.Keys.Update(background, k, change))
		}, func(st store.Store) (bool, error) {
			found, err := st.Keys.Lookup(background, "key-1")
			return !found.Key.Disabled, err
		}},
		{"Lookup", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true}, change))
		}, func(st store.Store) (bool, error) {
			w, err := st.Settings.Workspace(background, "team-a")
			return !w.Suspended, err
		}},
		{"Lookup", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetInstance(background, store.Instance{KeysOff: true}, change))
		}, func(st store.Store) (bool, error) {
			in, err := st.Settings.Instance(background)
			return !in.KeysOff, err
		}},
		{"Lookup", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true}, change))
		}, func(st store.Store) (bool, error) {
			found, err := lookupSoon(st)
			return !found.Workspace.Suspended, err
		}},
		{"Lookup", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetInstance(background, store.Instance{KeysOff: true}, change))
		}, func(st store.Store) (bool, error) {
			found, err := lookupSoon(st)
			return !found.Instance.KeysOff, err
		}},
		{"Lookup", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, change))
		}, func(st store.Store) (bool, error) {
			_, err := lookupSoon(st)
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			return true, err
		}},
		{"Workspace", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true}, change))
		}, func(st store.Store) (bool, error) {
			w, err := st.Settings.Workspace(background, "team-a")
			return !w.Suspended, err
		}},
		{"Instance", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetInstance(background, store.Instance{KeysOff: true}, change))
		}, func(st store.Store) (bool, error) {
			in, err := st.Settings.Instance(background)
			return !in.KeysOff, err
		}},
		{"Epochs", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(1, 0, 0), noon))
		}, func(st store.Store) (bool, error) {
			state, err := st.Epochs.Read(background, token("key-1"))
			return !state.Revoked, err
		}},
		{"Epochs", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, change))
		}, func(st store.Store) (bool, error) {
			_, err := st.Epochs.Read(background, token("key-1"))
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			return true, err
		}},
	} {
		for _, where := range []string{"here", "elsewhere", "elsewhere, and nobody reads meanwhile"} {
			t.Run("B07 "+tc.read+", changed "+where, func(t *testing.T) {
				loading(t, func(t *testing.T, st, below store.Store, tap *storetest.Tap) {
					read := reads[slices.IndexFunc(reads, func(r read) bool { return r.name == tc.read })]
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
					if !strings.Contains(where, "nobody") {
						stale, err := tc.stale(st)
						require.NoError(t, err)
						require.False(t, stale, "shared with who came after the change")
					}
					close(release)
					require.NoError(t, <-early)
					for range 2 {
						stale, err := tc.stale(st)
						require.NoError(t, err)
						require.False(t, stale, "kept")
					}
				})
			})
		}
	}
}

// lookupSoon does not wait for a read that is held up.
func lookupSoon(st store.Store) (store.Found, error) {
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	return st.Keys.Lookup(ctx, "key-1")
}

// A negative answer is a read like any other: it does not outlast a creation
// that it was made before.
func TestStaleMiss(t *testing.T) {
	loading(t, func(t *testing.T, st, below store.Store, tap *storetest.Tap) {
		entered, release := holdOne(tap, "Keys.Lookup")
		early := make(chan error, 1)
		go func() {
			_, err := st.Keys.Lookup(background, "key-2")
			early <- err
		}()
		<-entered
		create(t, below, newKey("team-a", "key-2"))
		synctest.Wait()
		close(release)
		require.ErrorIs(t, <-early, store.ErrNotFound)
		_, err := st.Keys.Lookup(background, "key-2")
		require.NoError(t, err)
	})
}

// TestHammer changes a key through one cache while another is read: no
// reader of either goes back in time, or sees what the writer has replaced,
// once it must know.
func TestHammer(t *testing.T) {
	rounds, readers := 40, 4
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		rounds = 2000
	}
	_, below, tap := newTap()
	tapped := tap.Over(below)
	create(t, below, newKey("team-a", "key-1"))
	st, elsewhere := cached(t, tapped, patient), cached(t, tapped, patient)
	heard := watching(t, elsewhere)
	for round := range rounds {
		var reading sync.WaitGroup
		done := make(chan struct{})
		for i := range readers {
			reading.Go(func() {
				on := []store.Store{st, elsewhere}[i%2]
				for {
					select {
					case <-done:
						return
					default:
						runtime.Gosched()
					}
					if found, err := on.Keys.Lookup(background, "key-1"); err != nil || found.Key.Epoch < int64(round+1) {
						t.Errorf("round %d: epoch %d: %v", round, found.Key.Epoch, err)
						return
					}
				}
			})
		}
		update(t, st, "key-1", func(k *store.Key) { k.Epoch++; k.Name = fmt.Sprint(round) })
		check := func(where string, on store.Store) {
			found, err := on.Keys.Lookup(background, "key-1")
			require.NoError(t, err)
			require.EqualValues(t, round+2, found.Key.Epoch, "B07 round %d, %s", round, where)
			state, err := on.Epochs.Read(background, token("key-1"))
			require.NoError(t, err)
			require.EqualValues(t, round+2, state.Key, "B07 round %d, %s", round, where)
		}
		check("where it was changed", st)
		heard.await(1)
		check("elsewhere, after the notice", elsewhere)
		close(done)
		reading.Wait()
	}
}
