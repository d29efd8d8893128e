package store

import "context"

type freshKey struct{}

// Fresh returns a context under which a cache answers Keys.Lookup and the reads
// of Settings from the store below: for who decides by a record whether it must
// be changed, and would acknowledge on an outdated one what is not so. Drivers
// need not look at it.
func Fresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// WantsFresh reports whether ctx comes from Fresh.
func WantsFresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
