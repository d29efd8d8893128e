package oauth

import (
	"context"

	"github.com/latchkey-go/latchkey/store"
)

// watch follows the store's stream of changes until ctx ends, and opens it again when
// it breaks. Package cache answers from memory only while the stream is open. watch
// calls ringChanged when the signing keys have changed or may have; ringChanged must
// return at once.
func (s *Server) watch(ctx context.Context, ringChanged func()) {
	// When the stream opens, the keys may have changed while none was open.
	store.Follow(ctx, s.store.Watch, ringChanged, func(n store.Notification) {
		if n.Kind == store.NotificationSigningKeys {
			ringChanged()
		}
	}, func(err error) {
		s.cfg.Logger.WarnContext(ctx, "the store's stream of changes broke and will be opened again", "error", err)
	})
}
