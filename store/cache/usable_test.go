package cache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// harness is a cache over a stream with faults, in a bubble with its own clock. Changes are
// made in the underlying store, so the cache gets them only through the stream.
type harness struct {
	*testing.T
	st, below    store.Store
	cache        *cache.Cache
	tap          *storetest.Tap
	faultyStream *faultyStream
	by           finder
	log          *bytes.Buffer
}

// withHarness runs test with key-1 in the cache, once for each finder.
func withHarness(t *testing.T, test func(h *harness)) {
	t.Helper()
	for _, by := range finders {
		t.Run(by.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { inHarness(t, by, test) }) })
	}
}

func inHarness(t *testing.T, by finder, test func(h *harness)) {
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-2"))
	h := &harness{T: t, below: below, tap: tap, faultyStream: newFaultyStream(below.Watch), by: by, log: &bytes.Buffer{}}
	tapped.Watch = h.faultyStream
	var err error
	h.cache, err = cache.New(tapped, cache.Config{Entries: 64, Logger: slog.New(slog.NewTextHandler(h.log, nil))})
	require.NoError(t, err)
	h.st = h.cache.Store()
	run(t, h.cache)
	synctest.Wait()
	require.True(t, h.cache.Usable())
	warm(t, h.st)
	tap.Take()
	test(h)
}

// inMemory reports whether key-1 and its epochs are both read from the cache.
func (h *harness) inMemory() bool {
	h.Helper()
	h.tap.Take()
	_, err := h.by.find(background, h.st, "key-1")
	require.NoError(h, err)
	_, err = h.st.Reads().Read(background, token("key-1"))
	require.NoError(h, err)
	counts := h.tap.Take()
	require.Equal(h, counts[h.by.call], counts["Epochs.Read"])
	return counts[h.by.call] == 0
}

// disabled reports whether a look-up returns key-1 as disabled.
func (h *harness) disabled() bool {
	h.Helper()
	found, err := h.by.find(background, h.st, "key-1")
	require.NoError(h, err)
	return found.Key.Disabled
}

func isKeyNotification(n store.Notification) bool { return n.Kind == store.NotificationKey }

func TestUsable(t *testing.T) {
	t.Run("usable as long as heartbeats come", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			pass(50 * time.Second)
			require.True(t, h.inMemory())
		})
	})
	t.Run("a record is read again after a minute, even then", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			pass(time.Minute)
			require.False(t, h.inMemory())
			require.True(t, h.inMemory())
		})
	})
	t.Run("a notification is lost, and the next one shows it", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.dropOne(isKeyNotification)
			update(t, h.below, "key-1", disable)
			synctest.Wait()
			require.False(t, h.disabled(), "the notification was lost")
			update(t, h.below, "key-2", disable)
			synctest.Wait()
			require.True(t, h.disabled())
			require.Contains(t, h.log.String(), "notifications of changes were lost")
			require.True(t, h.cache.Usable(), "the cache is usable for records read from now on")
			warm(h.T, h.st)
			require.True(t, h.inMemory())
		})
	})
	t.Run("the last notification is lost, and a heartbeat shows it", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.dropOne(isKeyNotification)
			update(t, h.below, "key-1", disable)
			pass(store.HeartbeatEvery)
			require.True(t, h.disabled())
		})
	})
	t.Run("numbers that decrease", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.set(func(l *faultyStream) { l.back = 2 })
			update(t, h.below, "key-2", disable)
			synctest.Wait()
			require.False(t, h.inMemory())
		})
	})
	t.Run("silence for half of the bound", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.set(func(l *faultyStream) { l.frozen = true })
			pass(store.HeartbeatEvery)
			require.True(t, h.inMemory())
			pass(500*time.Millisecond - 2*store.HeartbeatEvery)
			update(t, h.below, "key-1", disable)
			pass(store.HeartbeatEvery)
			require.False(t, h.cache.Usable())
			require.False(t, h.inMemory())
			require.True(t, h.disabled())
			down(h.tap)
			_, err := h.by.find(background, h.st, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable, "nothing is read from the cache")
			_, err = h.st.Reads().Read(background, token("key-1"))
			require.ErrorIs(t, err, store.ErrUnavailable)
		})
	})
	t.Run("records read before or during a silence are not used any more", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.set(func(l *faultyStream) { l.frozen = true })
			pass(600 * time.Millisecond)
			require.False(t, h.inMemory())
			h.faultyStream.set(func(l *faultyStream) { l.frozen = false })
			pass(store.HeartbeatEvery)
			require.True(t, h.cache.Usable())
			require.False(t, h.inMemory(), "its notification may still be in a buffer")
			require.True(t, h.inMemory())
		})
	})
	t.Run("a stream that stays silent is opened again", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.set(func(l *faultyStream) { l.frozen = true })
			pass(1200 * time.Millisecond)
			h.faultyStream.set(func(l *faultyStream) { l.frozen = false })
			pass(2100 * time.Millisecond)
			require.GreaterOrEqual(t, h.faultyStream.opened, 2)
			require.True(t, h.cache.Usable())
			require.Contains(t, h.log.String(), "no heartbeat came")
		})
	})
	t.Run("a stream without a first notification is opened again", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			opened := func() (n int) { h.faultyStream.set(func(l *faultyStream) { n = l.opened }); return n }
			h.faultyStream.set(func(l *faultyStream) { l.frozen = true })
			pass(1200 * time.Millisecond)
			require.Equal(t, 2, opened())
			pass(29 * time.Second)
			require.Equal(t, 2, opened(), "the first notification may take 30 seconds")
			pass(2 * time.Second)
			require.Equal(t, 3, opened())
		})
	})
	t.Run("a stream that breaks and is opened again", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.cut <- errors.New("connection reset")
			synctest.Wait()
			require.False(t, h.cache.Usable())
			update(t, h.below, "key-1", disable)
			require.True(t, h.disabled())
			require.False(t, h.inMemory())
			pass(100 * time.Millisecond)
			require.True(t, h.cache.Usable())
			require.False(t, h.inMemory(), "read without a stream")
			require.True(t, h.inMemory())
			require.Contains(t, h.log.String(), "connection reset")
		})
	})
	t.Run("the machine was suspended", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			// No goroutine ran meanwhile, and the first one that runs is a reader.
			h.faultyStream.set(func(l *faultyStream) { l.frozen = true })
			pass(499 * time.Millisecond)
			h.faultyStream.set(func(l *faultyStream) { l.frozen = false })
			time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
			require.False(t, h.inMemory())
		})
	})
	t.Run("a notification of an unknown kind or without a name", func(t *testing.T) {
		for _, n := range []store.Notification{
			{Kind: 99}, {Kind: store.NotificationKey, Workspace: "team-a"}, {Kind: store.NotificationWorkspace}, {Kind: store.NotificationToken},
		} {
			withHarness(t, func(h *harness) {
				h.faultyStream.set(func(l *faultyStream) { l.replace = func(store.Notification) store.Notification { return n } })
				update(t, h.below, "key-2", disable)
				synctest.Wait()
				require.False(t, h.inMemory(), "%+v", n)
			})
		}
	})
	t.Run("an unknown id is read again after a minute", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			for range 5 {
				_, err := h.st.Reads().Lookup(background, "unknown")
				require.ErrorIs(t, err, store.ErrNotFound)
			}
			_, err := h.st.Reads().Read(background, token("unknown"))
			require.ErrorIs(t, err, store.ErrNotFound)
			require.Equal(t, map[string]int{"Keys.Lookup": 1, "Epochs.Read": 1}, h.tap.Take())
			pass(time.Minute)
			_, err = h.st.Reads().Lookup(background, "unknown")
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = h.st.Reads().Read(background, token("unknown"))
			require.ErrorIs(t, err, store.ErrNotFound)
			require.Equal(t, map[string]int{"Keys.Lookup": 1, "Epochs.Read": 1}, h.tap.Take())
		})
	})
	t.Run("a key created elsewhere is found after its notification", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			_, err := h.by.find(background, h.st, "key-3")
			require.ErrorIs(t, err, store.ErrNotFound)
			create(t, h.below, newKey("team-a", "key-3"))
			synctest.Wait()
			found, err := h.by.find(background, h.st, "key-3")
			require.NoError(t, err)
			require.Equal(t, 3, found.Workspace.Keys)
		})
	})
}

func TestStreamNeverOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tapped, below, tap := newTap()
		create(t, below, newKey("team-a", "key-1"))
		var log bytes.Buffer
		c, err := cache.New(tapped, cache.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		for i := range 20 {
			warm(t, c.Store())
			require.Equal(t, map[string]int{"Keys.Lookup": 2, "Secrets.LookupSecret": 2, "Epochs.Read": 2}, tap.Take())
			if i < 9 {
				require.Empty(t, log.String(), "the stream may still be opened")
			}
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
		}
		require.False(t, c.Usable())
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("was never opened")))
	})
}

func TestWatchers(t *testing.T) {
	t.Run("a slow watcher loses its stream, the others keep theirs", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			slow := func(pause time.Duration) error {
				return h.st.Watch.Watch(background, func() {}, func(store.Notification) {
					time.Sleep(pause) //nolint:forbidigo // the bubble's clock
				})
			}
			require.ErrorContains(t, slow(300*time.Millisecond), "more slowly than they come")
			require.True(t, h.cache.Usable())
		})
	})
	t.Run("many short delays add up", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			ended := make(chan error, 1)
			go func() {
				ended <- h.st.Watch.Watch(background, func() {}, func(store.Notification) {
					time.Sleep(60 * time.Millisecond) //nolint:forbidigo // the bubble's clock
				})
			}()
			synctest.Wait()
			for range 30 {
				update(t, h.below, "key-2", disable)
			}
			require.ErrorContains(t, <-ended, "more slowly than they come")
		})
	})
	t.Run("short delays with pauses do not add up", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			ctx, cancel := context.WithTimeout(background, time.Minute)
			defer cancel()
			err := h.st.Watch.Watch(ctx, func() {}, func(store.Notification) {
				time.Sleep(60 * time.Millisecond) //nolint:forbidigo // the bubble's clock
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("a second stream replaces a silent one", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			h.faultyStream.set(func(l *faultyStream) { l.silent = l.opened })
			update(t, h.below, "key-1", disable)
			pass(100 * time.Millisecond)
			ctx, cancel := context.WithCancel(background)
			ended := make(chan error, 1)
			go func() { ended <- h.st.Watch.Watch(ctx, func() {}, func(store.Notification) {}) }()
			pass(700 * time.Millisecond)
			require.True(t, h.cache.Usable())
			require.True(t, h.disabled(), "the notification came on neither stream")
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	})
	t.Run("a second stream replaces one that broke", func(t *testing.T) {
		withHarness(t, func(h *harness) {
			ctx, cancel := context.WithCancel(background)
			ended := make(chan error, 1)
			go func() { ended <- h.st.Watch.Watch(ctx, func() {}, func(store.Notification) {}) }()
			pass(store.HeartbeatEvery)
			require.True(t, h.inMemory())
			h.faultyStream.cut <- errors.New("cut") // one of the two
			pass(store.HeartbeatEvery)
			require.True(t, h.cache.Usable())
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	})
}
