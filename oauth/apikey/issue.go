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

// Request is what a login requests. The zero value requests all permissions of the
// key, for the server's own audience.
type Request struct {
	// Scope are the requested permissions, as the request carries them:
	// space-separated. Empty: all that the key holds.
	Scope string
	// Resource is the URI of the Config.Resources entry that the token is for.
	// Empty: the server's own audience.
	Resource string
}

// Grant is the content of a token to be issued.
type Grant struct {
	// Key is the key that logged in. Its Credentials, LifetimeStart, DirectOff,
	// RulesBroken and Outdated are left out.
	Key Key
	// CredentialID is the id of the credential that the program proved: of a secret, a
	// public key or a trust. The token ends with it.
	CredentialID string
	// Resource is the token's audience; empty: the server's own.
	Resource    string
	Permissions scope.Set
	IssuedAt    time.Time // whole seconds
	Expires     time.Time // whole seconds, later than IssuedAt
	// Ends is when the key or the identity that the program logged in with ends, whichever
	// is first. Zero means never.
	Ends time.Time
	// Epochs are those of the instance, the workspace and the key.
	Epochs [3]int64
}

// Issue decides which permissions and which lifetime the token of a login gets, and
// asks the policy. It returns a *scope.SyntaxError for a malformed scope, a
// *RefusedError for a permission that the key lacks or a resource that its record
// does not allow, and a *policy.Denied if a policy refuses.
func (s *Service) Issue(ctx context.Context, p *Proof, r Request) (*Grant, error) {
	grant, err := s.decide(ctx, p, r)
	if err != nil {
		return nil, s.refuse(ctx, p, err)
	}
	key := &p.found.Key
	s.unwritten.login(key, p.credential.ID, p.now)
	s.observe(ctx, p, "")
	return grant, nil
}

// decide does the work of Issue, except to count the login or refusal.
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
	// The token ends no later than the key, the credential and the identity. A policy can
	// only shorten this.
	ends := p.standing.Expires
	if p.identity != nil {
		ends = earlier(p.identity.Expires, ends)
	}
	end := earlier(p.now.Add(s.cfg.TokenLifetime), ends)
	end = earlier(end, p.credential.NotAfter)
	granted, end, err = s.askTokenPolicy(ctx, p, policy.TokenRequest{Requested: requested, Resource: r.Resource}, granted, end)
	if err != nil {
		return nil, err
	}
	grant := &Grant{
		Key:          withoutCredentials(key, held, p.standing),
		CredentialID: p.credential.ID,
		Resource:     r.Resource,
		Permissions:  granted,
		IssuedAt:     p.now.Truncate(time.Second),
		Expires:      end.Truncate(time.Second),
		Ends:         ends,
		Epochs:       [3]int64{p.found.Instance.Epoch, p.found.Workspace.Epoch, key.Epoch},
	}
	if !grant.Expires.After(grant.IssuedAt) {
		return nil, &RefusedError{Reason: string(policy.StateExpired), Description: "This API key or its credential expires now, or a policy gives its token no time."}
	}
	return grant, nil
}

// held returns what issuable does, and logs the permissions that are left out.
func (s *Service) held(ctx context.Context, k *store.Key) scope.Set {
	held := s.issuable(k)
	if held.Len() < k.Permissions.Len() {
		s.reportWithheld(ctx, k, k.Permissions.Minus(held))
	}
	return held
}

// issuable returns those permissions of a key that its tokens can carry: those that
// are in the catalog and, of the admin permissions, those that an organization
// admin granted as such. If the catalog gives a permission the admin level later,
// it is left out until an organization admin grants it again, by an Update with a
// set of permissions that contains it.
func (s *Service) issuable(k *store.Key) scope.Set {
	return k.Permissions.Intersect(s.cfg.Permissions.All()).Minus(s.raised(k))
}

// raised returns those permissions of a key that became admin permissions after
// they were granted.
func (s *Service) raised(k *store.Key) scope.Set {
	return k.Permissions.Intersect(s.cfg.Permissions.Admin()).Minus(k.AdminPermissions)
}

// issuableAt returns which permissions of held a token for the resource may carry.
// An empty resource is the server's own audience.
func (s *Service) issuableAt(resource string, k *store.Key, held scope.Set) (scope.Set, error) {
	if resource == "" {
		return held, nil
	}
	known := slices.IndexFunc(s.cfg.Resources, func(r Resource) bool { return r.URI == resource })
	if known < 0 || !slices.Contains(k.Resources, resource) {
		return scope.Set{}, &RefusedError{Reason: "resource", Description: "This API key may not request tokens for this resource."}
	}
	if limit := s.cfg.Resources[known].Permissions; limit.Len() > 0 {
		held = held.Intersect(limit)
	}
	return held, nil
}

// notHeld returns an error that names the permissions that no token for the resource
// carries, because the key lacks them, they are withheld or the resource excludes them, except
// names that begin with a prefix of secrets: if a client sends its secret as the
// scope, the secret must not reach an error or a log.
func (s *Service) notHeld(missing scope.Set) error {
	names := slices.DeleteFunc(missing.Names(), func(name string) bool {
		return slices.ContainsFunc(s.cfg.SecretPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
	named, err := scope.Of(names...)
	if err != nil {
		return err
	}
	return &RefusedError{Reason: "scope", Description: "This API key cannot have a token with every permission that was requested.", Missing: named}
}

// askTokenPolicy lets the host's policy decide about a use of the key, and returns the
// permissions and the expiry that it leaves.
func (s *Service) askTokenPolicy(
	ctx context.Context, p *Proof, use policy.TokenRequest, granted scope.Set, end time.Time,
) (scope.Set, time.Time, error) {
	if s.cfg.Policy == nil {
		return granted, end, nil
	}
	// Policies get a copy, so that what they write into it does not reach the token.
	shown := forPolicies(p.found.Key)
	use.Now, use.Address, use.Key = p.now, p.address, &shown
	if id := p.identity; id != nil {
		use.Identity = &policy.Identity{Issuer: id.Issuer, Subject: id.Subject, Claims: id.Claims(), Expires: id.Expires}
	}
	use.Credential = *shown.Credential(p.credential.ID)
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

// earlier returns the earlier of t and limit. A zero limit is no limit.
func earlier(t, limit time.Time) time.Time {
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}

// withoutCredentials returns a key as its users see it, without Credentials,
// LifetimeStart, DirectOff, RulesBroken and Outdated. issuable are the permissions that its tokens carry.
func withoutCredentials(k *store.Key, issuable scope.Set, standing policy.Standing) Key {
	return Key{
		ID: k.ID, Workspace: k.Workspace, Name: k.Name,
		Permissions: k.Permissions, RequestedPermissions: k.RequestedPermissions, Withheld: k.Permissions.Minus(issuable),
		NotAfter: k.NotAfter, NotAfterText: k.NotAfterText, Resources: slices.Clone(k.Resources), Disabled: k.Disabled, Direct: k.Direct,
		CreatedBy: k.CreatedBy, Depth: k.Depth, Created: k.Created, Updated: k.Updated, LastUsed: k.LastUsed, Version: k.Version, Standing: standing,
	}
}
