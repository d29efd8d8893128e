package apikey

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/store"
)

// RevokeSecret removes the secret that c holds from its key, and revokes every
// token issued for it. Anyone who finds a leaked secret can call it. It works for
// disabled and expired keys and in suspended workspaces too. For wrong credentials
// its errors are those of Authenticate.
func (s *Service) RevokeSecret(ctx context.Context, c Credentials) error {
	proof := s.newProof(c, observe.SecretRevocation)
	if err := s.prove(ctx, c.Secret, proof); err != nil {
		return s.refuse(ctx, proof, err)
	}
	s.observe(ctx, proof, "")
	return retryErr(func() error { return s.removeProved(ctx, proof) })
}

// removeProved removes the secret that was verified. It does not read from a cache.
func (s *Service) removeProved(ctx context.Context, p *Proof) error {
	found, err := lookup(ctx, s.store.Keys, p.found.Key.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // the key was deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("apikey: revoke secret: %w", err)
	}
	before, after := found.Key, found.Key.Clone()
	if err := removeSecret(&after, p.secret.ID); err != nil {
		return nil //nolint:nilerr // another call removed it meanwhile
	}
	after.Updated = p.now
	holder := Actor{ref: store.ActorRef{Kind: "holder", ID: after.ID}, address: p.address}
	change, err := s.newChange(p.now, holder, eventOf(audit.Revoke, &after, changedFields(&before, &after)))
	if err != nil {
		return err
	}
	change.RevokeTokens = revokesTokens(&before, &after)
	err = s.store.Keys.Update(ctx, after, change)
	if errors.Is(err, store.ErrNotFound) {
		return nil // the key was deleted meanwhile
	}
	return writeError("revoke secret", err)
}
