package harness

import (
	"context"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// Tapped returns st with something happening before the calls whose names
// begin as given, or before each if none is. A call does not take place if
// that fails.
func Tapped(st store.Store, before func(ctx context.Context, call string) error, calls ...string) store.Store {
	tap := &storetest.Tap{}
	tap.Before(func(ctx context.Context, call string) error {
		begins := func(name string) bool { return strings.HasPrefix(call, name) }
		if len(calls) > 0 && !slices.ContainsFunc(calls, begins) {
			return nil
		}
		return before(ctx, call)
	})
	return tap.Over(st)
}

// While fails calls with err while down is set.
func While(down *bool, err error) func(context.Context, string) error {
	return func(context.Context, string) error {
		if *down {
			return err
		}
		return nil
	}
}

// NewTap returns a memstore below a tap, and the tap.
func NewTap() (store.Store, *storetest.Tap) {
	tap := &storetest.Tap{}
	return tap.Over(memstore.New()), tap
}

// Hang answers a call when its caller gives up.
func Hang(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}
