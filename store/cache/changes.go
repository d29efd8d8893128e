package cache

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keys implements store.Keys. A change forgets what it touches before it is written
// and after: also after an error, which does not say that nothing was written.
type keys struct {
	store.Keys
	cache *Cache
}

// Create implements store.Keys.
func (k *keys) Create(ctx context.Context, key store.Key, limit int, change store.Change) error {
	k.cache.forgetKey(key.Workspace, key.ID)
	defer k.cache.forgetKey(key.Workspace, key.ID)
	return k.Keys.Create(ctx, key, limit, change)
}

// Update implements store.Keys.
func (k *keys) Update(ctx context.Context, key store.Key, change store.Change) error {
	k.cache.forgetKey(key.Workspace, key.ID)
	defer k.cache.forgetKey(key.Workspace, key.ID)
	return k.Keys.Update(ctx, key, change)
}

// Delete implements store.Keys.
func (k *keys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, change store.Change) error {
	k.cache.forgetKey(workspace, id)
	defer k.cache.forgetKey(workspace, id)
	return k.Keys.Delete(ctx, workspace, id, version, at, change)
}

// settings implements store.Settings.
type settings struct {
	store.Settings
	cache *Cache
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.Instance, change store.Change) error {
	s.cache.forgetInstance()
	defer s.cache.forgetInstance()
	return s.Settings.SetInstance(ctx, in, change)
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, change store.Change) error {
	s.cache.forgetWorkspace(w.ID)
	defer s.cache.forgetWorkspace(w.ID)
	return s.Settings.SetWorkspace(ctx, w, change)
}

// DeleteWorkspace implements store.Settings.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, change store.Change) error {
	s.cache.forgetWorkspace(id)
	defer s.cache.forgetWorkspace(id)
	return s.Settings.DeleteWorkspace(ctx, id, at, change)
}

// epochs implements store.Epochs.
type epochs struct {
	store.Epochs
	cache *Cache
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	hash := e.cache.hash(tokenID)
	e.cache.versions.tokens.move(hash)
	defer e.cache.versions.tokens.move(hash)
	return e.Epochs.Revoke(ctx, tokenID, until, now)
}

// upkeep implements store.Upkeep.
type upkeep struct {
	store.Upkeep
	cache *Cache
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	hash := u.cache.hash(keyID)
	u.cache.versions.keys.move(hash)
	defer u.cache.versions.keys.move(hash)
	return u.Upkeep.Rehash(ctx, keyID, secretID, from, to)
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
	generation, vouched := c.feed.generation(now)
	if !vouched {
		return nil
	}
	for _, use := range uses {
		hash := c.hash(use.Key)
		old := c.keys.find(hash, use.Key, stamp{generation, c.versions.keys.of(hash)}, now, maxAge)
		if old == nil {
			continue
		}
		if key, changed := touched(old.value, use); changed {
			c.keys.replace(old, &entry[string, store.Key]{
				name: old.name, hash: hash, stamp: old.stamp, read: old.read, value: key,
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
