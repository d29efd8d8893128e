package cache_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

var (
	background = context.Background()
	noon       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	quiet      = slog.New(slog.DiscardHandler)
	// patient outlasts any pause of a busy machine, for tests that count.
	patient = cache.Config{Bound: time.Minute, Entries: 1000, Logger: quiet}
)

// patience is how long a condition may take to come true.
const patience = time.Minute

func newKey(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: "name of " + id, Permissions: scope.MustParse("project.list"),
		Secrets:   []store.Secret{{ID: "s1", Digest: "d1", Created: noon}, {ID: "s2", Digest: "d2", Created: noon}},
		Resources: []string{"https://one.example.com"},
		Created:   noon, Updated: noon,
	}
}

func create(t testing.TB, st store.Store, keys ...store.Key) {
	t.Helper()
	for _, k := range keys {
		require.NoError(t, st.Keys.Create(background, k, store.NoLimit, store.Change{Now: noon}))
	}
}

// update changes what is there, whatever the version, and ends its tokens.
func update(t testing.TB, st store.Store, id string, change func(*store.Key)) {
	t.Helper()
	found, err := st.Reads().Lookup(background, id)
	require.NoError(t, err)
	change(&found.Key)
	require.NoError(t, st.Keys.Update(background, found.Key, store.Change{Now: noon, EndTokens: true}))
}

func disable(k *store.Key) { k.Disabled = true }

func setWorkspace(t testing.TB, st store.Store, change func(*store.Workspace)) {
	t.Helper()
	w, err := st.Settings.Workspace(background, "team-a")
	require.NoError(t, err)
	change(&w)
	require.NoError(t, st.Settings.SetWorkspace(background, w, store.Change{Now: noon, EndTokens: true}))
}

func setInstance(t testing.TB, st store.Store, change func(*store.InstanceSettings)) {
	t.Helper()
	in, err := st.Settings.Instance(background)
	require.NoError(t, err)
	change(&in)
	require.NoError(t, st.Settings.SetInstance(background, in, store.Change{Now: noon, EndTokens: true}))
}

func suspend(w *store.Workspace) { w.Suspended = true }

func keysOff(in *store.InstanceSettings) { in.KeysOff = true }

func token(id string) store.TokenRef {
	return store.TokenRef{Workspace: "team-a", Key: id, Secret: "s1", TokenID: "token of " + id}
}

// cached is a cache over a store, with somebody who follows its stream.
func cached(t testing.TB, st store.Store, cfg cache.Config) store.Store {
	t.Helper()
	c, err := cache.New(st, cfg)
	require.NoError(t, err)
	follow(t, c)
	return c.Store()
}

// follow runs the cache until the test ends, and waits for it to vouch.
func follow(t testing.TB, c *cache.Cache) {
	t.Helper()
	run(t, c)
	require.Eventually(t, c.Vouched, patience, time.Millisecond)
}

// run runs the cache until the test ends.
func run(t testing.TB, c *cache.Cache) {
	ctx, cancel := context.WithCancel(background)
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

// pass lets time pass in a bubble of synctest.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
	synctest.Wait()
}

// newTap returns a memstore below a tap, and the memstore itself, through
// which changes come from elsewhere.
func newTap() (tapped, below store.Store, tap *storetest.Tap) {
	tap, below = &storetest.Tap{}, memstore.New()
	return tap.Over(below), below, tap
}

// down makes every call fail.
func down(tap *storetest.Tap) {
	tap.Before(func(context.Context, string) error { return store.ErrUnavailable })
}

// holdOne holds up the next call of that name once it has its answer, until
// release is closed; entered is closed when it has.
func holdOne(tap *storetest.Tap, call string) (entered, release chan struct{}) {
	entered, release = make(chan struct{}), make(chan struct{})
	var held atomic.Bool
	tap.After(func(c string, err error) error {
		if c == call && !held.Swap(true) {
			close(entered)
			<-release
		}
		return err
	})
	return entered, release
}

// line is a stream that can be hurt. Each Watch of it has the same fate.
type line struct {
	from store.Watch

	mu     sync.Mutex
	drop   func(store.Notice) bool         // these never arrive
	turn   func(store.Notice) store.Notice // what arrives in place of a change's
	again  uint64                          // how far the numbers of changes go back
	frozen bool                            // nothing arrives, and nothing ends
	cut    chan error                      // ends the present stream
	opened int
	mute   int // nothing arrives on the first so many that were opened
}

func newLine(from store.Watch) *line { return &line{from: from, cut: make(chan error)} }

func (l *line) set(change func(*line)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// dropOne loses the next notice that fits.
func (l *line) dropOne(fits func(store.Notice) bool) {
	l.set(func(l *line) {
		done := false
		l.drop = func(n store.Notice) bool {
			if done || !fits(n) {
				return false
			}
			done = true
			return true
		}
	})
}

// Watch implements store.Watch.
func (l *line) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-l.cut:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	var number int
	err := l.from.Watch(ctx, func() { l.set(func(l *line) { l.opened++; number = l.opened }); ready() }, func(n store.Notice) {
		l.mu.Lock()
		lost := l.frozen || number <= l.mute || l.drop != nil && l.drop(n)
		if n.Kind != store.NoticeHeartbeat {
			if n.Sequence -= l.again; l.turn != nil {
				sequence := n.Sequence
				n = l.turn(n)
				n.Sequence = sequence
			}
		}
		l.mu.Unlock()
		if !lost {
			notice(n)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// ears hear the notices of a cached store, each after the cache did.
type ears struct {
	t       testing.TB
	notices chan store.Notice
}

func watching(t testing.TB, st store.Store) *ears {
	t.Helper()
	e := &ears{t, make(chan store.Notice, 100)}
	ctx, cancel := context.WithCancel(background)
	ready := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		_ = st.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notice) {
			if n.Kind != store.NoticeHeartbeat {
				e.notices <- n
			}
		})
	})
	t.Cleanup(func() { cancel(); listening.Wait() })
	<-ready
	return e
}

// await waits for that many notices.
func (e *ears) await(notices int) {
	e.t.Helper()
	for range notices {
		select {
		case <-e.notices:
		case <-time.After(patience):
			e.t.Fatal("no notice came")
		}
	}
}
