package apikey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// RetireSecret ends one secret of a key and every token issued from it. A key
// left without secrets logs nobody in until it is rotated. The key must have the given
// version, or any if that is 0: else store.ErrConflict.
func (s *Service) RetireSecret(ctx context.Context, actor Actor, id, secret string, version int64) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Retire, version: version, narrows: true,
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

// Disable stops logins with a key and ends its tokens. Disabling twice is no
// error. The version is as in RetireSecret.
func (s *Service) Disable(ctx context.Context, actor Actor, id string, version int64) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Disable, version: version, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			k.Disabled = true
			return nil
		},
	})
}

// Enable lets a disabled key log in again. Tokens from before stay ended.
// Enabling twice is no error. The version is as in RetireSecret.
func (s *Service) Enable(ctx context.Context, actor Actor, id string, version int64) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Enable, policy: policy.ActionEnable, version: version, yields: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			k.Disabled = false
			return nil
		},
	})
}

// Delete ends a key and its tokens for good. Its events stay. The version is as in
// RetireSecret.
func (s *Service) Delete(ctx context.Context, actor Actor, id string, version int64) error {
	now := s.now()
	return retryErr(func() error { return s.deleteOnce(ctx, actor, id, version, now) })
}

func (s *Service) deleteOnce(ctx context.Context, actor Actor, id string, version int64, now time.Time) error {
	p, found, err := s.find(ctx, actor, audit.Delete, id)
	if err != nil {
		return err
	}
	if version != 0 && version != found.Key.Version {
		return fmt.Errorf("apikey: delete key: %w", store.ErrConflict)
	}
	workspace := found.Key.Workspace
	change, err := s.change(now, actor.ref, audit.Delete, workspace, id, nil)
	if err != nil {
		return err
	}
	change.If = p.preconditions()
	return writeError("delete key", s.store.Keys.Delete(ctx, workspace, id, version, now, change))
}
