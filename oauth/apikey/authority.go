package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// This file decides what an actor may do. Each management call reads the actor's
// powers with powersOf, and calls one of these:
//
//	mayAdminister  settings, workspaces, all keys that one creator created, export and restore;
//	               of these, keys may read and save settings and suspend workspaces
//	maySee         keys and events of one workspace that exists, or of all
//	mayAdd         a new key in a workspace
//	mayActOn       one key that exists: to read, change, rotate or delete it
//	mayGrant       what a new or changed key holds
//	mustBeActive   whether the host knows the workspace and has not suspended it
//	mustExist      whether the host or the store knows the workspace
//
// From maySee of one workspace, mayAdd and mayActOn, an actor that has none of manageKeys in
// it gets store.ErrNotFound (from mayActOn: unless it is the key itself), and one that lacks
// only the right for the call a *ForbiddenError.
// mayAdminister, mayGrant and maySee of all refuse with a *ForbiddenError. A workspace
// that does not exist is store.ErrNotFound. One that the host has suspended or does not
// know gets a *ForbiddenError from mustBeActive.

// powers are the rights of an actor at one moment.
type powers struct {
	actor Actor
	// everywhere are the actor's rights in the instance and in every workspace. own
	// are its further rights in the workspaces that the field workspaces lists.
	everywhere, own rights
	workspaces      []string
	// grants are the permissions that the actor may grant.
	grants scope.Set
	// key is the acting key's record, nil for a person. found is that record with
	// the settings that were read with it. expires is the instant from which the key
	// is expired, by its own expiry or by the administrator's rules, or the public key or
	// trust that it logged in with; zero is never.
	key     *store.Key
	found   *store.Found
	expires time.Time
}

// rights is a set of rights, one bit each.
type rights uint8

// The rights, one for each word in rights.names, in the same order. Who has saveSettings or
// suspendWorkspaces has readSettings too: powersOf and actingKey set both. If the actor has the right administer, the
// wildcards in a key's permissions match admin permissions too.
const (
	listKeys rights = 1 << iota
	saveKeys
	deleteKeys
	rotateOwn
	readSettings
	saveSettings
	suspendWorkspaces
	administer

	manageKeys = listKeys | saveKeys | deleteKeys
)

// hasAny reports whether r holds at least one of the others.
func (r rights) hasAny(others rights) bool { return r&others != 0 }

