package oauth

import (
	"context"

	"github.com/latchkey-go/latchkey/store"
)

// watch follows the store's stream of changes until ctx ends, and opens it again when
// it breaks. Package cache answers from memory only while the stream is open. watch
// calls keysChanged when the signing keys have changed or may have; keysChanged must
// return at once.
func (s *Server) watch(ctx context.Context, keysChanged func()) {
	// keysChanged is also called each time the stream opens, since the signing keys may
	// have changed while it was closed.
	store.Follow(ctx, s.store.Watch, keysChanged, func(n store.Notification) {
		if n.Kind == store.NotificationSigningKeys {
			keysChanged()
		}
	}, func(err error) {
		s.cfg.Logger.WarnContext(ctx, "the store's stream of changes broke and will be opened again", "error", err)
	})
}
