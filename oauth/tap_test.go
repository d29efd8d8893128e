package oauth_test

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// tap stands between a server and its store: it counts calls by name, and lets
// a test fail or hold them up.
type tap struct {
	mu     sync.Mutex
	counts map[string]int
	before func(ctx context.Context, call string) error
}

// newTap returns a full store whose every call at login or guard goes through
// the tap.
func newTap() (store.Store, *tap) {
	t := &tap{counts: map[string]int{}}
	st := memstore.New()
	st.Epochs = tappedEpochs{st.Epochs, st.Keys, t}
	st.Keys = tappedKeys{st.Keys, t}
	st.Settings = tappedSettings{st.Settings, t}
	st.Events = tappedEvents{st.Events, t}
	st.Upkeep = tappedUpkeep{st.Upkeep, t}
	return st, t
}

func (t *tap) call(ctx context.Context, name string) error {
	t.mu.Lock()
	t.counts[name]++
	before := t.before
	t.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, name)
}

// set changes what happens before each call; nil is nothing.
func (t *tap) set(before func(ctx context.Context, call string) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = before
}

// take returns the counts and begins anew.
func (t *tap) take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.counts
	t.counts = map[string]int{}
	return counts
}

type tappedKeys struct {
	store.Keys
	tap *tap
}

func (k tappedKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	if err := k.tap.call(ctx, "Keys.Lookup"); err != nil {
		return store.Found{}, err
	}
	return k.Keys.Lookup(ctx, id)
}

func (k tappedKeys) Update(ctx context.Context, key store.Key, c store.Change) error {
	if err := k.tap.call(ctx, "Keys.Update"); err != nil {
		return err
	}
	return k.Keys.Update(ctx, key, c)
}

type tappedSettings struct {
	store.Settings
	tap *tap
}

func (s tappedSettings) Instance(ctx context.Context) (store.Instance, error) {
	if err := s.tap.call(ctx, "Settings.Instance"); err != nil {
		return store.Instance{}, err
	}
	return s.Settings.Instance(ctx)
}

func (s tappedSettings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	if err := s.tap.call(ctx, "Settings.Workspace"); err != nil {
		return store.Workspace{}, err
	}
	return s.Settings.Workspace(ctx, id)
}

type tappedEpochs struct {
	store.Epochs
	keys store.Keys
	tap  *tap
}

func (e tappedEpochs) With(store.Keys) bool { return e.Epochs.With(e.keys) }

func (e tappedEpochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := e.tap.call(ctx, "Epochs.Read"); err != nil {
		return store.EpochState{}, err
	}
	return e.Epochs.Read(ctx, ref)
}

type tappedEvents struct {
	store.Events
	tap *tap
}

func (e tappedEvents) Append(ctx context.Context, events ...store.Event) error {
	if err := e.tap.call(ctx, "Events.Append"); err != nil {
		return err
	}
	return e.Events.Append(ctx, events...)
}

func (e tappedEvents) Prune(ctx context.Context, before time.Time) (int, error) {
	if err := e.tap.call(ctx, "Events.Prune"); err != nil {
		return 0, err
	}
	return e.Events.Prune(ctx, before)
}

type tappedUpkeep struct {
	store.Upkeep
	tap *tap
}

func (u tappedUpkeep) Touch(ctx context.Context, uses []store.Use) error {
	if err := u.tap.call(ctx, "Upkeep.Touch"); err != nil {
		return err
	}
	return u.Upkeep.Touch(ctx, uses)
}

func (u tappedUpkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	if err := u.tap.call(ctx, "Upkeep.Purge"); err != nil {
		return 0, err
	}
	return u.Upkeep.Purge(ctx, before)
}
