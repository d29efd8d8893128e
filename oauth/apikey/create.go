package apikey

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
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
	// maxYear is the last that RFC 3339 and databases can write.
	maxYear = 9999
)

// Spec describes a key to be made.
type Spec struct {
	// Workspace owns the key: 1 to 255 printable characters.
	Workspace string
	// Name is for people: 1 to 255 printable characters.
	Name string
	// Permissions may hold wildcards; see scope.Catalog.Expand. It may be
	// empty: the key then logs in and opens nothing.
	Permissions scope.Set
	// Expiry is when the key ends; the zero value is never, or what a policy
	// or the acting key's own expiry makes of it. It may not lie in the past.
	Expiry Expiry
	// Resources are the resource indicators, of Config.Resources, that the
	// key may ask tokens for besides the server's own audience.
	Resources []string
	// Once, unless nil, is a one-time id that the creation spends; its Value
	// becomes the key's id, followed by one space and what it was before if
	// that was not empty: see Spent. Spent before: store.ErrExists. It must
	// expire in the future.
	Once *store.OnceID
	// Before, unless nil, is called with the key as it is to be stored and its
	// secret: after every check and policy, right
	// before the write. An error from it ends the call, which wraps it, and
	// nothing is stored. It is for what must not be lost if the process ends
	// now, such as the secret, which nobody can read afterwards, and for
	// a caller that accepts only the key it asked for. It is called once, and
	// again only if settings change at that moment and the key is to be stored
	// with other permissions or another expiry than it was shown; id and secret
	// stay. The write may still fail. Import gives no secret: its caller has it.
	Before func(ctx context.Context, key Key, secret Secret) error `json:"-"`
	// Address is the client's, for policies. Invalid: unknown.
	Address netip.Addr
}

// Create makes a key with a fresh secret, which is shown here and never
// again.
//
// Errors: *InvalidError, *ForbiddenError, *policy.Denied, store.ErrNotFound for a
// workspace that the actor has no part in, store.ErrExists for a spent Once,
// store.ErrUnavailable.
func (s *Service) Create(ctx context.Context, actor Actor, spec Spec) (Key, Secret, error) {
	id, err := secrets.NewKeyID(s.cfg.Random)
	if err != nil {
		return Key{}, Secret{}, fmt.Errorf("apikey: create key: %w", err)
	}
	secret, err := secrets.New(s.cfg.Random, s.cfg.SecretPrefixes[0])
	if err != nil {
		return Key{}, Secret{}, fmt.Errorf("apikey: create key: %w", err)
	}
	key, err := s.add(ctx, actor, &creation{
		spec: spec, policy: policy.ActionCreate, action: audit.Create, id: id, shown: secret,
		secret: func(k *store.Key) (store.Secret, error) { return s.keep(k, secret, actor.ref, k.Created), nil },
	})
	if err != nil {
		return Key{}, Secret{}, err
	}
	return key, secret, nil
}

// creation is one call of Create or Import.
type creation struct {
	spec   Spec
	policy policy.Action
	action string
	id     string
	shown  Secret // to Spec.Before
	// secret makes the record of the key's secret, which may take long.
	secret func(*store.Key) (store.Secret, error)

	now    time.Time
	made   []store.Secret // what secret returned
	before *store.Key     // what Spec.Before saw last
}

// add is what Create and Import share: authority, validation, policy, one
// write that names what all of it rests on.
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
		return Key{}, errNoPart
	}
	if err := s.mustKnow(ctx, c.action, spec.Workspace); err != nil {
		return Key{}, err
	}
	if c.made == nil {
		secret, err := c.secret(&key)
		if err != nil {
			return Key{}, err
		}
		c.made = []store.Secret{secret}
	}
	key.Secrets = c.made
	limit, err := s.ask(ctx, policy.KeyRequest{
		Action: c.policy, Now: c.now, Actor: actor.ref, Address: spec.Address,
		Workspace: workspace, Instance: instance,
	}, nil, &key)
	if err != nil {
		return Key{}, err
	}
	if err := p.mayYield(c.action, &key, scope.Set{}, true); err != nil {
		return Key{}, err
	}
	found := &store.Found{Key: key, Workspace: workspace, Instance: instance}
	if err := c.show(ctx, s, found); err != nil {
		return Key{}, err
	}
	if err := s.insert(ctx, p, c.action, found, limit, spec.Once, c.now); err != nil {
		return Key{}, err
	}
	return s.shown(found, c.now), nil
}

