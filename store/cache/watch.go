package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// watch implements store.Watch: the cache gets each notice before the caller
// does.
type watch struct{ cache *Cache }

// connecting is how long a stream may take until its first notice.
const connecting = 30 * time.Second

var (
	errSilent = fmt.Errorf("no heartbeat came: %w", store.ErrUnavailable)
	errSlow   = fmt.Errorf("the watcher takes its notices more slowly than they come: %w", store.ErrUnavailable)
)

// Watch implements store.Watch. A stream that falls silent for longer than
// Config.Bound, as on a connection that is dead at the other end only, is given
// up.
//
// notice should return at once: if it takes so long that the notices behind it
// may be late by a quarter of the bound, the stream is given up too.
func (w *watch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	c := w.cache
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(connecting, func() { cancel(errSilent) })
	defer silence.Stop()
	s := &stream{}
	defer c.feed.left(s)
	err := c.inner.Watch.Watch(ctx, ready, func(n store.Notice) {
		came := c.now()
		c.forget(n)
		if ctx.Err() != nil {
			return
		}
		if c.feed.heard(s, n, came) {
			c.cfg.Logger.WarnContext(ctx, "notices of changes were lost; what was cached is read again", "sequence", n.Sequence)
		}
		silence.Reset(c.cfg.Bound)
		notice(n)
		if s.lag(came, c.now()) > c.cfg.Bound/4 {
			c.feed.left(s)
			cancel(errSlow)
		}
	})
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) || errors.Is(cause, errSlow) {
		return fail("watch", cause)
	}
	return err
}
