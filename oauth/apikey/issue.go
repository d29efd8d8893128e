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
	// Resources are those of Config.Resources that the token is for. One at
	// most: a second is ErrManyTargets.
	Resources []string
}

// Grant is a decision to issue a token.
type Grant struct {
	Key      store.Key // digests and epoch blanked
	SecretID string
	// Resource is the token's audience; empty: the server's own.
	Resource    string
	Permissions scope.Set
	IssuedAt    time.Time // whole seconds
	Expires     time.Time // whole seconds, later than IssuedAt
	// Epochs are those of the instance, the workspace and the key.
	Epochs [3]int64
}

// LogIn is Authenticate and then Issue or IssueFor. A scope that is malformed
// is a *scope.SyntaxError, which only a caller that proved a secret gets.
func (s *Service) LogIn(ctx context.Context, c Credentials, r Request) (*Grant, error) {
	l, err := s.Authenticate(ctx, c)
	if err != nil {
		return nil, err
	}
	requested, err := scope.Parse(r.Scope)
	if err != nil {
		return nil, s.refuse(c, l, fmt.Errorf("apikey: scope: %w", err))
	}
	var resource string
	switch len(r.Resources) {
	case 0:
	case 1:
		resource = r.Resources[0]
	default:
		return nil, s.refuse(c, l, ErrManyTargets)
	}
	grant, err := s.issue(ctx, l, requested, resource)
	if err == nil {
		return grant, nil
	}
	var lacked *ScopeError
	if errors.As(err, &lacked) && strings.Contains(r.Scope, c.Secret) {
		lacked.Missing = scope.Set{} // an imported secret has any form
	}
	return nil, err
}

// Issue decides on a token for a login: which permissions, how long. An empty
// request asks for all the key holds. A permission that the key lacks is a
// *ScopeError; a policy's refusal is a *policy.Denied.
func (s *Service) Issue(ctx context.Context, l *Login, requested scope.Set) (*Grant, error) {
	return s.IssueFor(ctx, l, requested, "")
}

// IssueFor is Issue for a token whose audience is one resource of
// Config.Resources, which the key's record must allow; else ErrTarget.
func (s *Service) IssueFor(ctx context.Context, l *Login, requested scope.Set, resource string) (*Grant, error) {
	grant, err := s.issue(ctx, l, requested, resource)
	if err != nil {
		return nil, err
	}
	grant.Key = grant.Key.Clone() // the login may be used again
	return grant, nil
}

// issue returns a grant that shares the login's key.
func (s *Service) issue(ctx context.Context, l *Login, requested scope.Set, resource string) (*Grant, error) {
	key := &l.found.Key
	grant, err := s.decide(ctx, l, requested, resource)
	if err != nil {
		return nil, s.refuse(Credentials{ID: key.ID, Address: l.address}, l, err)
	}
	s.counts.logins.Add(1)
	s.uses.add(key.ID, l.secret.ID, l.now)
	s.tallyLogin(key, l.now)
	if s.cfg.Observer != nil {
		s.cfg.Observer(Observation{Time: l.now, KeyID: key.ID, Workspace: key.Workspace, Address: l.address})
	}
	return grant, nil
}

func (s *Service) decide(ctx context.Context, l *Login, requested scope.Set, resource string) (*Grant, error) {
	key := &l.found.Key
	held := key.Permissions.Intersect(s.cfg.Permissions.All())
	if held.Len() < key.Permissions.Len() {
		s.reportRemoved(ctx, key)
	}
	held, err := s.within(key, held, resource)
	if err != nil {
		return nil, err
	}
	if missing := requested.Minus(held); missing.Len() > 0 {
		return nil, s.notHeld(missing)
	}
	granted := held
	if requested.Len() > 0 {
		granted = requested
	}
	end := l.now.Add(s.cfg.TokenLifetime)
	// Here, and not by policies alone, which may write into what they are shown.
	end = earlier(end, key.NotAfter)
	end = earlier(end, l.secret.NotAfter)

	granted, end, err = s.askToken(ctx, l, requested, resource, granted, end)
	if err != nil {
		return nil, err
	}
	grant := &Grant{
		Key:         *key,
		SecretID:    l.secret.ID,
		Resource:    resource,
		Permissions: granted,
		IssuedAt:    l.now.Truncate(time.Second),
		Expires:     end.Truncate(time.Second),
		Epochs:      [3]int64{l.found.Instance.Epoch, l.found.Workspace.Epoch, key.Epoch},
	}
	grant.Key.Epoch = 0
	if !grant.Expires.After(grant.IssuedAt) {
		return nil, &RefusedError{"expired", "This API key has expired."}
	}
	return grant, nil
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

// askToken has the policies decide, and returns what they leave of the
// permissions and the lifetime.
func (s *Service) askToken(
	ctx context.Context, l *Login, requested scope.Set, resource string, granted scope.Set, end time.Time,
) (scope.Set, time.Time, error) {
	if s.cfg.Policy == nil {
		// Called by its name, it is known to keep nothing: the request stays
		// off the heap.
		request := policy.NewTokenRequest(s.facts(l, &l.found.Key, requested, resource), granted, end)
		err := policy.Settings().CheckToken(ctx, request)
		return request.Granted(), request.NotAfter(), refusedBy(err)
	}
	return s.askHostToo(ctx, l, requested, resource, granted, end)
}

func (s *Service) askHostToo(
	ctx context.Context, l *Login, requested scope.Set, resource string, granted scope.Set, end time.Time,
) (scope.Set, time.Time, error) {
	// A copy: what a host's policy writes into it must not reach the token.
	shown := l.found.Key.Clone()
	request := policy.NewTokenRequest(s.facts(l, &shown, requested, resource), granted, end)
	err := s.policy.CheckToken(ctx, request)
	return request.Granted(), request.NotAfter(), refusedBy(err)
}

func (s *Service) facts(l *Login, key *store.Key, requested scope.Set, resource string) policy.TokenRequest {
	return policy.TokenRequest{
		Now:       l.now,
		Address:   l.address,
		Workspace: l.found.Workspace,
		Instance:  s.effective(l.found.Instance),
		Key:       key,
		Secret:    l.secret,
		Requested: requested,
		Resource:  resource,
	}
}

func refusedBy(err error) error {
	if err == nil {
		return nil
	}
	if denied, ok := policy.AsDenied(err); ok {
		return denied
	}
	return hostOutage("a policy could not decide", err)
}

// earlier returns the earlier of t and limit, where a zero limit is none.
func earlier(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}