// names returns the rights in the words of type Rights.
func (r rights) names() (names []string) {
	for i, name := range []string{
		"list_keys", "save_keys", "delete_keys", "rotate_own", "read_settings", "save_settings", "suspend_workspaces", "administer",
	} {
		if r.hasAny(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// powersOf reads the actor's rights. An acting key that is not live has none: it
// gets a *ForbiddenError.
func (s *Service) powersOf(ctx context.Context, a Actor) (powers, error) {
	catalog := s.cfg.Permissions
	p := powers{actor: a}
	switch a.ref.Kind {
	case kindAdmin:
		p.everywhere = manageKeys | readSettings | saveSettings | suspendWorkspaces | administer
		p.grants = catalog.All()
	case kindOwner:
		p.own, p.workspaces = manageKeys, a.workspaces
		p.grants = catalog.All().Minus(catalog.Admin())
	case kindKey:
		if err := s.actingKey(ctx, &p); err != nil {
			return p, err
		}
	}
	if a.limited {
		p.grants = p.grants.Intersect(a.limit)
	}
	return p, nil
}

func (s *Service) actingKey(ctx context.Context, p *powers) error {
	a := p.actor
	found, err := lookup(ctx, s.store.Keys, a.ref.ID)
	if errors.Is(err, store.ErrNotFound) {
		return &ForbiddenError{Action: "act", Reason: "The acting key does not exist any more."}
	}
	if err != nil {
		return fmt.Errorf("apikey: read the acting key: %w", err)
	}
	now := s.now()
	found.Instance = s.effective(found.Instance)
	standing, err := s.standingOf(ctx, &found, now)
	if err != nil {
		return err
	}
	if !standing.Live() {
		return &ForbiddenError{Action: "act", Reason: standing.Text}
	}
	c := found.Key.Credential(a.credential)
	if a.credential != "" && (c == nil || expired(c.NotAfter, now)) {
		return &ForbiddenError{Action: "act", Reason: "The credential that the acting key logged in with has expired or was retired; log in with another one."}
	}
	p.key, p.found, p.expires = &found.Key, &found, standing.Expires
	if c != nil && !c.IsSecret() && outlives(p.expires, c.NotAfter) { // not a secret in its grace
		p.expires = c.NotAfter
	}
	p.workspaces, p.actor.Name = []string{found.Key.Workspace}, found.Key.Name
	held := s.issuable(&found.Key).Intersect(a.limit)
	// An empty name in Management allows nothing, since no permission has it.
	right := func(permission string, r rights) rights {
		if held.Has(permission) {
			return r
		}
		return 0
	}
	m := s.cfg.Management
	p.own = right(m.List, listKeys) | right(m.Save, saveKeys|rotateOwn) | right(m.Delete, deleteKeys) | right(m.RotateOwn, rotateOwn) |
		right(m.AdminSave, rotateOwn)
	p.everywhere = right(m.AdminList, listKeys) | right(m.AdminSave, saveKeys) | right(m.AdminDelete, deleteKeys) |
		right(m.ReadSettings, readSettings) | right(m.SaveSettings, readSettings|saveSettings) |
		right(m.SuspendWorkspaces, readSettings|suspendWorkspaces)
	// Only an organization admin grants a permission that reaches every workspace.
	p.grants = held.Minus(s.cfg.Permissions.Admin())
	return nil
}

// in returns the actor's rights in one workspace.
func (p powers) in(workspace string) rights {
	if slices.Contains(p.workspaces, workspace) {
		return p.everywhere | p.own
	}
	return p.everywhere
}

// Rights are what an actor may do at one moment, in these words:
//
//	list_keys           see keys, their usage and audit events
//	save_keys           create, change, rotate, disable and enable keys, add and retire credentials
//	delete_keys         delete keys
//	rotate_own          rotate the secret or replace the public key that it logged in with; for a key
//	read_settings       read the settings of the instance and of every workspace
//	save_settings       replace these settings
//	suspend_workspaces  suspend and resume workspaces
//	administer          everything else that is for an organization admin
//
// Policies, the settings and the state of a workspace can still refuse a call.
type Rights struct {
	// Name is the acting key's name. It is empty for a person.
	Name string
	// Everywhere are the rights in the instance and in every workspace.
	Everywhere []string
	// Workspaces are an owner's workspaces, or a key's own, each with the rights over
	// keys there, those of Everywhere included.
	Workspaces map[string][]string
	// Grants are the permissions that the actor may grant to keys it may save.
	Grants scope.Set
}

// Rights returns what the actor may do now. A key that is not live gets a
// *ForbiddenError.
func (s *Service) Rights(ctx context.Context, actor Actor) (Rights, error) {
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return Rights{}, err
	}
	r := Rights{Everywhere: p.everywhere.names(), Workspaces: map[string][]string{}}
	if p.key != nil {
		r.Name = p.key.Name
	}
	saves := p.everywhere.hasAny(saveKeys)
	for _, workspace := range p.workspaces {
		there := p.in(workspace) & (manageKeys | rotateOwn)
		r.Workspaces[workspace], saves = there.names(), saves || there.hasAny(saveKeys)
	}
	if saves {
		r.Grants = p.grants
	}
	return r, nil
}

// admin reports whether the actor is an organization admin.
func (p powers) admin() bool { return p.everywhere.hasAny(administer) }

// self reports whether the acting key is the given one.
func (p powers) self(id string) bool { return p.key != nil && p.key.ID == id }

// mayAdminister lets only an organization admin, or a key with the right for the
// action, pass.
func (s *Service) mayAdminister(ctx context.Context, actor Actor, action string) (powers, error) {
	needed := administer
	switch action {
	case actReadSettings:
		needed = readSettings
	case audit.Settings, audit.Workspace:
		needed = saveSettings
	case audit.Suspend, audit.Resume:
		needed = suspendWorkspaces
	}
	p, err := s.powersOf(ctx, actor)
	if err == nil && !p.everywhere.hasAny(needed) {
		err = &ForbiddenError{Action: action, Reason: "You may not do this; ask an organization admin."}
	}
	return p, err
}

// maySee refuses an actor that may not list the keys of a workspace, or of all if
// workspace is empty, and refuses a workspace that does not exist.
func (s *Service) maySee(ctx context.Context, actor Actor, workspace string) error {
	p, err := s.powersOf(ctx, actor)
	if err == nil {
		err = p.maySee(workspace)
	}
	if err != nil || workspace == "" {
		return err
	}
	return s.mustExist(ctx, workspace)
}

func (p powers) maySee(workspace string) error {
	switch {
	case workspace == "" && p.everywhere.hasAny(listKeys):
		return nil
	case workspace == "":
		return &ForbiddenError{Action: "read", Reason: "You may not see all workspaces; name one."}
	case !p.in(workspace).hasAny(manageKeys):
		return errNoRight
	case !p.in(workspace).hasAny(listKeys):
		return &ForbiddenError{Action: "read", Reason: "You may not see the keys of this workspace."}
	}
	return nil
}

var errNoRight = fmt.Errorf("apikey: no such key or workspace, or the actor has no right in it: %w", store.ErrNotFound)

// maxDepth bounds the chain of keys that create keys, so that a walk over all the
// keys that one key created is short.
const maxDepth = 3

// mayAdd refuses an actor that may not create a key in the workspace. deepest bounds
// the depth of a key that a key creates.
func (p powers) mayAdd(action, workspace string, deepest int) error {
	switch {
	case strings.TrimSpace(workspace) == "":
		return invalid("workspace", "It may not be empty.")
	case !p.in(workspace).hasAny(manageKeys):
		return errNoRight
	case !p.in(workspace).hasAny(saveKeys):
		return &ForbiddenError{Action: action, Reason: "You may not create keys in this workspace."}
	case p.key != nil && p.key.Depth >= deepest:
		reason := fmt.Sprintf("Keys created by keys may be at most %d deep, which the acting key is already; let a person create the key.", deepest)
		return &ForbiddenError{Action: action, Reason: reason}
	}
	return nil
}

// Actions that are not in the audit log.
const (
	actRead         = "key.read"
	actReadSettings = "settings.read"
	actOutdated     = "key.list_outdated"
)

// mayActOn refuses an actor that may not do the action on an existing key. A key
// may do two things with itself: read its record, and rotate what it logged in with (see
// mayRotateWith and powers.replace).
func (p powers) mayActOn(action string, k *store.Key) error {
	in, self := p.in(k.Workspace), p.self(k.ID)
	var may bool
	reason := "You may not change this key."
	switch {
	case !in.hasAny(manageKeys) && !self:
		return errNoRight
	case action == actRead:
		may, reason = in.hasAny(listKeys) || self, "You may not see this key."
	case action == audit.Delete && self:
		reason = "A key may not delete itself; let a person or another key delete it."
	case action == audit.Delete:
		may, reason = in.hasAny(deleteKeys), "You may not delete this key."
	case self && action != audit.Rotate:
		reason = rotatesOnly
	case self:
		may = in.hasAny(rotateOwn)
	default:
		may = in.hasAny(saveKeys)
	}
	if !may {
		return &ForbiddenError{Action: action, Reason: reason}
	}
	return nil
}

const rotatesOnly = "With its secret, a key may rotate its secret; with a public key, it may replace that public key; it may change nothing else of itself."

// mayRotateWith refuses changes together with the rotation of a key by itself, and an actor
// that did not log in with a secret of the key: a program that has only a private key or an
// identity must not give itself a secret.
func (p powers) mayRotateWith(k *store.Key, c Changes) error {
	own := k.Credential(p.actor.credential)
	if p.self(k.ID) && (c != (Changes{Version: c.Version}) || own == nil || !own.IsSecret()) {
		return &ForbiddenError{Action: audit.Rotate, Reason: rotatesOnly}
	}
	return nil
}

// find reads the actor's powers and the key, and checks mayActOn.
func (s *Service) find(ctx context.Context, actor Actor, action, id string) (powers, store.Found, error) {
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return p, store.Found{}, err
	}
	found, err := lookup(ctx, s.store.Keys, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return p, found, errNoRight
	case err != nil:
		return p, found, fmt.Errorf("apikey: read key: %w", err)
	}
	return p, found, p.mayActOn(action, &found.Key)
}

// mayGrant checks a key as it is after a change that gives it a credential or a new
// name, enables it, extends its expiry, allows direct use or gives it more permissions or
// resources.
// The actor must be able to grant every permission that the key then holds. gives
// is false if only the name changes. An acting key may give no resource and no
// direct use that it lacks, and no expiry later than powers.expires.
//
// raised are the permissions that the key held before they became admin
// permissions. Its tokens do not carry them, so a person need not be able to grant
// them.
func (p powers) mayGrant(action string, after *store.Key, raised scope.Set, gives bool) error {
	grants := p.grants
	switch {
	case p.self(after.ID):
		grants = p.key.Permissions.Intersect(p.actor.limit)
	case p.admin() && !p.actor.limited:
		// All of them, even those that have left the catalog: otherwise no actor could
		// rotate or enable such a key.
		grants = after.Permissions
	}
	missing := after.Permissions.Minus(grants)
	if p.key == nil {
		missing = missing.Minus(raised)
	}
	byAnother := gives && p.key != nil && !p.self(after.ID)
	switch {
	case missing.Len() > 0:
		return &ForbiddenError{Action: action, Reason: "This needs the right to grant every permission of the key; you may not grant these.", Missing: missing}
	case byAnother && lacks(p.key.Resources, after.Resources):
		return &ForbiddenError{Action: action, Reason: "The key would be allowed resources that the acting key is not allowed."}
	case byAnother && after.Direct && !p.key.Direct:
		return &ForbiddenError{Action: action, Reason: "The key would allow direct use, which the acting key does not allow."}
	case byAnother && outlives(after.NotAfter, p.expires):
		return &ForbiddenError{Action: action, Reason: "The key would outlive the acting key, or what it logged in with; give it an earlier expiry."}
	}
	return nil
}

// outlives reports whether the expiry a is later than b. Zero is never.
func outlives(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}