// insert writes a new key, and names what that rests on. A limit that is reached is
// a denial.
func (s *Service) insert(ctx context.Context, p powers, action string, f *store.Found, limit int, once *store.OnceID, now time.Time) error {
	change, err := s.change(now, p.actor.ref, action, f.Key.Workspace, f.Key.ID, nil)
	if err != nil {
		return err
	}
	change.Once, change.If = spend(once, f.Key.ID), p.preconditionsIn(f.Workspace, f.Instance)
	if err := s.record(ctx, entriesOf(f.Key.Secrets...)...); err != nil {
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

// newKey is the record that was asked for. One that a key makes expires with it at
// the latest.
func (s *Service) newKey(p powers, c *creation) (store.Key, error) {
	spec := &c.spec
	var bad InvalidError
	checkText(&bad, "workspace", spec.Workspace)
	checkText(&bad, "name", spec.Name)
	checkExpiry(&bad, spec.Expiry, c.now)
	checkOnce(&bad, spec.Once, c.now)
	key := store.Key{
		ID:           c.id,
		Workspace:    spec.Workspace,
		Name:         spec.Name,
		Permissions:  s.expand(&bad, spec.Permissions, p.admin),
		Asked:        spec.Permissions,
		NotAfter:     micro(spec.Expiry.At),
		NotAfterText: spec.Expiry.Date,
		Resources:    s.checkResources(&bad, spec.Resources),
		CreatedBy:    p.actor.ref,
		Created:      c.now,
		Updated:      c.now,
		Version:      1,
	}
	key.Admin = s.grantedAdmin(p, key.Permissions, scope.Set{})
	if p.key != nil {
		key.Depth = p.key.Depth + 1
	}
	if p.key != nil && spec.Expiry.At.IsZero() && !p.end.IsZero() {
		key.NotAfter = p.end
		if p.end.Equal(p.key.NotAfter) {
			key.NotAfterText = p.key.NotAfterText
		}
	}
	return key, bad.orNil()
}

// show calls Spec.Before, unless it has seen the same key.
func (c *creation) show(ctx context.Context, s *Service, found *store.Found) error {
	key := &found.Key
	if c.spec.Before == nil || c.before != nil && len(changedFields(c.before, key)) == 0 {
		return nil
	}
	seen := key.Clone()
	c.before = &seen
	if err := c.spec.Before(ctx, s.shown(found, c.now), c.shown); err != nil {
		return fmt.Errorf("apikey: create key: before it is stored: %w", err)
	}
	return nil
}

// ask runs the policies and takes over what they narrowed; they never see a
// digest. It returns the lowest limit that a policy named.
func (s *Service) ask(ctx context.Context, facts policy.KeyRequest, before, after *store.Key) (limit int, err error) {
	shown := blank(*after)
	facts.After = &shown
	if before != nil {
		old := blank(*before)
		facts.Before = &old
	}
	request := policy.NewKeyRequest(facts)
	if err := refusedBy(s.keyPolicy.CheckKey(ctx, request)); err != nil {
		return 0, err
	}
	result := request.Result()
	after.Permissions, after.Admin = result.Permissions, after.Admin.Intersect(result.Permissions)
	after.NotAfter, after.NotAfterText = result.NotAfter, result.NotAfterText
	return request.Limit(), nil
}

// keep makes the record of a generated secret.
func (s *Service) keep(k *store.Key, secret Secret, maker store.ActorRef, now time.Time) store.Secret {
	plain := secret.Reveal()
	id := secrets.ID(plain)
	return store.Secret{
		ID:        id,
		Hint:      secret.Hint(),
		Digest:    s.hasher.Digest(secrets.Binding{KeyID: k.ID, Workspace: k.Workspace, SecretID: id, Secret: plain}),
		Prefix:    s.cfg.SecretPrefixes[0],
		CreatedBy: maker,
		Generated: true,
		Created:   now,
	}
}

// change makes what is written with every record: its event.
func (s *Service) change(now time.Time, actor store.ActorRef, action, workspace, key string, fields []string) (store.Change, error) {
	var random [16]byte
	if _, err := io.ReadFull(s.cfg.Random, random[:]); err != nil {
		return store.Change{}, fmt.Errorf("apikey: %s: no random id for the event: %w", action, err)
	}
	return store.Change{Now: now, Events: []store.Event{{
		ID: hex.EncodeToString(random[:]), Time: now, Actor: actor, Action: action,
		Workspace: workspace, Key: key, Fields: fields,
	}}}, nil
}

// expand returns the permissions that asked stands for.
func (s *Service) expand(bad *InvalidError, asked scope.Set, withAdmin bool) scope.Set {
	set, err := s.cfg.Permissions.Expand(asked, withAdmin)
	if unknown, is := errors.AsType[*scope.UnknownError](err); is {
		bad.add("permissions", "These do not exist: "+strings.Join(unknown.Names, ", ")+".")
	}
	return set
}

// checkText admits 1 to 255 printable characters: no control characters, line
// or paragraph separators, nor marks that turn the direction of writing.
func checkText(bad *InvalidError, field, text string) {
	switch {
	case strings.TrimSpace(text) == "":
		bad.add(field, "It may not be empty.")
	case !utf8.ValidString(text):
		bad.add(field, "It must be valid UTF-8.")
	case utf8.RuneCountInString(text) > maxName:
		bad.add(field, "It may have at most 255 characters.")
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		bad.add(field, "It may hold printable characters only.")
	}
}

func checkExpiry(bad *InvalidError, e Expiry, now time.Time) {
	bad.addIf(ended(e.At, now), "expires_at", "It lies in the past.")
	bad.addIf(!e.agrees(), "expires_at", "Its date is not that of the instant.")
	bad.addIf(e.At.Year() > maxYear, "expires_at", "It lies beyond the year 9999; leave it out for a key that never expires.")
}
