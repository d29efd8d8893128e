package store

import "context"

type freshKey struct{}

// Fresh returns a context under which a cache answers Keys.Lookup and the reads
// of Settings from the store below: for who decides by a record what is written,
// and would on an outdated one acknowledge what is not so, make a key that stays
// although its maker may make none any more, or send what nobody wants any more;
// and for who shows an administrator what is. Drivers need not look at it.
func Fresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

// WantsFresh reports whether ctx comes from Fresh.
func WantsFresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
