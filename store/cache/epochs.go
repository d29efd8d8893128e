package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ cache *Cache }

// state is what Read answered.
type state struct {
	store.EpochState
	none bool // ErrNotFound
}

// With implements store.Epochs: as below, of the cache's own Keys.
func (e *epochs) With(k store.Keys) bool {
	if k == store.Keys(e.cache.wrapped) {
		return e.cache.beside
	}
	return e.cache.inner.Epochs.With(k)
}

// Read implements store.Epochs. Of each token the first answer comes from the
// store, for it may have been revoked long ago. What is held costs no
// allocation.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	c := e.cache
	if c.marks == nil {
		return c.readThrough(ctx, ref)
	}
	now := c.now()
	generation, vouched := c.marks.generation(now)
	if !vouched {
		c.unvouched(ctx, c.marks, now)
		return c.readThrough(ctx, ref)
	}
	space, key, token := c.hash(ref.Workspace), c.hash(ref.Key), c.hash(ref.TokenID)
	at := stamp{
		generation, c.versions.instanceMark.Load(), c.versions.spaceMarks.of(space),
		c.versions.keyMarks.of(key), c.versions.tokens.of(token),
	}
	hash := ((space*mix+key)*mix+token)*mix + c.hash(ref.Secret)
	if held := c.states.find(hash, ref, at, now, maxAge); held != nil {
		if !held.value.none {
			return held.value.EpochState, nil
		}
		if within(held.read, now, c.cfg.MissFor) {
			return store.EpochState{}, errNoEpochs
		}
	}
	return c.readState(ctx, ref, hash, at, now)
}

// mix makes one hash of several.
const mix = 0x9e3779b97f4a7c15

// readState reads epochs from the store and keeps them.
func (c *Cache) readState(ctx context.Context, ref store.TokenRef, hash uint64, at stamp, now time.Time) (store.EpochState, error) {
	s, err := c.states.load(ctx, ref, at, now, c.cfg.Bound, func(ctx context.Context) (state, error) {
		read, err := c.readThrough(ctx, ref)
		s := state{EpochState: read, none: errors.Is(err, store.ErrNotFound)}
		if err != nil && !s.none {
			return s, err
		}
		if max(len(ref.Workspace), len(ref.Key), len(ref.Secret), len(ref.TokenID)) <= maxName {
			c.states.put(&entry[store.TokenRef, state]{name: compact(ref), hash: hash, stamp: at, read: now, value: s})
		}
		return s, err
	})
	return s.EpochState, err
}

// compact returns a copy, since these are parts of a token that would be kept
// alive with them. It is one piece of memory, because all of it is read at once
// and comes from far away when there are many tokens.
func compact(ref store.TokenRef) store.TokenRef {
	var b strings.Builder
	b.Grow(len(ref.Workspace) + len(ref.Key) + len(ref.Secret) + len(ref.TokenID))
	for _, part := range []string{ref.Workspace, ref.Key, ref.Secret, ref.TokenID} {
		b.WriteString(part)
	}
	rest := b.String()
	next := func(part string) string {
		text := rest[:len(part)]
		rest = rest[len(part):]
		return text
	}
	return store.TokenRef{Workspace: next(ref.Workspace), Key: next(ref.Key), Secret: next(ref.Secret), TokenID: next(ref.TokenID)}
}

func (c *Cache) readThrough(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	s, err := c.inner.Epochs.Read(ctx, ref)
	if !c.beside && (err == nil || errors.Is(err, store.ErrNotFound)) {
		c.overtaken(ref, &s)
	}
	return s, err
}

// overtaken forgets the records that are behind their epochs, or have a secret
// of which those tell otherwise, where they live apart. A login that finds the
// two at odds reads the record again, and goes on with what it then gets: from
// the same outdated record, its token would have the epoch of the very change
// that was to end it.
func (c *Cache) overtaken(ref store.TokenRef, s *store.EpochState) {
	now := c.now()
	generation, _ := c.records.generation(now) // 0 is none
	hash := c.hash(ref.Key)
	e := c.keys.find(hash, ref.Key, stamp{generation, c.versions.keys.of(hash)}, now, maxAge)
	if e == nil || e.value.Key.Epoch < s.Key || !agree(&e.value.Key, ref.Secret, s) {
		c.versions.keys.move(hash)
	}
	// Settings begin with epoch 0: no record is behind that.
	if hash := c.hash(ref.Workspace); s.Workspace > 0 {
		e := c.spaces.find(hash, ref.Workspace, stamp{generation, c.versions.spaces.of(hash)}, now, maxAge)
		if e == nil || e.value.Epoch < s.Workspace {
			c.versions.spaces.move(hash)
		}
	}
	if s.Instance > 0 {
		e := c.instance.find(0, struct{}{}, stamp{generation, c.versions.instance.Load()}, now, maxAge)
		if e == nil || e.value.Epoch < s.Instance {
			c.versions.instance.Add(1)
		}
	}
}

// agree reports whether the record has the secret as the epochs tell.
func agree(k *store.Key, id string, s *store.EpochState) bool {
	for i := range k.Secrets {
		if k.Secrets[i].ID == id {
			return s.SecretKnown && s.SecretNotAfter.Equal(k.Secrets[i].NotAfter)
		}
	}
	return !s.SecretKnown
}

// Raise implements store.Epochs.
func (e *epochs) Raise(ctx context.Context, marks ...store.Mark) error {
	forget := func() {
		for _, m := range marks {
			switch {
			case m.Key != "":
				e.cache.forgetKey(m.Workspace, m.Key)
			case m.Workspace != "":
				e.cache.forgetWorkspace(m.Workspace)
			default:
				e.cache.forgetInstance()
			}
		}
	}
	forget()
	defer forget()
	return e.cache.inner.Epochs.Raise(ctx, marks...)
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	hash := e.cache.hash(tokenID)
	e.cache.versions.tokens.move(hash)
	defer e.cache.versions.tokens.move(hash)
	return e.cache.inner.Epochs.Revoke(ctx, tokenID, until, now)
}
