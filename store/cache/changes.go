package cache

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keys implements store.Keys. A change invalidates what it affects, both before it is
// written and after, even after an error: the change may have been written.
type keys struct {
	store.Keys
	cache *Cache
}

// Create implements store.Keys.
func (k *keys) Create(ctx context.Context, key store.Key, limit int, change store.Change) error {
	k.cache.invalidateKey(key.Workspace, key.ID)
	defer k.cache.invalidateKey(key.Workspace, key.ID)
	return k.Keys.Create(ctx, key, limit, change)
}

// Update implements store.Keys.
func (k *keys) Update(ctx context.Context, key store.Key, change store.Change) error {
	k.cache.invalidateKey(key.Workspace, key.ID)
	defer k.cache.invalidateKey(key.Workspace, key.ID)
	return k.Keys.Update(ctx, key, change)
}

// Delete implements store.Keys.
func (k *keys) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, change store.Change) error {
	k.cache.invalidateKey(workspace, id)
	defer k.cache.invalidateKey(workspace, id)
	return k.Keys.Delete(ctx, workspace, id, version, at, change)
}

// settings implements store.Settings.
type settings struct {
	store.Settings
	cache *Cache
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.InstanceSettings, change store.Change) error {
	s.cache.invalidateInstance()
	defer s.cache.invalidateInstance()
	return s.Settings.SetInstance(ctx, in, change)
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, change store.Change) error {
	s.cache.invalidateWorkspace(w.ID)
	defer s.cache.invalidateWorkspace(w.ID)
	return s.Settings.SetWorkspace(ctx, w, change)
}

// DeleteWorkspace implements store.Settings.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, change store.Change) error {
	s.cache.invalidateWorkspace(id)
	defer s.cache.invalidateWorkspace(id)
	return s.Settings.DeleteWorkspace(ctx, id, at, change)
}

// epochs implements store.Epochs.
type epochs struct {
	store.Epochs
	cache *Cache
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	e.cache.invalidateToken(tokenID)
	defer e.cache.invalidateToken(tokenID)
	return e.Epochs.Revoke(ctx, tokenID, until, now)
}

// upkeep implements store.Upkeep.
type upkeep struct {
	store.Upkeep
	cache *Cache
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, oldDigest, newDigest string) error {
	u.cache.invalidateKey("", keyID)
	defer u.cache.invalidateKey("", keyID)
	return u.Upkeep.Rehash(ctx, keyID, secretID, oldDigest, newDigest)
}

// RecordUses implements store.Upkeep. It is called for all keys in use every few seconds, so
// it updates the cached records and does not invalidate them.
func (u *upkeep) RecordUses(ctx context.Context, uses []store.Use) error {
	if err := u.Upkeep.RecordUses(ctx, uses); err != nil {
		return err
	}
	for _, use := range uses {
		old := u.cache.found.find(use.Key)
		if old == nil {
			continue
		}
		updated := &entry[store.Found]{stamp: old.stamp, read: old.read, value: old.value}
		k := &updated.value.Key
		*k = k.Clone()
		use.At = use.At.UTC().Truncate(time.Microsecond) // as every driver stores it
		k.RecordUse(use)
		u.cache.found.put(use.Key, updated)
	}
	return nil
}
