package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// owner is the key that has a secret. A cached owner is only a hint, and is never too old:
// the cached record of the key shows whether it still has the secret.
type owner struct{ workspace, key string }

// Lookup implements store.Reads. A read from the cache does not allocate.
func (c *Cache) Lookup(ctx context.Context, id string) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	now := c.now()
	generation, usable := c.feed.generation(now)
	if !usable {
		c.warnUnfollowed(ctx, now)
		return c.inner.Keys.Lookup(ctx, id)
	}
	e, of, at := c.find(generation, owner{key: id})
	if e.valid(at, now, maxAge) {
		return e.value, nil
	}
	// c.found comes first: a key that was deleted with its workspace can be in both.
	if c.missing.find(id).valid(c.missingStamp(generation, id), now, maxAge) {
		return store.Found{}, errUnknown
	}
	return c.lookUp(ctx, of, at, now)
}

// LookupSecret implements store.Reads. A read from the cache does not allocate. An unknown
// id is not cached: the notification of a key does not name the secrets that it got.
func (c *Cache) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up secret", err)
	}
	now := c.now()
	generation, usable := c.feed.generation(now)
	if !usable {
		c.warnUnfollowed(ctx, now)
		return c.inner.Secrets.LookupSecret(ctx, secretID)
	}
	var of owner
	if hint := c.owners.find(secretID); hint != nil {
		of = hint.value
	}
	e, of, at := c.find(generation, of)
	if e.valid(at, now, maxAge) && hasSecret(&e.value.Key, secretID) {
		return e.value, nil
	}
	return c.lookUpSecret(ctx, secretID, of, at, now)
}

// find returns the entry of a key, or nil, the key with its workspace, if that is known, and
// what the key depends on.
func (c *Cache) find(generation uint64, of owner) (*entry[store.Found], owner, stamp) {
	e := c.found.find(of.key)
	if e != nil {
		of.workspace = e.value.Key.Workspace
	}
	return e, of, c.foundStamp(generation, of)
}

// foundStamp returns what a key and its settings depend on.
func (c *Cache) foundStamp(generation uint64, of owner) stamp {
	v, space := &c.versions, c.hash(of.workspace)
	return stamp{generation, v.instance.Load(), v.workspaces.get(space), v.keys.get(c.hash(of.key)), v.counts.get(space)}
}

// missingStamp returns what an unknown id depends on.
func (c *Cache) missingStamp(generation uint64, id string) stamp {
	return stamp{generation, c.versions.keys.get(c.hash(id))}
}

// lookUp reads a key and caches it, or that there is none. at is what it depends on if its
// workspace is that of the owner.
func (c *Cache) lookUp(ctx context.Context, of owner, at stamp, now time.Time) (store.Found, error) {
	found, _, err := c.lookups.load(ctx, of.key, c.shared(at), now, func(ctx context.Context) (store.Found, error) {
		changes, missing := c.versions.changes.Load(), c.missingStamp(at[0], of.key)
		found, err := c.inner.Keys.Lookup(ctx, of.key)
		if errors.Is(err, store.ErrNotFound) && len(of.key) <= maxName {
			c.missing.put(strings.Clone(of.key), &entry[struct{}]{stamp: missing, read: now})
		}
		// A database may ignore case and return "a" for "A". Its notifications are about "a".
		if err == nil && found.Key.ID == of.key {
			c.keep(found, of, at, changes, now)
		}
		return found, err
	})
	return found, err
}

// lookUpSecret is lookUp for the key that has a secret. of is the key that had it, if that
// is known.
func (c *Cache) lookUpSecret(ctx context.Context, secretID string, of owner, at stamp, now time.Time) (store.Found, error) {
	found, _, err := c.secrets.load(ctx, secretID, c.shared(at), now, func(ctx context.Context) (store.Found, error) {
		changes := c.versions.changes.Load()
		found, err := c.inner.Secrets.LookupSecret(ctx, secretID)
		if err == nil {
			c.keep(found, of, at, changes, now)
			c.owners.put(strings.Clone(secretID), &entry[owner]{value: owner{found.Key.Workspace, found.Key.ID}})
		}
		return found, err
	})
	return found, err
}

// shared returns the stamp under which a look-up is shared: any change prevents it, since
// the look-up also returns the key's settings.
func (c *Cache) shared(at stamp) stamp { return stamp{at[0], c.versions.changes.Load()} }

// keep caches a key that was read. at is what the key depends on if it is the one that was
// expected. Otherwise nothing may have changed since before the read, when changes was read.
func (c *Cache) keep(found store.Found, expected owner, at stamp, changes uint64, now time.Time) {
	if read := (owner{found.Key.Workspace, found.Key.ID}); read != expected {
		at = c.foundStamp(at[0], read)
		if c.versions.changes.Load() != changes {
			return // the stamp may be of a change after the read
		}
	}
	c.found.put(found.Key.ID, &entry[store.Found]{stamp: at, read: now, value: found})
}

func hasSecret(k *store.Key, id string) bool {
	for i := range k.Secrets {
		if k.Secrets[i].ID == id {
			return true
		}
	}
	return false
}
