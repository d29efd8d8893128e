package bearer

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/observe"
)

// observed calls Config.Observer, if there is one, and returns the decision: err
// without the principal if there is an error. r is nil if the request is not known.
func (v *Verifier) observed(ctx context.Context, r *http.Request, c *credential, p *Principal, err error) (*Principal, error) {
	if _, reported := errors.AsType[reportedError](err); v.config.Observer != nil && !reported {
		d := observe.Decision{Time: v.config.Now(), Use: observe.Guard, Reason: reasonOf(err)}
		if c.secret.Secret != "" {
			d.Use = observe.Direct
			if r != nil {
				d.Address = v.config.ClientAddr(r)
			}
		}
		if p != nil {
			d.KeyID, d.Workspace = p.KeyID, p.Workspace
		}
		if r != nil {
			d.Method, d.Route = strings.Clone(r.Method), r.Pattern // the observer may keep them
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
	reasons := []string{"unavailable", "no_token", "no_token", "malformed_token", "malformed_token", "cross_site", "expired", "revoked", "invalid_token", "scope", "workspace"}
	for i, known := range []error{ErrUnavailable, errMissing, errNoCredential, errMalformed, errOneCredential, errCrossSite, ErrExpired, ErrRevoked, ErrInvalid, ErrForbidden, ErrNotFound} {
		if errors.Is(err, known) {
			return reasons[i]
		}
	}
	if err != nil {
		return "misconfigured"
	}
	return ""
}
