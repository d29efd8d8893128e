package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// watch implements store.Watch. The cache gets each notification before the caller.
type watch struct{ cache *Cache }

// firstWithin is how long the first notification of a stream may take.
const firstWithin = 30 * time.Second

var (
	errSilent = fmt.Errorf("no heartbeat came on the stream of changes: %w", store.ErrUnavailable)
	errSlow   = fmt.Errorf("the watcher handles notifications more slowly than they come; return from notify at once: %w", store.ErrUnavailable)
)

// Watch implements store.Watch. It returns an error if nothing comes on the stream for
// longer than Config.Bound, as on a half-open connection.
//
// notify should return at once. If it takes so long that the next notifications may be late by
// a quarter of the bound, Watch returns an error, too.
func (w *watch) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	c := w.cache
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(firstWithin, func() { cancel(errSilent) })
	defer silence.Stop()
	s := &stream{}
	defer c.feed.closeStream(s)
	err := c.inner.Watch.Watch(ctx, ready, func(n store.Notification) {
		came := c.now()
		c.invalidate(n)
		if ctx.Err() != nil {
			return
		}
		if c.feed.receive(s, n, came) {
			c.cfg.Logger.WarnContext(ctx, "notifications of changes were lost; cached records are read again", "sequence", n.Sequence)
		}
		silence.Reset(c.cfg.Bound)
		notify(n)
		if s.delay(came, c.now()) > c.cfg.Bound/4 {
			c.feed.closeStream(s)
			cancel(errSlow)
		}
	})
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) || errors.Is(cause, errSlow) {
		return fail("watch", cause)
	}
	return err
}
