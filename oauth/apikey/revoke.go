package apikey

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// RevokeSecret ends the secret that the caller proves to hold, and every token
// issued from it. It is for anybody who finds a leaked secret. It works for disabled and
// expired keys and suspended workspaces too. The errors are those of
// Authenticate.
func (s *Service) RevokeSecret(ctx context.Context, c Credentials) error {
	login := &Login{address: c.Address, now: s.now()}
	if err := s.proved(ctx, c, login); err != nil {
		return err
	}
	holder := store.ActorRef{Kind: "holder", ID: login.found.Key.ID}
	for attempt := 1; ; attempt++ {
		err := s.endProved(ctx, login, holder)
		if attempt == maxAttempts || !errors.Is(err, store.ErrConflict) {
			return err
		}
		found, err := s.lookup(ctx, c.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil // the key was deleted meanwhile
		case err != nil:
			return fmt.Errorf("apikey: revoke secret: %w", err)
		}
		login.found = found
	}
}

func (s *Service) endProved(ctx context.Context, l *Login, holder store.ActorRef) error {
	before := l.found.Key
	after := before.Clone()
	if err := endSecret(&after, l.secret.ID); err != nil {
		return s.reconfirm(ctx, markOf(&before)) // someone else ended it meanwhile
	}
	after.Updated = l.now
	change, err := s.change(l.now, holder, ActionRevoke, after.Workspace, after.ID, []string{"secrets"})
	if err != nil {
		return err
	}
	if err := s.announce(ctx, &before, &after); err != nil {
		return err
	}
	if err := s.store.Keys.Update(ctx, after, change); errors.Is(err, store.ErrNotFound) {
		return nil // the key was deleted meanwhile
	} else if err != nil {
		return fmt.Errorf("apikey: revoke secret: %w", err)
	}
	return s.confirm(ctx, &before, &after)
}
