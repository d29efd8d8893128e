package oauth

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// secrets is the bearer.Secrets of this server's guards.
type secrets struct{ server *Server }

// principal is a principal with the context in which its key was looked up, to allocate
// both at once.
type principal struct {
	bearer.Principal
	request.Deadline
}

// CheckSecret implements bearer.Secrets.
func (s secrets) CheckSecret(ctx context.Context, c bearer.PresentedSecret) (*bearer.Principal, error) {
	credentials := apikey.Credentials{ID: c.KeyID, Secret: string(c.Secret)}
	if c.Request != nil {
		credentials.Method, credentials.Route = c.Request.Method, c.Request.Pattern
	}
	made := new(principal)
	made.Begin(ctx, s.server.cfg.LoginTimeout)
	defer made.Stop()
	use, err := s.server.keys.Direct(&made.Deadline, credentials, func() netip.Addr {
		if c.Request == nil {
			return netip.Addr{}
		}
		return s.server.host.Addr(c.Request)
	})
	if err != nil {
		return nil, s.server.refusedSecret(ctx, err)
	}
	p := &made.Principal
	p.KeyID, p.Workspace, p.SecretID, p.Permissions, p.Expires = use.KeyID, use.Workspace, use.SecretID, use.Permissions, use.Expires
	return p, nil
}

// refusedSecret turns an error of apikey.Service.Direct into one of a bearer.Secrets.
func (s *Server) refusedSecret(ctx context.Context, err error) error {
	bad := outcome.OAuth(ctx, err)
	if bad.Rule != "" {
		s.cfg.Logger.InfoContext(ctx, "a policy refused a request", "rule", bad.Rule, "error", err)
	}
	kind := bearer.ErrInvalid
	switch bad.Kind {
	case answer.Credentials:
		bad.Detail = "The secret is wrong, or it is of no API key."
	case answer.Throttled:
		kind, bad.Detail = bearer.ErrThrottled, "Too many wrong secrets. Wait, then try again with the right one."
	case answer.Refused, answer.DeniedExpired:
		bad.Detail = bad.Description()
	case answer.DeniedForNow:
		kind, bad.Detail = bearer.ErrThrottled, bad.Description()
	case answer.Denied:
		kind, bad.Detail = bearer.ErrForbidden, bad.Description()
	default:
		return fmt.Errorf("%w: %w", bearer.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", kind, bad)
}
