package apikey

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Get returns a key. If there is none, or the actor has no right in its workspace,
// the error is store.ErrNotFound.
func (s *Service) Get(ctx context.Context, actor Actor, id string) (Key, error) {
	_, found, err := s.find(ctx, actor, actRead, id)
	if err != nil {
		return Key{}, err
	}
	return s.keyOf(&found, s.now()), nil
}

// Issuer returns Config.Issuer and Config.TokenURL: the audience of assertions, and where
// they are sent.
func (s *Service) Issuer() (issuer, tokenURL string) { return s.cfg.Issuer, s.cfg.TokenURL }

// WorkspaceStanding says whether keys of a workspace can be live. They cannot if the
// workspace was deleted, if it is suspended in the store or not active by
// Config.Workspaces, or if keys are switched off. If Config.Workspaces fails, only the
// store decides.
func (s *Service) WorkspaceStanding(ctx context.Context, workspace string) (policy.Standing, error) {
	w, instance, err := s.settingsOf(ctx, workspace)
	if err != nil {
		return policy.Standing{}, err
	}
	if suspended, err := s.askHost(ctx, workspace); err == nil && suspended {
		w.Suspended = true
	}
	return policy.StandingOf(&store.Key{}, w, store.Instance{KeysOff: instance.KeysOff}, s.now()), nil
}

// Page is one page of a list of keys: Page[Key] or Page[KeyPreview].
type Page[T any] struct {
	Keys []T
	// Checked is how many keys were read. Keys may leave some of them out.
	Checked int
	// Next is the cursor after the last key read; nil on the last page.
	Next *store.KeyCursor
}

// List returns one page of keys; see store.KeyQuery. Its conditions compare what is
// stored: NotAfter is a key's own expiry, without the rules. An empty Workspace
// lists all workspaces, which the actor must be allowed to see.
func (s *Service) List(ctx context.Context, actor Actor, q store.KeyQuery) (Page[Key], error) {
	listed, err := s.list(ctx, actor, q)
	if err != nil {
		return Page[Key]{}, err
	}
	now := s.now()
	page := Page[Key]{Keys: make([]Key, len(listed.Keys)), Checked: len(listed.Keys), Next: listed.Next}
	for i := range listed.Keys {
		page.Keys[i] = s.keyOf(foundOf(&listed, i), now)
	}
	return page, nil
}

// list does the work of List, and returns stored keys with the settings that apply to
// them.
func (s *Service) list(ctx context.Context, actor Actor, q store.KeyQuery) (store.KeyPage, error) {
	if err := s.maySee(ctx, actor, q.Workspace); err != nil {
		return store.KeyPage{}, err
	}
	page, err := s.store.Keys.List(ctx, q)
	if err != nil {
		return store.KeyPage{}, fmt.Errorf("apikey: list keys: %w", err)
	}
	page.Instance = s.effective(page.Instance)
	return page, nil
}

// foundOf returns a key of a page with the settings that apply to it.
func foundOf(page *store.KeyPage, i int) *store.Found {
	return &store.Found{Key: page.Keys[i], Workspace: page.Workspaces[page.Keys[i].Workspace], Instance: page.Instance}
}

// Grantable returns the permissions that the actor may now grant to a key of the
// workspace. It is empty if the actor lacks the right to save keys there. A creation may
// still be refused, because the host has suspended the workspace or the acting key is at
// Management.MaxDepth. If the actor has the right, and the workspace does not exist, the
// error is store.ErrNotFound.
func (s *Service) Grantable(ctx context.Context, actor Actor, workspace string) (scope.Set, error) {
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return scope.Set{}, err
	}
	if !p.in(workspace).hasAny(saveKeys) {
		return scope.Set{}, nil
	}
	return p.grants, s.mustExist(ctx, workspace)
}

// Events returns one page of the audit log of a workspace, or of all if Workspace
// is empty. The actor must be allowed to see its keys.
func (s *Service) Events(ctx context.Context, actor Actor, q store.EventQuery) (store.EventPage, error) {
	if err := s.maySee(ctx, actor, q.Workspace); err != nil {
		return store.EventPage{}, err
	}
	page, err := s.store.Events.List(ctx, q)
	return page, describe("list events", err)
}

// Exists reports whether a key has the id. It reads like a login, from the cache if the
// store has one. It is for a server that has other clients besides keys and must know
// whether a client id is that of a key. If the store is unavailable, the error wraps
// store.ErrUnavailable.
func (s *Service) Exists(ctx context.Context, id string) (bool, error) {
	switch _, err := lookup(ctx, s.reads, id); {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("apikey: find key: %w", outage(err))
	}
	return true, nil
}
