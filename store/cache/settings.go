package cache

import (
	"context"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// settings implements store.Settings.
type settings struct{ cache *Cache }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (store.Instance, error) {
	if err := ctx.Err(); err != nil {
		return store.Instance{}, fail("read settings", err)
	}
	c := s.cache
	if store.WantsFresh(ctx) {
		return c.inner.Settings.Instance(ctx)
	}
	now := c.now()
	generation, vouched := c.records.generation(now)
	if !vouched {
		c.unvouched(ctx, c.records, now)
		return c.inner.Settings.Instance(ctx)
	}
	return c.wholeInstance(ctx, generation, now)
}

func (c *Cache) wholeInstance(ctx context.Context, generation uint64, now time.Time) (store.Instance, error) {
	at := stamp{generation, c.versions.instance.Load()}
	if e := c.instance.find(0, struct{}{}, at, now, maxAge); e != nil {
		return e.value, nil
	}
	return c.instance.load(ctx, struct{}{}, at, now, c.cfg.Bound, func(ctx context.Context) (store.Instance, error) {
		in, err := c.inner.Settings.Instance(ctx)
		if err == nil {
			c.instance.put(&entry[struct{}, store.Instance]{stamp: at, read: now, value: in})
		}
		return in, err
	})
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	if err := ctx.Err(); err != nil {
		return store.Workspace{}, fail("read workspace settings", err)
	}
	c := s.cache
	if store.WantsFresh(ctx) {
		return c.inner.Settings.Workspace(ctx, id)
	}
	now := c.now()
	generation, vouched := c.records.generation(now)
	if !vouched {
		c.unvouched(ctx, c.records, now)
		return c.inner.Settings.Workspace(ctx, id)
	}
	return c.workspace(ctx, id, generation, now)
}

func (c *Cache) workspace(ctx context.Context, id string, generation uint64, now time.Time) (store.Workspace, error) {
	hash := c.hash(id)
	at := stamp{generation, c.versions.spaces.of(hash)}
	if e := c.spaces.find(hash, id, at, now, maxAge); e != nil {
		return e.value, nil
	}
	return c.spaces.load(ctx, id, at, now, c.cfg.Bound, func(ctx context.Context) (store.Workspace, error) {
		w, err := c.inner.Settings.Workspace(ctx, id)
		if err == nil && len(id) <= maxName && w.ID == id {
			c.spaces.put(&entry[string, store.Workspace]{name: strings.Clone(id), hash: hash, stamp: at, read: now, value: w})
		}
		return w, err
	})
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.Instance, change store.Change) error {
	s.cache.forgetInstance()
	defer s.cache.forgetInstance()
	return s.cache.inner.Settings.SetInstance(ctx, in, change)
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, change store.Change) error {
	s.cache.forgetWorkspace(w.ID)
	defer s.cache.forgetWorkspace(w.ID)
	return s.cache.inner.Settings.SetWorkspace(ctx, w, change)
}

// DeleteWorkspace implements store.Settings.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, change store.Change) error {
	s.cache.forgetWorkspace(id)
	defer s.cache.forgetWorkspace(id)
	return s.cache.inner.Settings.DeleteWorkspace(ctx, id, at, change)
}
