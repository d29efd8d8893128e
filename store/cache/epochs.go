package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// state is a result of Epochs.Read.
type state struct {
	store.EpochState
	missing bool // ErrNotFound
}

// token identifies a token: a store.TokenRef without the epochs.
type token struct{ workspace, key, credential, id string }

func (t *token) ref() store.TokenRef {
	return store.TokenRef{Workspace: t.workspace, Key: t.key, Credential: t.credential, TokenID: t.id}
}

// Read implements store.Reads. The first read of each token goes to the store, since the
// token may have been revoked long ago. A read from the cache does not allocate.
func (c *Cache) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	now := c.now()
	generation, usable := c.feed.generation(now)
	if !usable {
		c.warnUnfollowed(ctx, now)
		return c.inner.Epochs.Read(ctx, ref)
	}
	t := token{ref.Workspace, ref.Key, ref.Credential, ref.TokenID}
	at := c.stateStamp(generation, &t)
	cached := c.states.find(t)
	switch {
	case !cached.valid(at, now, maxAge):
		return c.readState(ctx, t, at, now)
	case cached.value.missing:
		return store.EpochState{}, errNoEpochs
	}
	s := &cached.value.EpochState
	if ref.Epochs[0] > s.Instance || ref.Epochs[1] > s.Workspace || ref.Epochs[2] > s.Key {
		return c.check(ctx, t, cached)
	}
	return *s, nil
}

// stateStamp returns what a token's state depends on.
func (c *Cache) stateStamp(generation uint64, t *token) stamp {
	v := &c.versions
	return stamp{generation, v.instance.Load(), v.workspaces.get(c.hash(t.workspace)), v.keys.get(c.hash(t.key)), v.tokens.get(c.hash(t.id))}
}

// readState reads epochs from the store and caches them.
func (c *Cache) readState(ctx context.Context, t token, at stamp, now time.Time) (store.EpochState, error) {
	s, _, err := c.reads.load(ctx, t, at, now, func(ctx context.Context) (state, error) {
		read, err := c.inner.Epochs.Read(ctx, t.ref())
		s := state{EpochState: read, missing: errors.Is(err, store.ErrNotFound)}
		if err != nil && !s.missing {
			return s, err
		}
		if max(len(t.workspace), len(t.key), len(t.credential), len(t.id)) <= maxName {
			c.states.put(compact(t), &entry[state]{stamp: at, read: now, value: s})
		}
		return s, err
	})
	return s.EpochState, err
}

// compact copies the strings. They are substrings of a whole token, which would
// otherwise stay in memory.
func compact(t token) token {
	return token{strings.Clone(t.workspace), strings.Clone(t.key), strings.Clone(t.credential), strings.Clone(t.id)}
}

// check reads the store for a token with a higher epoch than the cached one. Either a
// notification has not come yet, or a restored backup set the epochs back. All such tokens of
// a key share one read at a time. If it finds higher epochs than the cached ones, the
// token's own state is read again. If not, check returns the cached state, by which the
// caller refuses the token.
func (c *Cache) check(ctx context.Context, t token, cached *entry[state]) (store.EpochState, error) {
	ofKey := token{workspace: t.workspace, key: t.key}
	for range 2 {
		s, shared, err := c.checks.load(ctx, ofKey, stamp{}, c.now(), func(ctx context.Context) (state, error) {
			read, err := c.inner.Epochs.Read(ctx, ofKey.ref())
			if errors.Is(err, store.ErrNotFound) {
				return state{missing: true}, nil
			}
			return state{EpochState: read}, err
		})
		if err != nil {
			return store.EpochState{}, err
		}
		old := &cached.value
		if s.missing || s.Instance > old.Instance || s.Workspace > old.Workspace || s.Key > old.Key {
			return c.refresh(ctx, t, cached, &s)
		}
		// A shared read may have begun before the token was issued, so it is
		// repeated once.
		if !shared {
			break
		}
	}
	return cached.value.EpochState, nil
}

// refresh invalidates the records whose epochs are higher in the store than in the
// cache, unless they were invalidated since they were read, and reads the token's
// epochs again.
func (c *Cache) refresh(ctx context.Context, t token, cached *entry[state], stored *state) (store.EpochState, error) {
	now := c.now()
	generation, usable := c.feed.generation(now)
	if !usable {
		return c.inner.Epochs.Read(ctx, t.ref())
	}
	if c.stateStamp(generation, &t) == cached.stamp {
		if stored.Instance > cached.value.Instance {
			c.invalidateInstance()
		}
		if stored.Workspace > cached.value.Workspace {
			c.invalidateWorkspace(t.workspace)
		}
		if stored.missing || stored.Key > cached.value.Key {
			c.invalidateKey(t.workspace, t.key)
		}
	}
	return c.readState(ctx, t, c.stateStamp(generation, &t), now)
}
