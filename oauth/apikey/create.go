package apikey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

const (
	maxID   = 255
	idForm  = "An id has 1 to 255 printable ASCII characters without spaces."
	maxName = 255
	// maxYear is the last year that RFC 3339 and databases can write.
	maxYear = 9999
)

// Spec describes a key to be created.
type Spec struct {
	// Workspace owns the key: 1 to 255 printable characters.
	Workspace string
	// Name is for people: 1 to 255 printable characters.
	Name string
	// Permissions may contain wildcards; see scope.Catalog.Expand. If it is empty,
	// the key can log in but its tokens allow nothing.
	Permissions scope.Set
	// Expiry is when the key expires. The zero value is never, unless a policy sets
	// an expiry, or the acting key expires, or the public key or trust that it logged in
	// with: then the new key expires no later. It may not be in the past.
	Expiry Expiry
	// Resources are the resource indicators, of Config.Resources, for which the key
	// may request tokens, besides the server's own audience.
	Resources []string
	// Direct allows the key's secrets in requests in place of a token, on routes whose
	// guard accepts them (bearer.Guard.OrSecret). Settings and policies may forbid it.
	Direct bool
	// NoSecret creates the key without a secret: programs log in with its Credentials, and
	// Create returns the zero Secret. Import refuses it.
	NoSecret bool
	// Credentials are public keys and trusts of the key, as for AddCredential. Their
	// Replaces, Grace, Version and Once have no effect. A problem of the first public key is on
	// a field such as "public_keys[0].name", and one of the first trust on "trusts[0].name".
	Credentials []CredentialSpec
	// Once, unless nil, is a one-time id that the creation spends. FindOnce finds the
	// key by it. In the store its Value becomes the key's id, followed by a space and
	// the given Value if there is one. If it was spent before, the error is
	// store.ErrExists. It must expire in the future.
	Once *store.OnceID
	// BeforeStore, unless nil, is called with the key as it is to be stored and its
	// secret, if it has one, after every check and policy and right before the write. If it
	// returns an error, nothing is stored, and the call returns that error wrapped.
	// Use it to save what would be lost if the process ended now, such as the
	// secret, or to refuse a key that differs from the one asked for. It is called
	// a second time only if settings or the acting key change at that moment and the key
	// is to be stored with other permissions or another expiry; id and secret stay the same.
	// The write may still fail. Import passes no secret, since its caller has it.
	BeforeStore func(ctx context.Context, key Key, secret Secret) error `json:"-"`
}

// Create creates a key with a new secret, unless spec says NoSecret. The secret is
// returned here and can never be read again.
//
// Errors: *InvalidError, *ForbiddenError, *policy.Denied, store.ErrNotFound for a
// workspace in which the actor has no right, store.ErrExists for a spent Once,
// store.ErrUnavailable.
func (s *Service) Create(ctx context.Context, actor Actor, spec Spec) (Key, Secret, error) {
	id, err := secrets.NewKeyID(s.cfg.Random)
	if err != nil {
		return Key{}, Secret{}, fmt.Errorf("apikey: create key: %w", err)
	}
	c := &creation{spec: spec, policy: policy.ActionCreate, action: audit.Create, id: id}
	if !spec.NoSecret {
		if c.plaintext, err = secrets.New(s.cfg.Random, s.cfg.SecretPrefixes[0]); err != nil {
			return Key{}, Secret{}, fmt.Errorf("apikey: create key: %w", err)
		}
		c.secret = func(k *store.Key) (store.Credential, error) {
			return s.secretRecord(k, c.plaintext, actor.ref, k.Created), nil
		}
	}
	key, err := s.add(ctx, actor, c)
	if err != nil {
		return Key{}, Secret{}, err
	}
	return key, c.plaintext, nil
}

// creation is one call of Create or Import.
type creation struct {
	spec      Spec
	policy    policy.Action
	action    string
	id        string
	plaintext Secret // passed to Spec.BeforeStore
	// secret makes the record of the key's secret, which may take long. Nil: it has none.
	secret func(*store.Key) (store.Credential, error)

	now    time.Time
	made   []store.Credential // the credentials, once they were made
	before *store.Key         // the key that Spec.BeforeStore was last called with
}

// add is the common part of Create and Import. It reads the actor's powers,
// validates, asks the policies, and makes one write whose preconditions name the
// records that it read.
func (s *Service) add(ctx context.Context, actor Actor, c *creation) (Key, error) {
	c.now = s.now()
	return retry(func() (Key, error) { return s.addOnce(ctx, actor, c) })
}

