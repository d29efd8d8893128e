package apikey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Request is what a login asks for. The zero value asks for all that the key
// holds, at the server's own audience.
type Request struct {
	// Scope are permissions as they came: the wire form of a scope.Set.
	Scope string
	// Resource is the one of Config.Resources that the token is for; empty: the
	// server's own audience.
	Resource string
}

// Grant is a decision to issue a token.
type Grant struct {
	// Key is the key that logged in. Its Secrets are left out.
	Key      Key
	SecretID string // of the secret that it logged in with
	// Resource is the token's audience; empty: the server's own.
	Resource    string
	Permissions scope.Set
	IssuedAt    time.Time // whole seconds
	Expires     time.Time // whole seconds, later than IssuedAt
	// Epochs are those of the instance, the workspace and the key.
	Epochs [3]int64
}

// Issue decides on a token for a login: which permissions, how long. A scope that is
// malformed is a *scope.SyntaxError, a permission that the key lacks or a resource that
// its record does not allow a *RefusedError, and a policy's refusal a
// *policy.Denied. The grant shares the login's key.
func (s *Service) Issue(ctx context.Context, p *Proof, r Request) (*Grant, error) {
	grant, err := s.decide(ctx, p, r)
	if err != nil {
		return nil, s.refuse(ctx, p, err)
	}
	key := &p.found.Key
	s.unwritten.login(key, p.secret.ID, p.now)
	if s.cfg.Observer != nil {
		s.cfg.Observer(Observation{Time: p.now, KeyID: key.ID, Workspace: key.Workspace, Address: p.address})
	}
	return grant, nil
}

// decide is Issue before the login is counted or refused.
func (s *Service) decide(ctx context.Context, p *Proof, r Request) (*Grant, error) {
	requested, err := scope.Parse(r.Scope)
	if err != nil {
		return nil, fmt.Errorf("apikey: scope: %w", err)
	}
	key := &p.found.Key
	held := s.held(ctx, key)
	granted, err := s.issuableAt(r.Resource, key, held)
	if err != nil {
		return nil, err
	}
	if missing := requested.Minus(granted); missing.Len() > 0 {
		return nil, s.notHeld(missing)
	}
	if requested.Len() > 0 {
		granted = requested
	}
	// Policies may write into what they are shown, so the end is bounded here.
	end := earlier(p.now.Add(s.cfg.TokenLifetime), p.standing.Ends)
	end = earlier(end, p.secret.NotAfter)
	granted, end, err = s.askPolicy(ctx, p, policy.TokenRequest{Requested: requested, Resource: r.Resource}, granted, end)
	if err != nil {
		return nil, err
	}
	grant := &Grant{
		Key:         withoutSecrets(key, held, p.standing),
		SecretID:    p.secret.ID,
		Resource:    r.Resource,
		Permissions: granted,
		IssuedAt:    p.now.Truncate(time.Second),
		Expires:     end.Truncate(time.Second),
		Epochs:      [3]int64{p.found.Instance.Epoch, p.found.Workspace.Epoch, key.Epoch},
	}
	if !grant.Expires.After(grant.IssuedAt) {
		return nil, &RefusedError{Reason: string(policy.StateExpired), Description: "This API key has expired."}
	}
	return grant, nil
}

// held is issuable, and logs the permissions that are left out.
func (s *Service) held(ctx context.Context, k *store.Key) scope.Set {
	held := s.issuable(k)
	if held.Len() < k.Permissions.Len() {
		s.reportWithheld(ctx, k, k.Permissions.Minus(held))
	}
	return held
}

// issuable returns those permissions of a key that its tokens can carry: those
// that are in the catalog and, of its admin permissions, those that an
// organization admin granted as such. A permission that the catalog gave the admin
// level later is left out until an organization admin grants it again, by an Update
// with a set of permissions that holds it.
func (s *Service) issuable(k *store.Key) scope.Set {
	return k.Permissions.Intersect(s.cfg.Permissions.All()).Minus(s.raised(k))
}

// raised returns the permissions of a key that were not granted as the admin
// permissions that they are.
func (s *Service) raised(k *store.Key) scope.Set {
	return k.Permissions.Intersect(s.cfg.Permissions.Admin()).Minus(k.Admin)
}

// issuableAt returns what of held a token for the resource may carry; an empty
// resource is the server's own audience.
func (s *Service) issuableAt(resource string, k *store.Key, held scope.Set) (scope.Set, error) {
	if resource == "" {
		return held, nil
	}
	known := slices.IndexFunc(s.cfg.Resources, func(r Resource) bool { return r.URI == resource })
	if known < 0 || !slices.Contains(k.Resources, resource) {
		return scope.Set{}, &RefusedError{Reason: "resource", Description: "This API key may not ask for tokens for this resource."}
	}
	if limit := s.cfg.Resources[known].Permissions; limit.Len() > 0 {
		held = held.Intersect(limit)
	}
	return held, nil
}

// notHeld names what the key lacks, except names with a prefix of secrets: if a
// program sends its secret as the scope, it must not reach an error or a log.
func (s *Service) notHeld(missing scope.Set) error {
	names := slices.DeleteFunc(missing.Names(), func(name string) bool {
		return slices.ContainsFunc(s.cfg.SecretPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
	named, err := scope.Of(names...)
	if err != nil {
		return err
	}
	return &RefusedError{Reason: "scope", Description: "This API key does not hold every permission that was asked for.", Missing: named}
}

// askPolicy has the host's policy decide about a use, and returns what it leaves of
// the permissions and the lifetime.
func (s *Service) askPolicy(
	ctx context.Context, p *Proof, use policy.TokenRequest, granted scope.Set, end time.Time,
) (scope.Set, time.Time, error) {
	if s.cfg.Policy == nil {
		return granted, end, nil
	}
	// A copy: what a policy writes into it must not reach the token.
	shown := p.found.Key.Clone()
	use.Now, use.Address, use.Key, use.Secret = p.now, p.address, &shown, p.secret
	use.Workspace, use.Instance = p.found.Workspace, p.found.Instance
	request := policy.NewTokenRequest(use, granted, end)
	err := s.cfg.Policy.CheckToken(ctx, request)
	return request.Granted(), request.NotAfter(), refusedBy(err)
}

func refusedBy(err error) error {
	if err == nil {
		return nil
	}
	if denied, ok := policy.AsDenied(err); ok {
		return denied
	}
	return hostOutage("Config.Policy failed", err)
}

// earlier returns the earlier of t and limit, where a zero limit is none.
func earlier(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}

// withoutSecrets is a key without its secrets, of which tokens carry the given
// permissions.
func withoutSecrets(k *store.Key, issuable scope.Set, standing policy.Standing) Key {
	return Key{
		ID: k.ID, Workspace: k.Workspace, Name: k.Name,
		Permissions: k.Permissions, Asked: k.Asked, Withheld: k.Permissions.Minus(issuable),
		NotAfter: k.NotAfter, NotAfterText: k.NotAfterText, Resources: slices.Clone(k.Resources), Disabled: k.Disabled,
		Renewed: policy.NewestSecret(k), CreatedBy: k.CreatedBy, Depth: k.Depth, Created: k.Created, Updated: k.Updated, LastUsed: k.LastUsed, Version: k.Version, Standing: standing,
	}
}
