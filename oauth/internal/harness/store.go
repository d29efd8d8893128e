package harness

import (
	"context"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// Tapped returns a store that calls before, and then st. It does so for the calls whose
// name has one of the given prefixes, or for all calls without prefixes. If before
// fails, st is not called.
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

// While returns a function for Tapped that fails calls with err while *down is true.
func While(down *bool, err error) func(context.Context, string) error {
	return func(context.Context, string) error {
		if *down {
			return err
		}
		return nil
	}
}

// NewTap returns a memstore with a tap over it, and the tap.
func NewTap() (store.Store, *storetest.Tap) {
	tap := &storetest.Tap{}
	return tap.Over(memstore.New()), tap
}

// Hang blocks a call until its context ends.
func Hang(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}
