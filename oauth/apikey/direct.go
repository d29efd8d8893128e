package apikey

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

// DirectUse is a request that carries a key's secret in place of a token.
type DirectUse struct {
	KeyID, Workspace, SecretID string
	// Permissions are those that a token of the key would have.
	Permissions scope.Set
	// Expires is when the key or the secret expires. Zero means never.
	Expires time.Time
}

// Direct is Authenticate for a request that carries the secret in place of a token.
// Without an id the key is found by the secret alone, unless its digest is slow. If the
// key does not allow direct use, or an administrator has switched it off, Direct returns
// a *RefusedError with the reason "direct". It asks the policy (policy.UseDirect): a
// refusal is a *policy.Denied. Each success counts as a login (store.Count), and as a
// last use. Only refusals are observed: the guard observes the rest.
func (s *Service) Direct(ctx context.Context, c Credentials) (DirectUse, error) {
	p := s.newProof(c, observe.Direct)
	use, err := s.direct(ctx, c.Secret, p)
	if err != nil {
		return DirectUse{}, s.refuse(ctx, p, err)
	}
	s.unwritten.login(&p.found.Key, p.secret.ID, p.now)
	return use, nil
}

func (s *Service) direct(ctx context.Context, plain string, p *Proof) (DirectUse, error) {
	if err := s.prove(ctx, plain, p); err != nil {
		return DirectUse{}, err
	}
	if err := s.mustBeLive(ctx, p); err != nil {
		return DirectUse{}, err
	}
	key := &p.found.Key
	if !key.Direct || p.found.Instance.DirectOff {
		return DirectUse{}, errNotDirect
	}
	end := p.standing.Expires
	if end.IsZero() || expired(p.secret.NotAfter, end) {
		end = p.secret.NotAfter
	}
	granted, _, err := s.askTokenPolicy(ctx, p, policy.TokenRequest{Use: policy.UseDirect}, s.held(ctx, key), end)
	return DirectUse{KeyID: key.ID, Workspace: key.Workspace, SecretID: p.secret.ID, Permissions: granted, Expires: end}, err
}

var errNotDirect = &RefusedError{Reason: "direct", Description: "This API key may not be used in place of a token: log in with it, or ask an administrator to allow it."}
