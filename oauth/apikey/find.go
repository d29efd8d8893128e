package apikey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// FindSecret returns the key that has the secret text, and the secret's description. It
// is for whoever found a secret and wants to know whose it is. White space around text
// is ignored. The key may be disabled or expired, and the secret may have expired or
// have a prefix that is withdrawn. LastUsed lacks uses that Flush has not written yet,
// here and in other processes. The store is read past its cache.
//
// If no key has the secret, or the actor may not see the key as by Get, the error is
// store.ErrNotFound. If text does not have the form of a secret (see ParseSecret), with
// whatever prefix, and Config.Imported is false or text is empty or longer than 1024
// bytes, the error is an *InvalidError on the field "secret". No error contains text.
//
// Two kinds of secrets are not found: those that were imported with a slow digest, since
// the store has no id that is derived from them, and those whose pepper is withdrawn,
// since their digest cannot be verified.
func (s *Service) FindSecret(ctx context.Context, actor Actor, text string) (Key, store.Credential, error) {
	text = strings.TrimSpace(text)
	if !secrets.WellFormed(text) && (!s.cfg.Imported || text == "" || len(text) > maxImportedSecret) {
		return Key{}, store.Credential{}, invalid("secret", "It does not have the form of a secret; paste the whole secret and nothing else.")
	}
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return Key{}, store.Credential{}, err
	}
	id := secrets.ID(text)
	found, err := s.store.Secrets.LookupSecret(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Key{}, store.Credential{}, fmt.Errorf("apikey: find secret: %w", err)
	}
	stored := found.Key.Credential(id)
	// The actor's right comes before the digest: an error about the digest names the key.
	if stored == nil || !stored.IsSecret() || secrets.IsSlow(stored.Digest) || p.mayActOn(actRead, &found.Key) != nil {
		return Key{}, store.Credential{}, errNoSecret
	}
	proof := &Proof{found: found}
	switch proved, _, err := s.hasher.Verify(stored.Digest, proof.binding(stored, text)); {
	case err != nil:
		return Key{}, store.Credential{}, cannotVerify(proof, err)
	case !proved:
		return Key{}, store.Credential{}, errNoSecret
	}
	shown := *stored
	shown.Digest = ""
	return s.keyOf(&found, s.now()), shown, nil
}

var errNoSecret = fmt.Errorf("apikey: no key that the actor may see has this secret: %w", store.ErrNotFound)
