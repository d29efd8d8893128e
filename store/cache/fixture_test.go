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
	// patient has a bound longer than any pause of a busy machine, for tests that count
	// reads.
	patient = cache.Config{Bound: time.Minute, Entries: 1000, Logger: quiet}
)

// patience is how long a condition may take to come true.
const patience = time.Minute

func newKey(workspace, id string) store.Key {
	return store.Key{
		ID: id, Workspace: workspace, Name: "name of " + id, Permissions: scope.MustParse("project.list"),
		Credentials: []store.Credential{{ID: "s1-" + id, Digest: "d1", Created: noon}, {ID: "s2-" + id, Digest: "d2", Created: noon}},
		Resources:   []string{"https://one.example.com"},
		Created:     noon, Updated: noon,
	}
}

func create(t testing.TB, st store.Store, keys ...store.Key) {
	t.Helper()
	for _, k := range keys {
		require.NoError(t, st.Keys.Create(background, k, store.NoLimit, store.Change{Now: noon}))
	}
}

// update changes the present version of a key, and revokes its tokens.
func update(t testing.TB, st store.Store, id string, change func(*store.Key)) {
	t.Helper()
	found, err := st.Keys.Lookup(background, id)
	require.NoError(t, err)
	change(&found.Key)
	require.NoError(t, st.Keys.Update(background, found.Key, store.Change{Now: noon, RevokeTokens: true}))
}

func disable(k *store.Key) { k.Disabled = true }

func setWorkspace(t testing.TB, st store.Store, change func(*store.Workspace)) {
	t.Helper()
	w, err := st.Settings.Workspace(background, "team-a")
	require.NoError(t, err)
	change(&w)
	require.NoError(t, st.Settings.SetWorkspace(background, w, store.Change{Now: noon, RevokeTokens: true}))
}

func setInstance(t testing.TB, st store.Store, change func(*store.InstanceSettings)) {
	t.Helper()
	in, err := st.Settings.Instance(background)
	require.NoError(t, err)
	change(&in)
	require.NoError(t, st.Settings.SetInstance(background, in, store.Change{Now: noon, RevokeTokens: true}))
}

func suspend(w *store.Workspace) { w.Suspended = true }

func keysOff(in *store.InstanceSettings) { in.KeysOff = true }

func token(id string) store.TokenRef {
	return store.TokenRef{Workspace: "team-a", Key: id, Credential: "s1-" + id, TokenID: "token of " + id}
}

// finder is a way to a cached key. call is its call of the store.
type finder struct {
	name, call string
	find       func(ctx context.Context, st store.Store, id string) (store.Found, error)
}

var finders = []finder{
	{"by id", "Keys.Lookup", func(ctx context.Context, st store.Store, id string) (store.Found, error) {
		return st.Reads().Lookup(ctx, id)
	}},
	{"by secret", "Secrets.LookupSecret", func(ctx context.Context, st store.Store, id string) (store.Found, error) {
		return st.Reads().LookupSecret(ctx, "s1-"+id)
	}},
}

// cached returns a cache over a store, and follows its stream until the test ends.
func cached(t testing.TB, st store.Store, cfg cache.Config) store.Store {
	t.Helper()
	c, err := cache.New(st, cfg)
	require.NoError(t, err)
	follow(t, c)
	return c.Store()
}

// follow runs the cache until the test ends, and waits until it can be used.
func follow(t testing.TB, c *cache.Cache) {
	t.Helper()
	run(t, c)
	require.Eventually(t, c.Usable, patience, time.Millisecond)
}

// run runs the cache until the test ends.
func run(t testing.TB, c *cache.Cache) {
	ctx, cancel := context.WithCancel(background)
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

// pass advances the clock of a synctest bubble.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
	synctest.Wait()
}

// newTap returns a memstore below a tap, and the memstore itself, for changes by another
// process.
func newTap() (tapped, below store.Store, tap *storetest.Tap) {
	tap, below = &storetest.Tap{}, memstore.New()
	return tap.Over(below), below, tap
}

// down makes every call fail.
func down(tap *storetest.Tap) {
	tap.Before(func(context.Context, string) error { return store.ErrUnavailable })
}

// holdOne blocks the next call with the given name, after the store has answered it. It
// closes entered then, and the call returns when the test closes release.
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

// faultyStream is a stream with faults. All calls of Watch have the same ones.
type faultyStream struct {
	from store.Watch

	mu      sync.Mutex
	drop    func(store.Notification) bool               // reports which notifications are lost
	replace func(store.Notification) store.Notification // replaces the notification of a change
	back    uint64                                      // subtracted from the numbers of changes
	frozen  bool                                        // all notifications are lost, and the stream stays open
	cut     chan error                                  // ends one stream with this error
	opened  int
	silent  int // all notifications are lost on this many streams, from the first
}

func newFaultyStream(from store.Watch) *faultyStream {
	return &faultyStream{from: from, cut: make(chan error)}
}

func (l *faultyStream) set(change func(*faultyStream)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

// dropOne loses the next notification that matches.
func (l *faultyStream) dropOne(matches func(store.Notification) bool) {
	l.set(func(l *faultyStream) {
		done := false
		l.drop = func(n store.Notification) bool {
			if done || !matches(n) {
				return false
			}
			done = true
			return true
		}
	})
}

// Watch implements store.Watch.
func (l *faultyStream) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
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
	err := l.from.Watch(ctx, func() { l.set(func(l *faultyStream) { l.opened++; number = l.opened }); ready() }, func(n store.Notification) {
		l.mu.Lock()
		lost := l.frozen || number <= l.silent || l.drop != nil && l.drop(n)
		if n.Kind != store.NotificationHeartbeat {
			if n.Sequence -= l.back; l.replace != nil {
				sequence := n.Sequence
				n = l.replace(n)
				n.Sequence = sequence
			}
		}
		l.mu.Unlock()
		if !lost {
			notify(n)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// listener receives the notifications of a cached store, each after the cache.
type listener struct {
	t             testing.TB
	notifications chan store.Notification
}

func listen(t testing.TB, st store.Store) *listener {
	t.Helper()
	e := &listener{t, make(chan store.Notification, 100)}
	ctx, cancel := context.WithCancel(background)
	ready := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		_ = st.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notification) {
			if n.Kind != store.NotificationHeartbeat {
				e.notifications <- n
			}
		})
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	<-ready
	return e
}

// await waits for the given number of notifications.
func (e *listener) await(count int) {
	e.t.Helper()
	for range count {
		select {
		case <-e.notifications:
		case <-time.After(patience):
			e.t.Fatal("no notification came")
		}
	}
}
