package apikey

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// RevokeSecret ends the secret that the caller proves to hold, and every token
// issued from it. It is for anybody who finds a leaked secret. It works for disabled
// and expired keys and suspended workspaces too. The errors are those of
// Authenticate.
func (s *Service) RevokeSecret(ctx context.Context, c Credentials) error {
	login := &Login{address: c.Address, now: s.now()}
	if err := s.proved(ctx, c, login); err != nil {
		return err
	}
	holder := store.ActorRef{Kind: "holder", ID: login.found.Key.ID}
	again := false
	return retryErr(func() error {
		if again {
			found, err := s.lookup(ctx, c.ID)
			switch {
			case errors.Is(err, store.ErrNotFound):
				return nil // the key was deleted meanwhile
			case err != nil:
				return fmt.Errorf("apikey: revoke secret: %w", err)
			}
			login.found = found
		}
		again = true // what was proved may have come from a cache
		return s.endProved(ctx, login, holder)
	})
}

func (s *Service) endProved(ctx context.Context, l *Login, holder store.ActorRef) error {
	before := l.found.Key
	after := before.Clone()
	if err := endSecret(&after, l.secret.ID); err != nil {
		return nil //nolint:nilerr // someone else ended it meanwhile
	}
	after.Updated = l.now
	change, err := s.change(l.now, holder, audit.Revoke, after.Workspace, after.ID, []string{"secrets"})
	if err != nil {
		return err
	}
	change.EndTokens = endsTokens(&before, &after)
	err = s.store.Keys.Update(ctx, after, change)
	if errors.Is(err, store.ErrNotFound) {
		return nil // the key was deleted meanwhile
	}
	return writeError("revoke secret", err)
}
