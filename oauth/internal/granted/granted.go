// Package granted carries a decision to issue a token through go-oauth2's
// manager, whose interfaces have no room for it. Being internal, it keeps
// hosts from forging one.
package granted

import (
	"context"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

type contextKey struct{}

type carrier struct {
	context.Context //nolint:containedctx // this is one
	grant           *apikey.Grant
}

// Value implements context.Context.
func (c *carrier) Value(key any) any {
	if key == (contextKey{}) {
		return c.grant
	}
	return c.Context.Value(key)
}

// With returns a context that carries the grant.
func With(ctx context.Context, g *apikey.Grant) context.Context { return &carrier{ctx, g} }

// From returns the grant that ctx carries.
func From(ctx context.Context) (*apikey.Grant, bool) {
	g, ok := ctx.Value(contextKey{}).(*apikey.Grant)
	return g, ok
}
