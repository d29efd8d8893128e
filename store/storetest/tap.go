package storetest

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Tap intercepts the calls of a store, for tests of a program whose calls are slow,
// fail, or race with others. The name of a call is its field and method, such as
// "Keys.Lookup". The zero value is ready to use. A Tap is safe for concurrent use.
type Tap struct {
	mu     sync.Mutex
	counts map[string]int
	before func(ctx context.Context, call string) error
	after  func(call string, err error) error
}

// Over returns a store that calls st through the tap: all methods that take a context,
// except those of Limiter, Watch and Cached. Fields that are nil stay nil.
func (t *Tap) Over(st store.Store) store.Store {
	below := tapped{t, st}
	if st.Keys != nil {
		st.Keys = tappedKeys(below)
	}
	if st.Secrets != nil {
		st.Secrets = tappedSecrets(below)
	}
	if st.Workspaces != nil {
		st.Workspaces = tappedWorkspaces(below)
	}
	if st.Upkeep != nil {
		st.Upkeep = tappedUpkeep(below)
	}
	if st.Settings != nil {
		st.Settings = tappedSettings(below)
	}
	if st.Events != nil {
		st.Events = tappedEvents(below)
	}
	if st.SigningKeys != nil {
		st.SigningKeys = tappedSigningKeys(below)
	}
	if st.Epochs != nil {
		st.Epochs = tappedEpochs(below)
	}
	if st.HostLists != nil {
		st.HostLists = tappedLists(below)
	}
	if st.OnceIDs != nil {
		st.OnceIDs = tappedOnceIDs(below)
	}
	if st.Usage != nil {
		st.Usage = tappedUsage(below)
	}
	return st
}

// Before sets a function that is called before each call from now on. If it returns an
// error, the store is not called, and the caller gets that error. nil removes the
// function.
func (t *Tap) Before(do func(ctx context.Context, call string) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = do
}

// After sets a function that is called after each call of the store from now on, with
// the error of the store. The caller gets the error that do returns. nil removes the
// function.
func (t *Tap) After(do func(call string, err error) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after = do
}

// Take returns how often each call was made since the last Take, failed calls included.
func (t *Tap) Take() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := maps.Clone(t.counts)
	clear(t.counts)
	return counts
}

// tapValue makes a call that returns a value and an error.
func tapValue[V any](ctx context.Context, t *Tap, name string, call func() (V, error)) (V, error) {
	t.mu.Lock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[name]++
	before, after := t.before, t.after
	t.mu.Unlock()
	if before != nil {
		if err := before(ctx, name); err != nil {
			var none V
			return none, err
		}
	}
	v, err := call()
	if after != nil {
		err = after(name, err)
	}
	return v, err
}

// tapError makes a call that returns an error only.
func tapError(ctx context.Context, t *Tap, name string, call func() error) error {
	_, err := tapValue(ctx, t, name, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// tapped is a store below a tap. There is a type for each of its interfaces, since their
// methods have the same names.
type tapped struct {
	t  *Tap
	to store.Store
}

type (
	tappedKeys        tapped
	tappedSecrets     tapped
	tappedWorkspaces  tapped
	tappedUpkeep      tapped
	tappedSettings    tapped
	tappedEvents      tapped
	tappedSigningKeys tapped
	tappedEpochs      tapped
	tappedLists       tapped
	tappedOnceIDs     tapped
	tappedUsage       tapped
)

func (k tappedKeys) Create(ctx context.Context, key store.Key, limit int, c store.Change) error {
	return tapError(ctx, k.t, "Keys.Create", func() error { return k.to.Keys.Create(ctx, key, limit, c) })
}

func (k tappedKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	return tapValue(ctx, k.t, "Keys.Lookup", func() (store.Found, error) { return k.to.Keys.Lookup(ctx, id) })
}

func (k tappedKeys) Update(ctx context.Context, key store.Key, c store.Change) error {
	return tapError(ctx, k.t, "Keys.Update", func() error { return k.to.Keys.Update(ctx, key, c) })
}

func (k tappedKeys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	return tapError(ctx, k.t, "Keys.Delete", func() error { return k.to.Keys.Delete(ctx, workspace, id, version, at, c) })
}

func (k tappedKeys) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	return tapValue(ctx, k.t, "Keys.List", func() (store.KeyPage, error) { return k.to.Keys.List(ctx, q) })
}

func (s tappedSecrets) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return tapValue(ctx, s.t, "Secrets.LookupSecret", func() (store.Found, error) { return s.to.Secrets.LookupSecret(ctx, secretID) })
}

func (w tappedWorkspaces) List(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
	return tapValue(ctx, w.t, "Workspaces.List", func() (store.WorkspacePage, error) { return w.to.Workspaces.List(ctx, after, limit) })
}

func (u tappedUpkeep) RecordUses(ctx context.Context, uses []store.Use) error {
	return tapError(ctx, u.t, "Upkeep.RecordUses", func() error { return u.to.Upkeep.RecordUses(ctx, uses) })
}

