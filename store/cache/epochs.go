package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// state is what Epochs.Read answered.
type state struct {
	store.EpochState
	none bool // ErrNotFound
}

// token names a token: a store.TokenRef without the epochs it was issued under.
type token struct{ workspace, key, secret, id string }

func (t *token) ref() store.TokenRef {
	return store.TokenRef{Workspace: t.workspace, Key: t.key, Secret: t.secret, TokenID: t.id}
}

// Read implements store.Reads. Of each token the first answer comes from the
// store, for it may have been revoked long ago. What is held costs no
// allocation.
func (c *Cache) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	now := c.now()
	generation, vouched := c.feed.generation(now)
	if !vouched {
		c.unvouched(ctx, now)
		return c.inner.Epochs.Read(ctx, ref)
	}
	t := token{ref.Workspace, ref.Key, ref.Secret, ref.TokenID}
	at := c.stateStamp(generation, &t)
	held := c.states.find(t)
	switch {
	case !held.holds(at, now, maxAge):
		return c.readState(ctx, t, at, now)
	case held.value.none:
		return store.EpochState{}, errNoEpochs
	}
	s := &held.value.EpochState
	if ref.Epochs[0] > s.Instance || ref.Epochs[1] > s.Workspace || ref.Epochs[2] > s.Key {
		return c.check(ctx, t, held)
	}
	return *s, nil
}

// stateStamp is what a token's state depends on.
func (c *Cache) stateStamp(generation uint64, t *token) stamp {
	v := &c.versions
	return stamp{generation, v.instance.Load(), v.workspaces.of(c.hash(t.workspace)), v.keys.of(c.hash(t.key)), v.tokens.of(c.hash(t.id))}
}

// readState reads epochs from the store and keeps them.
func (c *Cache) readState(ctx context.Context, t token, at stamp, now time.Time) (store.EpochState, error) {
	s, _, err := c.reads.load(ctx, t, at, now, func(ctx context.Context) (state, error) {
		read, err := c.inner.Epochs.Read(ctx, t.ref())
		s := state{EpochState: read, none: errors.Is(err, store.ErrNotFound)}
		if err != nil && !s.none {
			return s, err
		}
		if max(len(t.workspace), len(t.key), len(t.secret), len(t.id)) <= maxName {
			c.states.put(compact(t), &entry[state]{stamp: at, read: now, value: s})
		}
		return s, err
	})
	return s.EpochState, err
}

// compact returns a copy: the strings are parts of a token, which would stay in
// memory with them.
func compact(t token) token {
	return token{strings.Clone(t.workspace), strings.Clone(t.key), strings.Clone(t.secret), strings.Clone(t.id)}
}

// check answers for a token that was issued under a higher epoch than is held:
// a notice has not come yet, or a restored backup set the epochs back. All such
// tokens of a key share one read at a time. If that finds higher epochs than are
// held, the token's own state is read anew; if not, what is held is the answer, by
// which the caller refuses the token.
func (c *Cache) check(ctx context.Context, t token, held *entry[state]) (store.EpochState, error) {
	of := token{workspace: t.workspace, key: t.key}
	for range 2 {
		s, shared, err := c.checks.load(ctx, of, stamp{}, c.now(), func(ctx context.Context) (state, error) {
			read, err := c.inner.Epochs.Read(ctx, of.ref())
			if errors.Is(err, store.ErrNotFound) {
				return state{none: true}, nil
			}
			return state{EpochState: read}, err
		})
		if err != nil {
			return store.EpochState{}, err
		}
		old := &held.value
		if s.none || s.Instance > old.Instance || s.Workspace > old.Workspace || s.Key > old.Key {
			return c.overtaken(ctx, t, held, &s)
		}
		// A shared read may have begun before the token was issued; the next one
		// begins after this one ended.
		if !shared {
			break
		}
	}
	return held.value.EpochState, nil
}

// overtaken forgets the records whose epochs are higher in the store than those
// held, unless they were forgotten since held was read, and reads the token's
// epochs anew.
func (c *Cache) overtaken(ctx context.Context, t token, held *entry[state], by *state) (store.EpochState, error) {
	now := c.now()
	generation, vouched := c.feed.generation(now)
	if !vouched {
		return c.inner.Epochs.Read(ctx, t.ref())
	}
	if c.stateStamp(generation, &t) == held.stamp {
		if by.Instance > held.value.Instance {
			c.forgetInstance()
		}
		if by.Workspace > held.value.Workspace {
			c.forgetWorkspace(t.workspace)
		}
		if by.none || by.Key > held.value.Key {
			c.forgetKey(t.workspace, t.key)
		}
	}
	return c.readState(ctx, t, c.stateStamp(generation, &t), now)
}
