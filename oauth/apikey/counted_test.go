package apikey_test

import (
	"context"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/store"
)

// counted is a store that counts the calls on the path of a login.
type counted struct {
	reads, writes atomic.Int64
}

func (c *counted) around(st store.Store) store.Store {
	st.Keys = countedKeys{st.Keys, c}
	st.Settings = countedSettings{st.Settings, c}
	st.Upkeep = countedUpkeep{st.Upkeep, c}
	st.Events = countedEvents{st.Events, c}
	st.Epochs = countedEpochs{st.Epochs, c}
	return st
}

type countedKeys struct {
	store.Keys
	c *counted
}

func (k countedKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	k.c.reads.Add(1)
	return k.Keys.Lookup(ctx, id)
}

func (k countedKeys) Update(ctx context.Context, key store.Key, c store.Change) error {
	k.c.writes.Add(1)
	return k.Keys.Update(ctx, key, c)
}

type countedSettings struct {
	store.Settings
	c *counted
}

func (s countedSettings) Instance(ctx context.Context) (store.Instance, error) {
	s.c.reads.Add(1)
	return s.Settings.Instance(ctx)
}

func (s countedSettings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	s.c.reads.Add(1)
	return s.Settings.Workspace(ctx, id)
}

type countedUpkeep struct {
	store.Upkeep
	c *counted
}

func (u countedUpkeep) Touch(ctx context.Context, uses []store.Use) error {
	u.c.writes.Add(1)
	return u.Upkeep.Touch(ctx, uses)
}

func (u countedUpkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	u.c.writes.Add(1)
	return u.Upkeep.Rehash(ctx, keyID, secretID, from, to)
}

type countedEvents struct {
	store.Events
	c *counted
}

func (e countedEvents) Append(ctx context.Context, events ...store.Event) error {
	e.c.writes.Add(1)
	return e.Events.Append(ctx, events...)
}

type countedEpochs struct {
	store.Epochs
	c *counted
}

func (e countedEpochs) With(keys store.Keys) bool {
	if inner, ok := keys.(countedKeys); ok {
		keys = inner.Keys
	}
	return e.Epochs.With(keys)
}

func (e countedEpochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	e.c.reads.Add(1)
	return e.Epochs.Read(ctx, ref)
}

func (e countedEpochs) Raise(ctx context.Context, marks ...store.Mark) error {
	e.c.writes.Add(1)
	return e.Epochs.Raise(ctx, marks...)
}
