package storetest_test

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// The types below wrap the interfaces of a store and replace single methods.

type keys struct {
	store.Keys
	create func(ctx context.Context, k store.Key, limit int, c store.Change) error
	lookup func(ctx context.Context, id string) (store.Found, error)
	update func(ctx context.Context, k store.Key, c store.Change) error
	remove func(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error
	list   func(ctx context.Context, q store.KeyQuery) (store.KeyPage, error)
}

func (w keys) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	if w.create != nil {
		return w.create(ctx, k, limit, c)
	}
	return w.Keys.Create(ctx, k, limit, c)
}

func (w keys) Lookup(ctx context.Context, id string) (store.Found, error) {
	if w.lookup != nil {
		return w.lookup(ctx, id)
	}
	return w.Keys.Lookup(ctx, id)
}

func (w keys) Update(ctx context.Context, k store.Key, c store.Change) error {
	if w.update != nil {
		return w.update(ctx, k, c)
	}
	return w.Keys.Update(ctx, k, c)
}

func (w keys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	if w.remove != nil {
		return w.remove(ctx, workspace, id, version, at, c)
	}
	return w.Keys.Delete(ctx, workspace, id, version, at, c)
}

func (w keys) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	if w.list != nil {
		return w.list(ctx, q)
	}
	return w.Keys.List(ctx, q)
}

type workspaces func(ctx context.Context, after string, limit int) (store.WorkspacePage, error)

func (w workspaces) List(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
	return w(ctx, after, limit)
}

type upkeep struct {
	store.Upkeep
	purge      func(ctx context.Context, before time.Time) (int, error)
	recordUses func(ctx context.Context, uses []store.Use) error
	rehash     func(ctx context.Context, key, secret, from, to string) error
	clock      func(ctx context.Context) (time.Time, error)
}

func (w upkeep) Clock(ctx context.Context) (time.Time, error) {
	if w.clock != nil {
		return w.clock(ctx)
	}
	return w.Upkeep.Clock(ctx)
}

func (w upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	if w.purge != nil {
		return w.purge(ctx, before)
	}
	return w.Upkeep.Purge(ctx, before)
}

func (w upkeep) RecordUses(ctx context.Context, uses []store.Use) error {
	if w.recordUses != nil {
		return w.recordUses(ctx, uses)
	}
	return w.Upkeep.RecordUses(ctx, uses)
}

func (w upkeep) Rehash(ctx context.Context, key, secret, from, to string) error {
	if w.rehash != nil {
		return w.rehash(ctx, key, secret, from, to)
	}
	return w.Upkeep.Rehash(ctx, key, secret, from, to)
}

type settings struct {
	store.Settings
	setInstance     func(ctx context.Context, s store.InstanceSettings, c store.Change) error
	setWorkspace    func(ctx context.Context, w store.Workspace, c store.Change) error
	deleteWorkspace func(ctx context.Context, id string, at time.Time, c store.Change) error
}

func (w settings) SetInstance(ctx context.Context, s store.InstanceSettings, c store.Change) error {
	if w.setInstance != nil {
		return w.setInstance(ctx, s, c)
	}
	return w.Settings.SetInstance(ctx, s, c)
}

func (w settings) SetWorkspace(ctx context.Context, s store.Workspace, c store.Change) error {
	if w.setWorkspace != nil {
		return w.setWorkspace(ctx, s, c)
	}
	return w.Settings.SetWorkspace(ctx, s, c)
}

func (w settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	if w.deleteWorkspace != nil {
		return w.deleteWorkspace(ctx, id, at, c)
	}
	return w.Settings.DeleteWorkspace(ctx, id, at, c)
}

type events struct {
	store.Events
	append func(ctx context.Context, events ...store.Event) error
	list   func(ctx context.Context, q store.EventQuery) (store.EventPage, error)
	prune  func(ctx context.Context, before time.Time) (int, error)
}

func (w events) Append(ctx context.Context, events ...store.Event) error {
	if w.append != nil {
		return w.append(ctx, events...)
	}
	return w.Events.Append(ctx, events...)
}

func (w events) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if w.list != nil {
		return w.list(ctx, q)
	}
	return w.Events.List(ctx, q)
}

func (w events) Prune(ctx context.Context, before time.Time) (int, error) {
	if w.prune != nil {
		return w.prune(ctx, before)
	}
	return w.Events.Prune(ctx, before)
}

type epochs struct {
	store.Epochs
	read func(ctx context.Context, ref store.TokenRef) (store.EpochState, error)
}

func (w epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	return w.read(ctx, ref)
}

type onceIDs struct {
	store.OnceIDs
	spend func(ctx context.Context, id store.OnceID, now time.Time) error
}

func (w onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	return w.spend(ctx, id, now)
}

type signingKeys struct {
	store.SigningKeys
	set func(ctx context.Context, r store.Ring) error
}

func (w signingKeys) SetRing(ctx context.Context, r store.Ring) error { return w.set(ctx, r) }

type usage struct {
	store.Usage
	add   func(ctx context.Context, counts []store.Count) error
	byDay func(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error)
}

func (w usage) Add(ctx context.Context, counts []store.Count) error {
	if w.add != nil {
		return w.add(ctx, counts)
	}
	return w.Usage.Add(ctx, counts)
}

func (w usage) ByDay(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if w.byDay != nil {
		return w.byDay(ctx, workspace, key, from, to)
	}
	return w.Usage.ByDay(ctx, workspace, key, from, to)
}

type limiter func(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error)

func (w limiter) Advance(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
	return w(ctx, id, now, by, window)
}

type watch func(ctx context.Context, ready func(), notify func(store.Notification)) error

func (w watch) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	return w(ctx, ready, notify)
}

// current returns the stored key, or a zero key.
func current(ctx context.Context, s store.Store, id string) store.Key {
	found, err := s.Keys.Lookup(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Key{}
	}
	return found.Key
}

type hostLists struct {
	store.HostLists
	record  func(ctx context.Context, entries ...store.ListEntry) error
	entries func(ctx context.Context) ([]store.ListEntry, error)
	forget  func(ctx context.Context, list store.ListName, name string) error
}

func (w hostLists) Record(ctx context.Context, entries ...store.ListEntry) error {
	if w.record != nil {
		return w.record(ctx, entries...)
	}
	return w.HostLists.Record(ctx, entries...)
}

func (w hostLists) Entries(ctx context.Context) ([]store.ListEntry, error) {
	if w.entries != nil {
		return w.entries(ctx)
	}
	return w.HostLists.Entries(ctx)
}

func (w hostLists) Forget(ctx context.Context, list store.ListName, name string) error {
	if w.forget != nil {
		return w.forget(ctx, list, name)
	}
	return w.HostLists.Forget(ctx, list, name)
}
