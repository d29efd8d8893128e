package cache

import (
	"context"
	"errors"
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
	p := c.placeOf(&t)
	at := c.stampOf(p, generation)
	held := c.states.find(p.hash, t, at, now, maxAge)
	switch {
	case held == nil:
		return c.readState(ctx, t, p, at, now)
	case !held.value.none:
		s := &held.value.EpochState
		if ref.Epochs[0] > s.Instance || ref.Epochs[1] > s.Workspace || ref.Epochs[2] > s.Key {
			return c.check(ctx, t, p, held)
		}
		return *s, nil
	case within(held.read, now, c.cfg.MissFor):
		return store.EpochState{}, errNoEpochs
	}
	return c.readState(ctx, t, p, at, now)
}

// place is the hashes of a token and of what it stands under.
type place struct{ workspace, key, token, hash uint64 }

func (c *Cache) placeOf(t *token) place {
	const mix = 0x9e3779b97f4a7c15 // makes one hash of several
	p := place{workspace: c.hash(t.workspace), key: c.hash(t.key), token: c.hash(t.id)}
	p.hash = ((p.workspace*mix+p.key)*mix+p.token)*mix + c.hash(t.secret)
	return p
}

func (c *Cache) stampOf(p place, generation uint64) stamp {
	v := &c.versions
	return stamp{generation, v.instance.Load(), v.workspaces.of(p.workspace), v.keys.of(p.key), v.tokens.of(p.token)}
}

// readState reads epochs from the store and keeps them.
func (c *Cache) readState(ctx context.Context, t token, p place, at stamp, now time.Time) (store.EpochState, error) {
	s, _, err := c.reads.load(ctx, t, at, now, func(ctx context.Context) (state, error) {
		read, err := c.inner.Epochs.Read(ctx, t.ref())
		s := state{EpochState: read, none: errors.Is(err, store.ErrNotFound)}
		if err != nil && !s.none {
			return s, err
		}
		if max(len(t.workspace), len(t.key), len(t.secret), len(t.id)) <= maxName {
			c.states.put(&entry[token, state]{name: compact(t), hash: p.hash, stamp: at, read: now, value: s})
		}
		return s, err
	})
	return s.EpochState, err
}

// compact returns a copy, since these are parts of a token that would be kept
// alive with them. It is one piece of memory, because all of it is read at once
// and comes from far away when there are many tokens.
func compact(t token) token {
	rest := t.workspace + t.key + t.secret + t.id
	next := func(part string) string {
		text := rest[:len(part)]
		rest = rest[len(part):]
		return text
	}
	return token{next(t.workspace), next(t.key), next(t.secret), next(t.id)}
}

// check answers for a token that was issued under a higher epoch than is held:
// a notice has not come yet, or a restored backup set the epochs back. All such
// tokens of a key share one read at a time. If it finds higher epochs than are
// held, the token is read anew; if not, what is held refuses it.
func (c *Cache) check(ctx context.Context, t token, p place, held *entry[token, state]) (store.EpochState, error) {
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
			return c.overtaken(ctx, t, p, held, &s)
		}
		// A shared read may have begun before the token was issued; the next one
		// begins after this one ended.
		if !shared {
			break
		}
	}
	return held.value.EpochState, nil
}

// overtaken forgets what is higher in the store than what is held, unless that
// was done since held was read, and reads the token's epochs anew.
func (c *Cache) overtaken(ctx context.Context, t token, p place, held *entry[token, state], by *state) (store.EpochState, error) {
	now := c.now()
	generation, vouched := c.feed.generation(now)
	if !vouched {
		return c.inner.Epochs.Read(ctx, t.ref())
	}
	if c.stampOf(p, generation) == held.stamp {
		if by.Instance > held.value.Instance {
			c.forgetInstance()
		}
		if by.Workspace > held.value.Workspace {
			c.forgetWorkspace(t.workspace)
		}
		if by.none || by.Key > held.value.Key {
			c.versions.keys.move(p.key)
		}
	}
	return c.readState(ctx, t, p, c.stampOf(p, generation), now)
}