func (s *Service) addOnce(ctx context.Context, actor Actor, c *creation) (Key, error) {
	spec := &c.spec
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return Key{}, err
	}
	if err := p.mayAdd(c.action, spec.Workspace, s.cfg.Management.MaxDepth); err != nil {
		return Key{}, err
	}
	key, err := s.newKey(p, c)
	if err != nil {
		return Key{}, err
	}
	workspace, instance, err := s.settingsOf(ctx, spec.Workspace)
	if err != nil {
		return Key{}, err
	}
	if workspace.Deleted {
		return Key{}, errNoRight
	}
	if err := s.mustBeActive(ctx, c.action, spec.Workspace); err != nil {
		return Key{}, err
	}
	if c.made == nil {
		if c.made, err = s.makeCredentials(c, &key); err != nil {
			return Key{}, err
		}
	}
	key.Credentials = c.made
	limit, err := s.askKeyPolicy(ctx, policy.KeyRequest{
		Action: c.policy, Now: c.now, Actor: actor.ref, Address: actor.Address,
		Workspace: workspace, Instance: instance,
	}, nil, &key)
	if err != nil {
		return Key{}, err
	}
	if err := p.mayGrant(c.action, &key, scope.Set{}, true); err != nil {
		return Key{}, err
	}
	found := &store.Found{Key: key, Workspace: workspace, Instance: instance}
	if err := c.callBeforeStore(ctx, s, found); err != nil {
		return Key{}, err
	}
	if err := s.insert(ctx, p, c.action, found, limit, spec.Once, c.now); err != nil {
		return Key{}, err
	}
	return s.keyOf(found, c.now), nil
}

