package oauth

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

const (
	watchAgain = 50 * time.Millisecond
	// watchPause bounds the pause between two attempts to open the stream, and so
	// how long the server does not notice that the store is available again.
	watchPause = 2 * time.Second
)

// watch follows the store's stream of changes until ctx ends, and opens it again
// when it breaks. A cache in the store depends on that. watch calls ringChanged
// when the signing keys have changed or may have; it must return at once.
func (s *Server) watch(ctx context.Context, ringChanged func()) {
	pause, open := watchAgain, true
	for {
		err := s.store.Watch.Watch(ctx, func() {
			pause, open = watchAgain, true
			ringChanged() // the keys may have changed while no stream was open
		}, func(n store.Notification) {
			if n.Kind == store.NotificationSigningKeys {
				ringChanged()
			}
		})
		if ctx.Err() != nil {
			return
		}
		if open {
			s.cfg.Logger.WarnContext(ctx, "the store's stream of changes broke and will be opened again", "error", err)
		}
		open = false
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, watchPause)
	}
}
