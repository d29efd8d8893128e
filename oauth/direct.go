package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// principal is a principal with the context in which its key was looked up, to allocate
// both at once.
type principal struct {
	bearer.Principal
	request.Deadline
}

// checkSecret is the bearer.Config.CheckSecret of this server's guards.
func (s *Server) checkSecret(ctx context.Context, keyID string, secret bearer.Secret, r *http.Request) (*bearer.Principal, error) {
	credentials := apikey.Credentials{ID: keyID, Secret: string(secret)}
	address := func() netip.Addr { return netip.Addr{} }
	if r != nil {
		credentials.Method, credentials.Route = r.Method, r.Pattern
		address = func() netip.Addr { return s.host.Addr(r) }
	}
	made := new(principal)
	made.Begin(ctx, s.cfg.LoginTimeout)
	defer made.Stop()
	use, err := s.keys.Direct(&made.Deadline, credentials, address)
	if err != nil {
		return nil, s.refusedSecret(ctx, err)
	}
	p := &made.Principal
	p.KeyID, p.Workspace, p.CredentialID, p.Permissions, p.Expires = use.KeyID, use.Workspace, use.SecretID, use.Permissions, use.Expires
	return p, nil
}

// refusedSecret turns an error of apikey.Service.Direct into one of a
// bearer.Config.CheckSecret.
func (s *Server) refusedSecret(ctx context.Context, err error) error {
	bad := s.refusalOf(ctx, err)
	bad.Detail = bad.Description()
	kind := bearer.ErrInvalid
	switch bad.Kind {
	case answer.Credentials:
		bad.Detail = "The secret is wrong, or it is of no API key."
	case answer.Refused, answer.DeniedExpired:
	case answer.Throttled:
		kind, bad.Detail = bearer.ErrThrottled, "Too many wrong secrets. Wait, then try again with the right one."
	case answer.DeniedForNow:
		kind = bearer.ErrThrottled
	case answer.Denied:
		kind = bearer.ErrForbidden
	default:
		return err // an outage
	}
	return fmt.Errorf("%w: %w", kind, bad)
}
