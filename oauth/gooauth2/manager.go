package gooauth2

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/go-oauth2/oauth2/v4"
)

// Manager is the host's manager with what go-oauth2's interfaces have no room
// for between a server and a ClientStore: an outage that keeps a secret from
// being checked, and a client that has failed too often, are answered with 503
// temporarily_unavailable instead of 401 invalid_client, and logins have an
// address, so that failures of different clients count apart and policies can
// tell addresses. It lets nobody in whom the host's manager keeps out. It is
// safe for concurrent use if the host's manager is.
type Manager struct {
	oauth2.Manager
	// ClientAddr tells a request's client, such as oauth.BehindProxies(...).
	// Nil: addresses are unknown.
	ClientAddr func(*http.Request) netip.Addr
}

var _ oauth2.Manager = Manager{}

// attempt travels with one call of GenerateAccessToken.
type attempt struct {
	address netip.Addr
	failed  error // why the secret was not proved
}

type attemptKey struct{}

// attemptFrom returns an attempt that nobody looks at where there is no Manager.
func attemptFrom(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return &attempt{}
}

// GenerateAccessToken is the host's manager's.
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
