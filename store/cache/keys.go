package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keys implements store.Keys.
type keys struct{ cache *Cache }

// Lookup implements store.Keys.
func (k *keys) Lookup(ctx context.Context, id string) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	c := k.cache
	if store.WantsFresh(ctx) {
		return c.inner.Keys.Lookup(ctx, id)
	}
	now := c.now()
	generation, vouched := c.records.generation(now)
	if !vouched {
		c.unvouched(ctx, c.records, now)
		return c.inner.Keys.Lookup(ctx, id)
	}
	hash := c.hash(id)
	at := stamp{generation, c.versions.keys.of(hash)}
	if e := c.keys.find(hash, id, at, now, maxAge); e != nil {
		return c.surround(ctx, &e.value.Key, generation, now)
	}
	if c.missing.find(hash, id, at, now, c.cfg.MissFor) != nil {
		return store.Found{}, errUnknown
	}
	// What it stands under comes with the read, so that a change of any
	// settings keeps it from being shared, too.
	shared := stamp{at[0], at[1], c.versions.spaces.moved.Load(), c.versions.instance.Load()}
	found, err := c.keys.load(ctx, id, shared, now, c.cfg.Bound, func(ctx context.Context) (store.Found, error) {
		return c.lookUp(ctx, id, hash, at, now)
	})
	found.Key = found.Key.Clone()
	return found, err
}

// surround returns a copy of a key with the settings it stands under.
func (c *Cache) surround(ctx context.Context, k *store.Key, generation uint64, now time.Time) (found store.Found, err error) {
	if found.Workspace, err = c.workspace(ctx, k.Workspace, generation, now); err != nil {
		return store.Found{}, err
	}
	if found.Workspace.Deleted {
		return store.Found{}, errUnknown // its keys went with it, without notices of their own
	}
	if found.Instance, err = c.wholeInstance(ctx, generation, now); err != nil {
		return store.Found{}, err
	}
	found.Key = k.Clone()
	return found, nil
}

// lookUp reads a key and keeps what comes with it, each record by itself.
func (c *Cache) lookUp(ctx context.Context, id string, hash uint64, at stamp, now time.Time) (store.Found, error) {
	generation, instance, moved := at[0], c.versions.instance.Load(), c.versions.spaces.moved.Load()
	found, err := c.inner.Keys.Lookup(ctx, id)
	if errors.Is(err, store.ErrNotFound) && len(id) <= maxName && c.cfg.MissFor > 0 {
		c.missing.put(&entry[string, struct{}]{name: strings.Clone(id), hash: hash, stamp: at, read: now})
	}
	// A database may take "A" for "a"; notices are about the one that is there.
	if err != nil || found.Key.ID != id {
		return found, err
	}
	c.keys.put(&entry[string, store.Found]{name: found.Key.ID, hash: hash, stamp: at, read: now, value: store.Found{Key: found.Key}})
	name := found.Key.Workspace
	space := c.hash(name)
	here := stamp{generation, c.versions.spaces.of(space)}
	// Which workspace it would be was not known before the read.
	if c.versions.spaces.moved.Load() == moved && found.Workspace.ID == name && c.spaces.find(space, name, here, now, maxAge) == nil {
		c.spaces.put(&entry[string, store.Workspace]{name: name, hash: space, stamp: here, read: now, value: found.Workspace})
	}
	here = stamp{generation, instance}
	if c.instance.find(0, struct{}{}, here, now, maxAge) == nil {
		c.instance.put(&entry[struct{}, store.Instance]{stamp: here, read: now, value: found.Instance})
	}
	return found, nil
}

// Create implements store.Keys.
func (k *keys) Create(ctx context.Context, key store.Key, limit int, change store.Change) error {
	defer k.changing(key.Workspace, key.ID)()
	return k.cache.inner.Keys.Create(ctx, key, limit, change)
}

// Update implements store.Keys.
func (k *keys) Update(ctx context.Context, key store.Key, change store.Change) error {
	defer k.changing(key.Workspace, key.ID)()
	return k.cache.inner.Keys.Update(ctx, key, change)
}

// Delete implements store.Keys.
func (k *keys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, change store.Change) error {
	defer k.changing(workspace, id)()
	return k.cache.inner.Keys.Delete(ctx, workspace, id, version, at, change)
}

// changing forgets a key before a change and, by what it returns, after it:
// an error does not say that nothing was written.
func (k *keys) changing(workspace, id string) (done func()) {
	k.cache.forgetKey(workspace, id)
	return func() { k.cache.forgetKey(workspace, id) }
}

// List implements store.Keys, from the store.
func (k *keys) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	return k.cache.inner.Keys.List(ctx, q)
}

// upkeep implements store.Upkeep.
type upkeep struct {
	store.Upkeep
	cache *Cache
}

// Touch implements store.Upkeep. It is called for all keys in use, every few
// seconds: what is held of them is brought up to date rather than forgotten.
func (u *upkeep) Touch(ctx context.Context, uses []store.Use) error {
	err := u.Upkeep.Touch(ctx, uses)
	if err != nil {
		return err
	}
	c := u.cache
	now := c.now()
	generation, vouched := c.records.generation(now)
	if !vouched {
		return nil
	}
	for _, use := range uses {
		hash := c.hash(use.Key)
		old := c.keys.find(hash, use.Key, stamp{generation, c.versions.keys.of(hash)}, now, maxAge)
		if old == nil {
			continue
		}
		if key, changed := touched(old.value.Key, use); changed {
			c.keys.replace(old, &entry[string, store.Found]{
				name: old.name, hash: hash, stamp: old.stamp, read: old.read, value: store.Found{Key: key},
			})
		}
	}
	return nil
}

// touched returns the key after a use, as the contract has it.
func touched(k store.Key, use store.Use) (store.Key, bool) {
	at := use.At.UTC().Truncate(time.Microsecond) // as every store keeps it
	for i := range k.Secrets {
		if k.Secrets[i].ID != use.Secret || !at.After(k.LastUsed) && !at.After(k.Secrets[i].LastUsed) {
			continue
		}
		k = k.Clone()
		k.LastUsed = later(k.LastUsed, at)
		k.Secrets[i].LastUsed = later(k.Secrets[i].LastUsed, at)
		return k, true
	}
	return k, false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	hash := u.cache.hash(keyID)
	u.cache.versions.keys.move(hash)
	defer u.cache.versions.keys.move(hash)
	return u.Upkeep.Rehash(ctx, keyID, secretID, from, to)
}
