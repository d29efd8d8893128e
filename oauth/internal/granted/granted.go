// Package granted carries a decision to issue a token through go-oauth2's
// manager, whose interfaces have no room for it. Being internal, it keeps
// hosts from forging one.
package granted

import (
	"context"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

type contextKey struct{}

// With returns a context that carries the grant.
func With(ctx context.Context, g *apikey.Grant) context.Context {
	return context.WithValue(ctx, contextKey{}, g)
}

// From returns the grant that ctx carries.
func From(ctx context.Context) (*apikey.Grant, bool) {
	g, ok := ctx.Value(contextKey{}).(*apikey.Grant)
	return g, ok
}
