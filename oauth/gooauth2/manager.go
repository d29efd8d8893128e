package gooauth2

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/go-oauth2/oauth2/v4"
)

// Manager wraps the host's manager and passes a ClientStore what go-oauth2's
// interfaces cannot. If a secret cannot be checked because a store is unavailable,
// or a client has failed too often, the response is 503 temporarily_unavailable and
// not 401 invalid_client. Logins have the client's address, so that failures are
// counted per address and policies can check it. It accepts no login that the
// host's manager refuses. It is safe for concurrent use if the host's manager is.
type Manager struct {
	oauth2.Manager
	// ClientAddr returns the address of a request's client, such as
	// oauth.BehindProxies(...). Nil: addresses are unknown.
	ClientAddr func(*http.Request) netip.Addr
}

// attempt is the state of one call of GenerateAccessToken, passed in its context.
type attempt struct {
	address netip.Addr
	failed  error // why the secret was not verified
}

type attemptKey struct{}

// attemptFrom returns the attempt in ctx. Without a Manager it returns a new one.
func attemptFrom(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{}
}

// GenerateAccessToken calls the host's manager. It returns the error of this
// package's ClientStore if that refused the client.
func (m Manager) GenerateAccessToken(ctx context.Context, grant oauth2.GrantType, request *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	var a attempt
	if m.ClientAddr != nil && request != nil && request.Request != nil {
		a.address = m.ClientAddr(request.Request)
	}
	info, err := m.Manager.GenerateAccessToken(context.WithValue(ctx, attemptKey{}, &a), grant, request)
	if err != nil && a.failed != nil {
		return nil, answerTo(ctx, a.failed)
	}
	return info, err
}
