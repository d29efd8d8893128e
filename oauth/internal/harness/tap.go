package harness

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Tap stands between a program and its store: it counts calls by their names,
// such as "Keys.Lookup", and lets a test fail them or hold them up. The zero
// value is ready. It is safe for concurrent use.
type Tap struct {
	mu     sync.Mutex
	counts map[string]int
	before func(ctx context.Context, call string) error
}

// Over returns st with its calls going through the tap, except those of Watch and
// Limiter.
func (t *Tap) Over(st store.Store) store.Store {
	if st.Epochs != nil {
		st.Epochs = tappedEpochs{st.Epochs, t}
	}
	st.Keys = tappedKeys{st.Keys, t}
	st.Upkeep = tappedUpkeep{st.Upkeep, t}
	st.Settings = tappedSettings{st.Settings, t}
	st.Events = tappedEvents{st.Events, t}
	if st.SigningKeys != nil {
		st.SigningKeys = tappedSigningKeys{st.SigningKeys, t}
	}
	if st.OnceIDs != nil {
		st.OnceIDs = tappedOnceIDs{st.OnceIDs, t}
	}
	if st.Usage != nil {
		st.Usage = tappedUsage{st.Usage, t}
	}
	return st
}

// Set changes the function that runs before each call; nil is none. If it returns
// an error, the call is not made and returns that error.
func (t *Tap) Set(before func(ctx context.Context, call string) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = before
}

// Take returns the counts since the last Take.
func (t *Tap) Take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.counts
	t.counts = nil
	if counts == nil {
		counts = map[string]int{}
	}
	return counts
}

// Call counts a call and returns the error of the function that Set was given.
func (t *Tap) Call(ctx context.Context, name string) error {
	t.mu.Lock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[name]++
	before := t.before
	t.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, name)
}

// through makes a call that returns a value.
func through[V any](ctx context.Context, t *Tap, name string, call func() (V, error)) (V, error) {
	if err := t.Call(ctx, name); err != nil {
		var none V
		return none, err
	}
	return call()
}

// change makes a call that returns an error only.
func change(ctx context.Context, t *Tap, name string, call func() error) error {
	if err := t.Call(ctx, name); err != nil {
		return err
	}
	return call()
}

type tappedKeys struct {
	store.Keys
	t *Tap
}

func (k tappedKeys) Create(ctx context.Context, key store.Key, limit int, c store.Change) error {
	return change(ctx, k.t, "Keys.Create", func() error { return k.Keys.Create(ctx, key, limit, c) })
}

func (k tappedKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	return through(ctx, k.t, "Keys.Lookup", func() (store.Found, error) { return k.Keys.Lookup(ctx, id) })
}

func (k tappedKeys) Update(ctx context.Context, key store.Key, c store.Change) error {
	return change(ctx, k.t, "Keys.Update", func() error { return k.Keys.Update(ctx, key, c) })
}

func (k tappedKeys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	return change(ctx, k.t, "Keys.Delete", func() error { return k.Keys.Delete(ctx, workspace, id, version, at, c) })
}

func (k tappedKeys) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	return through(ctx, k.t, "Keys.List", func() (store.KeyPage, error) { return k.Keys.List(ctx, q) })
}

type tappedUpkeep struct {
	store.Upkeep
	t *Tap
}

func (u tappedUpkeep) Touch(ctx context.Context, uses []store.Use) error {
	return change(ctx, u.t, "Upkeep.Touch", func() error { return u.Upkeep.Touch(ctx, uses) })
}

func (u tappedUpkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	return change(ctx, u.t, "Upkeep.Rehash", func() error { return u.Upkeep.Rehash(ctx, keyID, secretID, from, to) })
}

func (u tappedUpkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	return through(ctx, u.t, "Upkeep.Purge", func() (int, error) { return u.Upkeep.Purge(ctx, before) })
}

type tappedSettings struct {
	store.Settings
	t *Tap
}

func (s tappedSettings) Instance(ctx context.Context) (store.Instance, error) {
	return through(ctx, s.t, "Settings.Instance", func() (store.Instance, error) { return s.Settings.Instance(ctx) })
}

func (s tappedSettings) SetInstance(ctx context.Context, in store.Instance, c store.Change) error {
	return change(ctx, s.t, "Settings.SetInstance", func() error { return s.Settings.SetInstance(ctx, in, c) })
}

func (s tappedSettings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	return through(ctx, s.t, "Settings.Workspace", func() (store.Workspace, error) { return s.Settings.Workspace(ctx, id) })
}

func (s tappedSettings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	return change(ctx, s.t, "Settings.SetWorkspace", func() error { return s.Settings.SetWorkspace(ctx, w, c) })
}

func (s tappedSettings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	return change(ctx, s.t, "Settings.DeleteWorkspace", func() error { return s.Settings.DeleteWorkspace(ctx, id, at, c) })
}