// makeCredentials makes the credentials of a new key.
func (s *Service) makeCredentials(c *creation, key *store.Key) ([]store.Credential, error) {
	if c.secret != nil {
		secret, err := c.secret(key)
		if err != nil {
			return nil, err
		}
		key.Credentials = append(key.Credentials, secret)
	}
	for i := range c.spec.Credentials {
		spec, list := &c.spec.Credentials[i], publicKeyKind
		if spec.Trust != nil {
			list = trustKind
		}
		at := len(ofKind(key, list))
		added, err := s.newCredential(spec, key.CreatedBy, key.Created)
		if err == nil {
			err = addCredential(key, added, "", key.Created)
		}
		if bad, is := errors.AsType[*InvalidError](err); is {
			for j := range bad.Problems {
				bad.Problems[j].Field = fmt.Sprintf("%s[%d].%s", list, at, bad.Problems[j].Field)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return key.Credentials, nil
}

// insert writes a new key with its preconditions. If the limit of keys is reached,
// it returns a *policy.Denied.
func (s *Service) insert(ctx context.Context, p powers, action string, f *store.Found, limit int, once *store.OnceID, now time.Time) error {
	change, err := s.newChange(now, p.actor, eventOf(action, &f.Key, changedFields(&store.Key{}, &f.Key)))
	if err != nil {
		return err
	}
	change.Once, change.Preconditions = onceOf(once, f.Key.ID), p.policyPreconditions(f.Workspace, f.Instance)
	if err := s.record(ctx, entriesOf(f.Key.Credentials...)...); err != nil {
		return err
	}
	err = s.store.Keys.Create(ctx, f.Key, limit, change)
	if !errors.Is(err, store.ErrLimit) {
		return writeError(action, err)
	}
	reason := fmt.Sprintf("This workspace may hold at most %d keys.", limit)
	if limit == 1 {
		reason = "This workspace may hold at most 1 key."
	}
	return &policy.Denied{Rule: "max_keys", Reason: reason, Err: err}
}

// newKey makes and checks the record of the new key. If a key creates it without an
// expiry, it has that of the powers.
func (s *Service) newKey(p powers, c *creation) (store.Key, error) {
	spec := &c.spec
	var bad InvalidError
	checkText(&bad, "workspace", spec.Workspace)
	checkText(&bad, "name", spec.Name)
	checkExpiry(&bad, spec.Expiry, c.now)
	checkOnce(&bad, spec.Once, c.now)
	key := store.Key{
		ID:                   c.id,
		Workspace:            spec.Workspace,
		Name:                 spec.Name,
		Permissions:          s.expand(&bad, spec.Permissions, p.admin()),
		RequestedPermissions: spec.Permissions,
		NotAfter:             micro(spec.Expiry.At),
		NotAfterText:         spec.Expiry.Date,
		Resources:            s.checkResources(&bad, spec.Resources),
		Direct:               spec.Direct,
		CreatedBy:            p.actor.ref,
		Created:              c.now,
		Updated:              c.now,
		Version:              1,
	}
	key.AdminPermissions = s.grantedAdmin(p, key.Permissions, scope.Set{})
	if p.key != nil {
		key.Depth = p.key.Depth + 1
	}
	if p.key != nil && spec.Expiry.At.IsZero() && !p.expires.IsZero() {
		key.NotAfter = p.expires
		if p.expires.Equal(p.key.NotAfter) {
			key.NotAfterText = p.key.NotAfterText
		}
	}
	return key, bad.orNil()
}

// callBeforeStore calls Spec.BeforeStore, unless it was called with the same key before.
func (c *creation) callBeforeStore(ctx context.Context, s *Service, found *store.Found) error {
	key := &found.Key
	if c.spec.BeforeStore == nil || c.before != nil && len(changedFields(c.before, key)) == 0 {
		return nil
	}
	seen := key.Clone()
	c.before = &seen
	if err := c.spec.BeforeStore(ctx, s.keyOf(found, c.now), c.plaintext); err != nil {
		return fmt.Errorf("apikey: create key: Spec.BeforeStore: %w", err)
	}
	return nil
}

// askKeyPolicy asks the policies about the change from before to after. It removes from
// after the permissions that they drop, and sets the expiry that they leave. Policies
// never get a digest. It returns the lowest limit of keys that a policy set.
func (s *Service) askKeyPolicy(ctx context.Context, facts policy.KeyRequest, before, after *store.Key) (limit int, err error) {
	shown := forPolicies(*after)
	facts.After = &shown
	if before != nil {
		old := forPolicies(*before)
		facts.Before = &old
	}
	request := policy.NewKeyRequest(facts)
	if err := refusedBy(s.keyPolicy.CheckKey(ctx, request)); err != nil {
		return 0, err
	}
	result := request.Result()
	after.Permissions, after.AdminPermissions = result.Permissions, after.AdminPermissions.Intersect(result.Permissions)
	after.NotAfter, after.NotAfterText = result.NotAfter, result.NotAfterText
	return request.Limit(), nil
}

// secretRecord makes the record of a generated secret.
func (s *Service) secretRecord(k *store.Key, secret Secret, creator store.ActorRef, now time.Time) store.Credential {
	plain := secret.Reveal()
	id := secrets.ID(plain)
	return store.Credential{
		ID:        id,
		Hint:      secret.Hint(),
		Digest:    s.hasher.Digest(secrets.Binding{KeyID: k.ID, Workspace: k.Workspace, SecretID: id, Secret: plain}),
		Prefix:    s.cfg.SecretPrefixes[0],
		CreatedBy: creator,
		Generated: true,
		Created:   now,
	}
}

// expand replaces wildcards by the permissions that they match.
func (s *Service) expand(bad *InvalidError, asked scope.Set, withAdmin bool) scope.Set {
	set, err := s.cfg.Permissions.Expand(asked, withAdmin)
	if unknown, is := errors.AsType[*scope.UnknownError](err); is {
		bad.add("permissions", "These do not exist: "+strings.Join(unknown.Names, ", ")+".")
	}
	return set
}

// checkText requires 1 to 255 printable characters: no control characters, no line
// or paragraph separators, and no direction overrides.
func checkText(bad *InvalidError, field, text string) {
	switch {
	case strings.TrimSpace(text) == "":
		bad.add(field, "It may not be empty.")
	case !utf8.ValidString(text):
		bad.add(field, "It must be valid UTF-8.")
	case utf8.RuneCountInString(text) > maxName:
		bad.add(field, "It may have at most 255 characters.")
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		bad.add(field, "It may contain printable characters only.")
	}
}

func checkExpiry(bad *InvalidError, e Expiry, now time.Time) {
	bad.addIf(expired(e.At, now), "expires_at", "It is in the past.")
	bad.addIf(!e.agrees(), "expires_at", "Its date and its instant do not agree: the instant must be the end of that day in UTC.")
	bad.addIf(e.At.Year() > maxYear, "expires_at", "It may not be after the year 9999.")
}
