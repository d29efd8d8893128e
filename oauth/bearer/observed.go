package bearer

import (
	"context"
	"errors"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/observe"
)

// observed calls Config.Observer, if there is one, and returns the decision: err
// without the principal if there is an error.
func (v *Verifier) observed(ctx context.Context, c *credential, p *Principal, err error) (*Principal, error) {
	if v.config.Observer != nil && !c.reported {
		d := observe.Decision{Time: v.config.Now(), Use: observe.Guard, Reason: reasonOf(err)}
		if c.secret != "" {
			d.Use = observe.Direct
		}
		if p != nil {
			d.KeyID, d.Workspace, d.CredentialID = p.KeyID, p.Workspace, p.CredentialID
		}
		if r := c.request; r != nil {
			d.Method, d.Route = strings.Clone(r.Method), r.Pattern // the observer may keep them
			if d.Use == observe.Direct {
				d.Address = v.config.ClientAddr(r)
			}
		}
		v.config.Observer(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// reasonOf returns the Decision.Reason of an error. ErrUnavailable comes first, since
// it takes precedence. errMalformed comes before ErrInvalid, which it wraps.
func reasonOf(err error) string {
	for _, known := range []struct {
		err    error
		reason string
	}{
		{ErrUnavailable, "unavailable"}, {errMissing, "no_token"}, {errNoCredential, "no_token"}, {errMalformed, "malformed_token"},
		{errOneCredential, "malformed_token"}, {errCrossSite, "cross_site"}, {ErrExpired, "expired"}, {ErrRevoked, "revoked"}, {ErrInvalid, "invalid_token"},
		{ErrForbidden, "scope"}, {ErrNotFound, "workspace"},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	if err != nil {
		return "misconfigured"
	}
	return ""
}
