package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// watch implements store.Watch: the cache hears of each notice before the
// caller does.
type watch struct{ cache *Cache }

// connecting is how long a stream may take until its first notice.
const connecting = 30 * time.Second

var (
	errSilent = fmt.Errorf("no heartbeat came: %w", store.ErrUnavailable)
	errSlow   = fmt.Errorf("the watcher takes its notices more slowly than they come: %w", store.ErrUnavailable)
)

// Watch implements store.Watch. With Config.EpochsWatch both streams are
// followed, and either's end ends the call; only notices of the store's own
// are passed on. A stream that falls silent for longer than Config.Bound, as
// on a connection that is dead at the other end only, is given up.
//
// notice should return at once: if it takes so long that the notices behind it
// may be late by a quarter of the bound, the stream is given up too.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	c := w.cache
	if c.cfg.EpochsWatch == nil {
		return c.follow(ctx, c.inner.Watch, c.records, ready, notice)
	}
	both, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(c.follow(both, c.cfg.EpochsWatch, c.marks, func() {}, func(store.Notice) {}))
	}()
	cancel(c.follow(both, c.inner.Watch, c.records, ready, notice))
	<-ended
	if err := ctx.Err(); err != nil {
		return fail("watch", err)
	}
	return context.Cause(both) // of the two, the one that ended first
}

// follow watches one system for its feed.
func (c *Cache) follow(ctx context.Context, from store.Watch, f *feed, ready func(), notice func(store.Notice)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(connecting, func() { cancel(errSilent) })
	defer silence.Stop()
	s := &stream{}
	defer f.left(s)
	err := from.Watch(ctx, ready, func(n store.Notice) {
		came := c.now()
		c.forget(n)
		if ctx.Err() != nil {
			return
		}
		if f.heard(s, n, came) {
			c.cfg.Logger.WarnContext(ctx, "notices of changes were lost; what was cached is read again", "sequence", n.Sequence)
		}
		silence.Reset(c.cfg.Bound)
		notice(n)
		if s.told(came, c.now()) > c.cfg.Bound/4 {
			f.left(s)
			cancel(errSlow)
		}
	})
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) || errors.Is(cause, errSlow) {
		return fail("watch", cause)
	}
	return err
}
