package oauth

import (
	"context"

	"github.com/latchkey-go/latchkey/store"
)

// watch follows the store's stream of changes until ctx ends, and opens it again when
// it breaks. Package cache answers from memory only while the stream is open. watch
// calls signingKeysChanged, which must return at once, when the signing keys have
// changed or may have.
func (s *Server) watch(ctx context.Context, signingKeysChanged func()) {
	// signingKeysChanged is also called each time the stream opens, since the keys may
	// have changed while it was closed.
	store.Follow(ctx, s.store.Watch, signingKeysChanged, func(n store.Notification) {
		if n.Kind == store.NotificationSigningKeys {
			signingKeysChanged()
		}
	}, func(err error) {
		s.cfg.Logger.WarnContext(ctx, "the store's stream of changes broke and will be opened again", "error", err)
	})
}