func (u tappedUpkeep) Rehash(ctx context.Context, keyID, secretID, oldDigest, newDigest string) error {
	return tapError(ctx, u.t, "Upkeep.Rehash", func() error { return u.to.Upkeep.Rehash(ctx, keyID, secretID, oldDigest, newDigest) })
}

func (u tappedUpkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	return tapValue(ctx, u.t, "Upkeep.Purge", func() (int, error) { return u.to.Upkeep.Purge(ctx, before) })
}

func (s tappedSettings) Instance(ctx context.Context) (store.InstanceSettings, error) {
	return tapValue(ctx, s.t, "Settings.Instance", func() (store.InstanceSettings, error) { return s.to.Settings.Instance(ctx) })
}

func (s tappedSettings) SetInstance(ctx context.Context, in store.InstanceSettings, c store.Change) error {
	return tapError(ctx, s.t, "Settings.SetInstance", func() error { return s.to.Settings.SetInstance(ctx, in, c) })
}

func (s tappedSettings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	return tapValue(ctx, s.t, "Settings.Workspace", func() (store.Workspace, error) { return s.to.Settings.Workspace(ctx, id) })
}

func (s tappedSettings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	return tapError(ctx, s.t, "Settings.SetWorkspace", func() error { return s.to.Settings.SetWorkspace(ctx, w, c) })
}

func (s tappedSettings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	return tapError(ctx, s.t, "Settings.DeleteWorkspace", func() error { return s.to.Settings.DeleteWorkspace(ctx, id, at, c) })
}

func (e tappedEvents) Append(ctx context.Context, events ...store.Event) error {
	return tapError(ctx, e.t, "Events.Append", func() error { return e.to.Events.Append(ctx, events...) })
}

func (e tappedEvents) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	return tapValue(ctx, e.t, "Events.List", func() (store.EventPage, error) { return e.to.Events.List(ctx, q) })
}

func (e tappedEvents) Prune(ctx context.Context, before time.Time) (int, error) {
	return tapValue(ctx, e.t, "Events.Prune", func() (int, error) { return e.to.Events.Prune(ctx, before) })
}

func (k tappedSigningKeys) Durable() bool { return k.to.SigningKeys.Durable() }

func (k tappedSigningKeys) Ring(ctx context.Context) (store.Ring, error) {
	return tapValue(ctx, k.t, "SigningKeys.Ring", func() (store.Ring, error) { return k.to.SigningKeys.Ring(ctx) })
}

func (k tappedSigningKeys) SetRing(ctx context.Context, r store.Ring) error {
	return tapError(ctx, k.t, "SigningKeys.SetRing", func() error { return k.to.SigningKeys.SetRing(ctx, r) })
}

func (e tappedEpochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	return tapValue(ctx, e.t, "Epochs.Read", func() (store.EpochState, error) { return e.to.Epochs.Read(ctx, ref) })
}

func (e tappedEpochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	return tapError(ctx, e.t, "Epochs.Revoke", func() error { return e.to.Epochs.Revoke(ctx, tokenID, until, now) })
}

func (o tappedOnceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	return tapError(ctx, o.t, "OnceIDs.Spend", func() error { return o.to.OnceIDs.Spend(ctx, id, now) })
}

func (o tappedOnceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	return tapValue(ctx, o.t, "OnceIDs.Find", func() (store.OnceID, error) { return o.to.OnceIDs.Find(ctx, space, id, now) })
}

func (u tappedUsage) Add(ctx context.Context, counts []store.Count) error {
	return tapError(ctx, u.t, "Usage.Add", func() error { return u.to.Usage.Add(ctx, counts) })
}

func (u tappedUsage) ByDay(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	return tapValue(ctx, u.t, "Usage.ByDay", func() ([]store.Count, error) { return u.to.Usage.ByDay(ctx, workspace, key, from, to) })
}

func (u tappedUsage) Prune(ctx context.Context, before time.Time) (int, error) {
	return tapValue(ctx, u.t, "Usage.Prune", func() (int, error) { return u.to.Usage.Prune(ctx, before) })
}

func (l tappedLists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	return tapValue(ctx, l.t, "HostLists.Entries", func() ([]store.ListEntry, error) { return l.to.HostLists.Entries(ctx) })
}

func (l tappedLists) Record(ctx context.Context, entries ...store.ListEntry) error {
	return tapError(ctx, l.t, "HostLists.Record", func() error { return l.to.HostLists.Record(ctx, entries...) })
}

func (l tappedLists) Forget(ctx context.Context, list store.ListName, name string) error {
	return tapError(ctx, l.t, "HostLists.Forget", func() error { return l.to.HostLists.Forget(ctx, list, name) })
}

func (u tappedUpkeep) Clock(ctx context.Context) (time.Time, error) {
	return tapValue(ctx, u.t, "Upkeep.Clock", func() (time.Time, error) { return u.to.Upkeep.Clock(ctx) })
}
