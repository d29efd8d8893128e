package apikey

import (
	"context"
	"errors"
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

// LogIn is Authenticate and then Issue. A scope that is malformed is a
// *scope.SyntaxError, which only a caller that proved a secret gets.
func (s *Service) LogIn(ctx context.Context, c Credentials, r Request) (*Grant, error) {
	l, grant, err := s.logIn(ctx, c, r)
	if err == nil {
		s.issued(l)
		return grant, nil
	}
	var lacked *ScopeError
	if errors.As(err, &lacked) && strings.Contains(r.Scope, c.Secret) {
		lacked.Missing = scope.Set{} // an imported secret has any form
	}
	return nil, s.refuse(ctx, l, err)
}

// logIn is LogIn before the refusal. It always returns a Login, for refuse.
func (s *Service) logIn(ctx context.Context, c Credentials, r Request) (*Login, *Grant, error) {
	l, err := s.authenticate(ctx, c, true)
	if err != nil {
		return l, nil, err
	}
	requested, err := scope.Parse(r.Scope)
	if err != nil {
		return l, nil, fmt.Errorf("apikey: scope: %w", err)
	}
	grant, err := s.decide(ctx, l, requested, r.Resource)
	return l, grant, err
}

// Issue decides on a token for a login: which permissions, how long. An empty
// request asks for all the key holds. A permission that the key lacks is a
// *ScopeError; a policy's refusal is a *policy.Denied. resource is the token's
// audience, one of Config.Resources that the key's record allows, else ErrTarget;
// empty: the server's own.
func (s *Service) Issue(ctx context.Context, l *Login, requested scope.Set, resource string) (*Grant, error) {
	grant, err := s.decide(ctx, l, requested, resource)
	if err != nil {
		return nil, s.refuse(ctx, l, err)
	}
	s.issued(l)
	return grant, nil
}

// issued counts and observes a login.
func (s *Service) issued(l *Login) {
	key := &l.found.Key
	s.uses.add(key.ID, l.secret.ID, l.now)
	s.tallyLogin(key, l.now)
	if s.cfg.Observer != nil {
		s.cfg.Observer(Observation{Time: l.now, KeyID: key.ID, Workspace: key.Workspace, Address: l.address})
	}
}

// decide is Issue before the login is counted or refused. The grant shares the
// login's key.
func (s *Service) decide(ctx context.Context, l *Login, requested scope.Set, resource string) (*Grant, error) {
	key := &l.found.Key
	held := s.held(ctx, key)
	granted, err := s.issuableAt(resource, key, held)
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
	end := earlier(l.now.Add(s.cfg.TokenLifetime), l.standing.Ends)
	end = earlier(end, l.secret.NotAfter)
	granted, end, err = s.askPolicy(ctx, l, policy.TokenRequest{Requested: requested, Resource: resource}, granted, end)
	if err != nil {
		return nil, err
	}
	grant := &Grant{
		Key:         withoutSecrets(key, held, l.standing),
		SecretID:    l.secret.ID,
		Resource:    resource,
		Permissions: granted,
		IssuedAt:    l.now.Truncate(time.Second),
		Expires:     end.Truncate(time.Second),
		Epochs:      [3]int64{l.found.Instance.Epoch, l.found.Workspace.Epoch, key.Epoch},
	}
	if !grant.Expires.After(grant.IssuedAt) {
		return nil, &RefusedError{string(policy.StateExpired), "This API key has expired."}
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
		return scope.Set{}, ErrTarget
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
	return &ScopeError{Missing: named}
}

// askPolicy has the host's policy decide about a use, and returns what it leaves of
// the permissions and the lifetime.
func (s *Service) askPolicy(
	ctx context.Context, l *Login, use policy.TokenRequest, granted scope.Set, end time.Time,
) (scope.Set, time.Time, error) {
	if s.cfg.Policy == nil {
		return granted, end, nil
	}
	// A copy: what a policy writes into it must not reach the token.
	shown := l.found.Key.Clone()
	use.Now, use.Address, use.Key, use.Secret = l.now, l.address, &shown, l.secret
	use.Workspace, use.Instance = l.found.Workspace, l.found.Instance
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
