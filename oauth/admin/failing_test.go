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

// failing is a store that cannot be reached.
func failing(s store.Store) store.Store {
	tap := &harness.Tap{}
	tap.Set(func(context.Context, string) error { return errDown })
	return tap.Over(s)
}

// hanging is a store that never answers. Half of its errors are those of
// context, as a driver's may be.
func hanging() store.Store {
	tap := &harness.Tap{}
	tap.Set(func(ctx context.Context, call string) error {
		<-ctx.Done()
		if strings.HasPrefix(call, "Settings.") {
			return store.ErrUnavailable
		}
		return ctx.Err()
	})
	return tap.Over(memstore.New())
}
