package store

import "context"

type freshKey struct{}

// Fresh returns a context under which a cache answers Keys.Lookup and the reads
// of Settings from the store below. It is for decisions about what is written or
// sent: an outdated record could let somebody create a key who may do so no longer.
// And it is for what administrators are shown. Drivers may ignore it.
func Fresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// WantsFresh reports whether ctx comes from Fresh.
func WantsFresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
