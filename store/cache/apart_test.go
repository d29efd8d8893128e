package cache_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// twoSystems is a cache over keys in one system and epochs in another, each
// with a stream that can be hurt.
type twoSystems struct {
	*testing.T
	cache  *cache.Cache
	st     store.Store
	below  store.Store // keys and epochs, without a cache
	keys   *line
	epochs *line
	tap    *storetest.Tap
}

func apartFor(t *testing.T, cacheEpochs bool, test func(w *twoSystems)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tap := &storetest.Tap{}
		keys, epochs := memstore.New(), memstore.New()
		w := &twoSystems{T: t, below: keys, keys: newLine(keys.Watch), epochs: newLine(epochs.Watch), tap: tap}
		w.below.Epochs = epochs.Epochs
		cfg := cache.Config{Entries: 64, Logger: quiet}
		if cacheEpochs {
			cfg.EpochsWatch = w.epochs
		}
		tapped := tap.Over(w.below)
		tapped.Watch = w.keys
		var err error
		w.cache, err = cache.New(tapped, cfg)
		require.NoError(t, err)
		w.st = w.cache.Store()
		require.False(t, w.st.Epochs.With(w.st.Keys))
		k := newKey("team-a", "key-1")
		w.raise(store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 1, Secrets: []store.SecretEnd{{ID: "s1"}, {ID: "s2"}}})
		create(t, w.below, k)
		run(t, w.cache)
		synctest.Wait()
		require.True(t, w.cache.Vouched())
		warm(t, w.st)
		tap.Take()
		test(w)
	})
}

// raise raises epochs past the cache.
func (w *twoSystems) raise(marks ...store.Mark) {
	w.Helper()
	require.NoError(w, w.below.Epochs.Raise(background, marks...))
}

// counts are the reads of the store that warm needs.
func (w *twoSystems) counts() map[string]int {
	w.Helper()
	w.tap.Take()
	warm(w.T, w.st)
	return w.tap.Take()
}

func TestEpochsApart(t *testing.T) {
	t.Run("with their stream they are answered from memory", func(t *testing.T) {
		apartFor(t, true, func(w *twoSystems) {
			require.Empty(w, w.counts())
			w.raise(store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 4})
			synctest.Wait()
			state, err := w.st.Epochs.Read(background, token("key-1"))
			require.NoError(w, err)
			require.EqualValues(w, 4, state.Key)
		})
	})
	t.Run("without it they are not", func(t *testing.T) {
		apartFor(t, false, func(w *twoSystems) {
			require.Equal(w, map[string]int{"Epochs.Read": 2}, w.counts())
		})
	})
	t.Run("each stream vouches for its own", func(t *testing.T) {
		apartFor(t, true, func(w *twoSystems) {
			w.epochs.set(func(l *line) { l.frozen = true })
			pass(600 * time.Millisecond)
			require.False(w, w.cache.Vouched())
			require.Equal(w, map[string]int{"Epochs.Read": 2}, w.counts())
		})
		apartFor(t, true, func(w *twoSystems) {
			w.keys.set(func(l *line) { l.frozen = true })
			pass(600 * time.Millisecond)
			require.False(w, w.cache.Vouched())
			require.Equal(w, map[string]int{"Keys.Lookup": 2}, w.counts())
		})
	})
	t.Run("the end of either ends both, and they come back", func(t *testing.T) {
		for _, which := range []func(w *twoSystems) *line{
			func(w *twoSystems) *line { return w.keys }, func(w *twoSystems) *line { return w.epochs },
		} {
			apartFor(t, true, func(w *twoSystems) {
				ended := make(chan error, 1)
				which(w).cut <- errors.New("the first to end")
				synctest.Wait()
				require.Equal(w, map[string]int{"Keys.Lookup": 2, "Epochs.Read": 2}, w.counts())
				pass(200 * time.Millisecond)
				require.True(w, w.cache.Vouched())

				go func() { ended <- w.st.Watch.Watch(background, func() {}, func(store.Notice) {}) }()
				synctest.Wait()
				for {
					select {
					case which(w).cut <- errors.New("the first to end"): // one of the two streams
						pass(time.Millisecond)
						continue
					case err := <-ended:
						require.ErrorContains(w, err, "the first to end")
					}
					break
				}
			})
		}
	})
}

