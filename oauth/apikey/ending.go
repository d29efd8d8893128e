package apikey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// RetireSecret ends one secret of a key and every token issued from it. A key
// left without secrets logs nobody in until it is rotated.
func (s *Service) RetireSecret(ctx context.Context, actor Actor, id, secret string) (Key, error) {
	return s.IfVersion(0).RetireSecret(ctx, actor, id, secret)
}

// Disable stops logins with a key and ends its tokens. Disabling twice is no
// error.
func (s *Service) Disable(ctx context.Context, actor Actor, id string) (Key, error) {
	return s.IfVersion(0).Disable(ctx, actor, id)
}

// Enable lets a disabled key log in again. Tokens from before stay ended.
// Enabling twice is no error.
func (s *Service) Enable(ctx context.Context, actor Actor, id string) (Key, error) {
	return s.IfVersion(0).Enable(ctx, actor, id)
}

// Delete ends a key and its tokens for good. Its events stay.
func (s *Service) Delete(ctx context.Context, actor Actor, id string) error {
	return s.IfVersion(0).Delete(ctx, actor, id)
}

// Conditional makes those changes that take nothing but a key's id only if the
// key still is as the caller saw it; otherwise store.ErrConflict.
type Conditional struct {
	service *Service
	version int64
}

// IfVersion returns the changes under the condition that the key still has
// the given version; 0 is no condition. Update and Rotate take the version
// with their Changes.
func (s *Service) IfVersion(version int64) Conditional { return Conditional{s, version} }

// RetireSecret is Service.RetireSecret under the condition.
func (c Conditional) RetireSecret(ctx context.Context, actor Actor, id, secret string) (Key, error) {
	return c.service.alter(ctx, actor, id, alteration{
		action: ActionRetire, version: c.version, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error { return endSecret(k, secret) },
	})
}

// endSecret removes one secret: tokens that name it have ended.
func endSecret(k *store.Key, id string) error {
	i := slices.IndexFunc(k.Secrets, func(kept store.Secret) bool { return kept.ID == id })
	if i < 0 {
		return fmt.Errorf("apikey: secret: %w", store.ErrNotFound)
	}
	k.Secrets = slices.Delete(slices.Clone(k.Secrets), i, i+1)
	return nil
}

// Disable is Service.Disable under the condition.
func (c Conditional) Disable(ctx context.Context, actor Actor, id string) (Key, error) {
	return c.service.alter(ctx, actor, id, alteration{
		action: ActionDisable, version: c.version, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error { return disable(k) },
	})
}

func disable(k *store.Key) error {
	if k.Disabled {
		return errUnchanged
	}
	k.Disabled = true
	return nil
}

// Enable is Service.Enable under the condition.
func (c Conditional) Enable(ctx context.Context, actor Actor, id string) (Key, error) {
	return c.service.alter(ctx, actor, id, alteration{
		action: ActionEnable, policy: policy.ActionEnable, version: c.version, yields: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			if !k.Disabled {
				return errUnchanged
			}
			k.Disabled = false
			return nil
		},
	})
}

// Delete is Service.Delete under the condition.
func (c Conditional) Delete(ctx context.Context, actor Actor, id string) error {
	now := c.service.now()
	return retryErr(func() error { return c.deleteOnce(ctx, actor, id, now) })
}

func (c Conditional) deleteOnce(ctx context.Context, actor Actor, id string, now time.Time) error {
	s := c.service
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return err
	}
	found, err := s.visible(ctx, p, id)
	if err != nil {
		return err
	}
	workspace := found.Key.Workspace
	if !p.in(workspace).remove || p.self(id) {
		return &ForbiddenError{Action: ActionDelete, Reason: "You may not delete this key."}
	}
	if c.version != 0 && c.version != found.Key.Version {
		return fmt.Errorf("apikey: delete key: %w", store.ErrConflict)
	}
	change, err := s.change(now, actor.ref, ActionDelete, workspace, id, nil)
	if err != nil {
		return err
	}
	change.If = p.preconditions()
	return writeError("delete key", s.store.Keys.Delete(ctx, workspace, id, c.version, now, change))
}
