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

// hurt is a cache over a stream that a test can hurt, in a bubble with a clock
// of its own. Changes are made below, so that only the stream tells of them.
type hurt struct {
	*testing.T
	st, below store.Store
	cache     *cache.Cache
	tap       *storetest.Tap
	line      *line
	log       *bytes.Buffer
}

// hurting runs test with key-1 in memory.
func hurting(t *testing.T, test func(h *hurt)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tapped, below, tap := newTap()
		create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-2"))
		h := &hurt{T: t, below: below, tap: tap, line: newLine(below.Watch), log: &bytes.Buffer{}}
		tapped.Watch = h.line
		var err error
		h.cache, err = cache.New(tapped, cache.Config{Entries: 64, Logger: slog.New(slog.NewTextHandler(h.log, nil))})
		require.NoError(t, err)
		h.st = h.cache.Store()
		run(t, h.cache)
		synctest.Wait()
		require.True(t, h.cache.Vouched())
		warm(t, h.st)
		tap.Take()
		test(h)
	})
}

// kept reports whether key-1 and its epochs are both answered from memory.
func (h *hurt) kept() bool {
	h.Helper()
	h.tap.Take()
	_, err := h.st.Reads().Lookup(background, "key-1")
	require.NoError(h, err)
	_, err = h.st.Reads().Read(background, token("key-1"))
	require.NoError(h, err)
	counts := h.tap.Take()
	require.Equal(h, counts["Keys.Lookup"], counts["Epochs.Read"])
	return counts["Keys.Lookup"] == 0
}

// disabled reports what a look-up says.
func (h *hurt) disabled() bool {
	h.Helper()
	found, err := h.st.Reads().Lookup(background, "key-1")
	require.NoError(h, err)
	return found.Key.Disabled
}

func aboutKey(n store.Notice) bool { return n.Kind == store.NoticeKey }

func TestVouching(t *testing.T) {
	t.Run("as long as heartbeats come", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			pass(50 * time.Second)
			require.True(t, h.kept())
		})
	})
	t.Run("a record is read again after a minute all the same", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			pass(time.Minute)
			require.False(t, h.kept())
			require.True(t, h.kept())
		})
	})
	t.Run("a notice is lost, and the next one shows it", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.dropOne(aboutKey)
			update(t, h.below, "key-1", disable)
			synctest.Wait()
			require.False(t, h.disabled(), "nothing can have told")
			update(t, h.below, "key-2", disable)
			synctest.Wait()
			require.True(t, h.disabled())
			require.Contains(t, h.log.String(), "notices of changes were lost")
			require.True(t, h.cache.Vouched(), "what is read from now on is whole")
			warm(h.T, h.st)
			require.True(t, h.kept())
		})
	})
	t.Run("the last notice is lost, and a heartbeat shows it", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.dropOne(aboutKey)
			update(t, h.below, "key-1", disable)
			pass(store.HeartbeatEvery)
			require.True(t, h.disabled())
		})
	})
	t.Run("numbers that go back", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.set(func(l *line) { l.again = 2 })
			update(t, h.below, "key-2", disable)
			synctest.Wait()
			require.False(t, h.kept())
		})
	})
	t.Run("silence of half of the bound", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.set(func(l *line) { l.frozen = true })
			pass(store.HeartbeatEvery)
			require.True(t, h.kept())
			pass(500*time.Millisecond - 2*store.HeartbeatEvery)
			update(t, h.below, "key-1", disable)
			pass(store.HeartbeatEvery)
			require.False(t, h.cache.Vouched())
			require.False(t, h.kept())
			require.True(t, h.disabled())
			down(h.tap)
			_, err := h.st.Reads().Lookup(background, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable, "on doubt nothing is answered")
			_, err = h.st.Reads().Read(background, token("key-1"))
			require.ErrorIs(t, err, store.ErrUnavailable)
		})
	})
	t.Run("what was read during a silence, or before it, stays out of use", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.set(func(l *line) { l.frozen = true })
			pass(600 * time.Millisecond)
			require.False(t, h.kept())
			h.line.set(func(l *line) { l.frozen = false })
			pass(store.HeartbeatEvery)
			require.True(t, h.cache.Vouched())
			require.False(t, h.kept(), "its notice may still be in some buffer")
			require.True(t, h.kept())
		})
	})
	t.Run("a stream that stays silent is opened anew", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.set(func(l *line) { l.frozen = true })
			pass(1200 * time.Millisecond)
			h.line.set(func(l *line) { l.frozen = false })
			pass(2100 * time.Millisecond)
			require.GreaterOrEqual(t, h.line.opened, 2)
			require.True(t, h.cache.Vouched())
			require.Contains(t, h.log.String(), "no heartbeat came")
		})
	})
	t.Run("a stream on which nothing ever came is opened anew", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			opened := func() (n int) { h.line.set(func(l *line) { n = l.opened }); return n }
			h.line.set(func(l *line) { l.frozen = true })
			pass(1200 * time.Millisecond)
			require.Equal(t, 2, opened())
			pass(29 * time.Second)
			require.Equal(t, 2, opened(), "it may take its time")
			pass(2 * time.Second)
			require.Equal(t, 3, opened())
		})
	})
	t.Run("an error of the stream, and its return", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.cut <- errors.New("connection reset")
			synctest.Wait()
			require.False(t, h.cache.Vouched())
			update(t, h.below, "key-1", disable)
			require.True(t, h.disabled())
			require.False(t, h.kept())
			pass(100 * time.Millisecond)
			require.True(t, h.cache.Vouched())
			require.False(t, h.kept(), "read while nobody vouched")
			require.True(t, h.kept())
			require.Contains(t, h.log.String(), "connection reset")
		})
	})
	t.Run("a machine that was suspended", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			// Its goroutines stood still, and the first to run is a reader.
			h.line.set(func(l *line) { l.frozen = true })
			pass(499 * time.Millisecond)
			h.line.set(func(l *line) { l.frozen = false })
			time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock, which stops for nobody
			require.False(t, h.kept())
		})
	})
	t.Run("a notice about nothing that is known", func(t *testing.T) {
		for _, n := range []store.Notice{
			{Kind: 99}, {Kind: store.NoticeKey, Workspace: "team-a"}, {Kind: store.NoticeWorkspace}, {Kind: store.NoticeToken},
		} {
			hurting(t, func(h *hurt) {
				h.line.set(func(l *line) { l.turn = func(store.Notice) store.Notice { return n } })
				update(t, h.below, "key-2", disable)
				synctest.Wait()
				require.False(t, h.kept(), "%+v", n)
			})
		}
	})
	t.Run("an unknown id is asked for again after a minute", func(t *testing.T) {
		hurting(t, func(h *hurt) {
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
	t.Run("a key made elsewhere works when its notice comes", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			_, err := h.st.Reads().Lookup(background, "key-3")
			require.ErrorIs(t, err, store.ErrNotFound)
			create(t, h.below, newKey("team-a", "key-3"))
			synctest.Wait()
			found, err := h.st.Reads().Lookup(background, "key-3")
			require.NoError(t, err)
			require.Equal(t, 3, found.Workspace.Keys)
		})
	})
}

func TestNobodyFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tapped, below, tap := newTap()
		create(t, below, newKey("team-a", "key-1"))
		var log bytes.Buffer
		c, err := cache.New(tapped, cache.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		for i := range 20 {
			warm(t, c.Store())
			require.Equal(t, map[string]int{"Keys.Lookup": 2, "Epochs.Read": 2}, tap.Take())
			if i < 9 {
				require.Empty(t, log.String(), "somebody may come yet")
			}
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
		}
		require.False(t, c.Vouched())
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("nobody follows")))
	})
}

func TestWatchers(t *testing.T) {
	t.Run("one who is slow loses the stream, not the others theirs", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			slow := func(pause time.Duration) error {
				return h.st.Watch.Watch(background, func() {}, func(store.Notice) {
					time.Sleep(pause) //nolint:forbidigo // the bubble's clock
				})
			}
			require.ErrorContains(t, slow(300*time.Millisecond), "more slowly than they come")
			require.True(t, h.cache.Vouched())
		})
	})
	t.Run("many short delays are one long", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			ended := make(chan error, 1)
			go func() {
				ended <- h.st.Watch.Watch(background, func() {}, func(store.Notice) {
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
	t.Run("short delays with pauses between them are none", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			ctx, cancel := context.WithTimeout(background, time.Minute)
			defer cancel()
			err := h.st.Watch.Watch(ctx, func() {}, func(store.Notice) {
				time.Sleep(60 * time.Millisecond) //nolint:forbidigo // the bubble's clock
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("one who comes while the first is silent begins anew", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			h.line.set(func(l *line) { l.mute = l.opened })
			update(t, h.below, "key-1", disable)
			pass(100 * time.Millisecond)
			ctx, cancel := context.WithCancel(background)
			ended := make(chan error, 1)
			go func() { ended <- h.st.Watch.Watch(ctx, func() {}, func(store.Notice) {}) }()
			pass(700 * time.Millisecond)
			require.True(t, h.cache.Vouched())
			require.True(t, h.disabled(), "told on a stream that came too late")
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	})
	t.Run("another takes over", func(t *testing.T) {
		hurting(t, func(h *hurt) {
			ctx, cancel := context.WithCancel(background)
			ended := make(chan error, 1)
			go func() { ended <- h.st.Watch.Watch(ctx, func() {}, func(store.Notice) {}) }()
			pass(store.HeartbeatEvery)
			require.True(t, h.kept())
			h.line.cut <- errors.New("cut") // one of the two
			pass(store.HeartbeatEvery)
			require.True(t, h.cache.Vouched())
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	})
}