// TestOvertakenRecords: what the epochs tell of a change puts the record from
// before it out of use, though the record's own stream has not told yet. A
// login relies on that: it reads the record again when the epochs are ahead.
func TestOvertakenRecords(t *testing.T) {
	end := noon.Add(time.Hour)
	for _, tc := range []struct {
		name   string
		change func(w *twoSystems)
		marks  store.Mark
		fresh  func(found store.Found) bool
	}{
		{"a key", func(w *twoSystems) { update(w.T, w.below, "key-1", disable) },
			store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 2, Secrets: []store.SecretEnd{{ID: "s1"}, {ID: "s2"}}},
			func(found store.Found) bool { return found.Key.Disabled }},
		{"a secret that ends", func(w *twoSystems) {
			update(w.T, w.below, "key-1", func(k *store.Key) { k.Secrets[0].NotAfter = end })
		}, store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 1, Secrets: []store.SecretEnd{{ID: "s1", NotAfter: end}, {ID: "s2"}}},
			func(found store.Found) bool { return found.Key.Secrets[0].NotAfter.Equal(end) }},
		{"a secret that is gone", func(w *twoSystems) {
			update(w.T, w.below, "key-1", func(k *store.Key) { k.Secrets = k.Secrets[1:] })
		}, store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 1, Secrets: []store.SecretEnd{{ID: "s2"}}},
			func(found store.Found) bool { return len(found.Key.Secrets) == 1 }},
		{"a workspace", func(w *twoSystems) {
			require.NoError(w, w.below.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true, Epoch: 1}, store.Change{}))
		}, store.Mark{Workspace: "team-a", Epoch: 1}, func(found store.Found) bool { return found.Workspace.Suspended }},
		{"the instance", func(w *twoSystems) {
			require.NoError(w, w.below.Settings.SetInstance(background, store.Instance{KeysOff: true, Epoch: 1}, store.Change{}))
		}, store.Mark{Epoch: 1}, func(found store.Found) bool { return found.Instance.KeysOff }},
	} {
		t.Run("B07 "+tc.name, func(t *testing.T) {
			for _, cacheEpochs := range []bool{false, true} {
				apartFor(t, cacheEpochs, func(w *twoSystems) {
					w.keys.set(func(l *line) { l.frozen = true })
					tc.change(w)
					w.raise(tc.marks)
					synctest.Wait()
					if !cacheEpochs {
						found, err := w.st.Keys.Lookup(background, "key-1")
						require.NoError(w, err)
						require.False(w, tc.fresh(found), "nothing can have told")
					}
					_, err := w.st.Epochs.Read(background, token("key-1"))
					require.NoError(w, err)
					found, err := w.st.Keys.Lookup(background, "key-1")
					require.NoError(w, err)
					require.True(w, tc.fresh(found))
				})
			}
		})
	}
}

// A record that was on its way while the epochs told of the change is outdated
// too.
func TestOvertakenOnItsWay(t *testing.T) {
	apartFor(t, false, func(w *twoSystems) {
		w.keys.set(func(l *line) { l.frozen = true })
		create(w.T, w.below, newKey("team-a", "key-2"))
		entered, release := holdOne(w.tap, "Keys.Lookup")
		early := make(chan error, 1)
		go func() {
			_, err := w.st.Keys.Lookup(background, "key-2")
			early <- err
		}()
		<-entered
		update(w.T, w.below, "key-2", disable)
		w.raise(store.Mark{Workspace: "team-a", Key: "key-2", Epoch: 2, Secrets: []store.SecretEnd{{ID: "s1"}, {ID: "s2"}}})
		_, err := w.st.Epochs.Read(background, token("key-2"))
		require.NoError(w, err)
		found, err := w.st.Keys.Lookup(background, "key-2")
		require.NoError(w, err)
		require.True(w, found.Key.Disabled, "B07 shared with who knew better")
		close(release)
		require.NoError(w, <-early)
		found, err = w.st.Keys.Lookup(background, "key-2")
		require.NoError(w, err)
		require.True(w, found.Key.Disabled, "B07 kept")
		w.tap.After(nil)
	})
}
