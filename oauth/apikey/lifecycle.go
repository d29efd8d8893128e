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

// Retire removes one credential of a key, of any kind, and revokes every token issued for
// it. If the key has none left, no program can log in until it gets another one. If version
// is not 0 and the key has another version, the error is store.ErrConflict.
func (s *Service) Retire(ctx context.Context, actor Actor, id, credential string, version int64) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Retire, version: version, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error { return removeCredential(k, credential) },
	})
}

// removeCredential removes one credential, which revokes its tokens: a token is refused if
// its key no longer has the credential that it names.
func removeCredential(k *store.Key, id string) error {
	if k.Credential(id) == nil {
		return fmt.Errorf("apikey: the key has no credential with this id: %w", store.ErrNotFound)
	}
	k.Credentials = slices.DeleteFunc(k.Credentials, func(c store.Credential) bool { return c.ID == id })
	return nil
}

// removeUnused is removeCredential for a secret that no program has logged in with.
func (s *Service) removeUnused(k *store.Key, id string) error {
	if c := k.Credential(id); c != nil && c.IsSecret() && c.LastUsed.IsZero() && !s.unwritten.used(k.ID, id) {
		return removeCredential(k, id)
	}
	return invalid("replaces", "The secret was not replaced: a program has logged in with it, or the key no longer has it. Rotate without naming it, and choose how long the other secrets still work.")
}

// Disable stops logins with a key and revokes its tokens. It is no error if the key
// is disabled already. version is as in Retire.
func (s *Service) Disable(ctx context.Context, actor Actor, id string, version int64) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Disable, version: version, narrows: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			k.Disabled = true
			return nil
		},
	})
}

// Enable lets a disabled key log in again. Its old tokens stay revoked. It is no
// error if the key is enabled already. version is as in Retire.
func (s *Service) Enable(ctx context.Context, actor Actor, id string, version int64) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Enable, policy: policy.ActionEnable, version: version, gives: true,
		apply: func(_ powers, k *store.Key, _ time.Time) error {
			k.Disabled = false
			return nil
		},
	})
}

// Delete deletes a key and revokes its tokens. Its audit events stay. version is as
// in Retire.
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
	change, err := s.newChange(now, p.actor, eventOf(audit.Delete, &found.Key, changedFields(&found.Key, &store.Key{})))
	if err != nil {
		return err
	}
	change.Preconditions = p.keyPreconditions()
	return writeError("delete key", s.store.Keys.Delete(ctx, found.Key.Workspace, id, version, now, change))
}
