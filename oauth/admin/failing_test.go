package admin_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var errDown = fmt.Errorf("dial canary: %w", store.ErrUnavailable)

// failing is a store that cannot be reached after the service has started.
func failing(s store.Store) store.Store {
	return harness.Tapped(s, func(_ context.Context, call string) error {
		if call == "HostLists.Entries" {
			return nil
		}
		return errDown
	})
}

// hanging is a store that never answers after the service has started. Half of its errors
// are those of context, as a driver's may be.
func hanging() store.Store {
	return harness.Tapped(memstore.New(), func(ctx context.Context, call string) error {
		if call == "HostLists.Entries" {
			return nil
		}
		if err := harness.Hang(ctx, call); !strings.HasPrefix(call, "Settings.") {
			return err
		}
		return store.ErrUnavailable
	})
}
