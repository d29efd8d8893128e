package apikey

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// FindOnce finds a one-time id of Spec, Rotation or CredentialSpec by its Space and ID. It
// returns the id of the key that was created or changed, and the Value that the caller
// gave. If the id was never spent or has expired, or the store has no OnceIDs, the
// error is store.ErrNotFound. An id is not bound to an actor: use a Space per actor
// to separate them.
func (s *Service) FindOnce(ctx context.Context, once store.OnceID) (key, value string, err error) {
	if s.store.OnceIDs == nil {
		return "", "", fmt.Errorf("apikey: one-time id: %w", store.ErrNotFound)
	}
	found, err := s.store.OnceIDs.Find(ctx, once.Space, once.ID, s.now())
	if err != nil {
		return "", "", fmt.Errorf("apikey: one-time id: %w", err)
	}
	key, value, _ = strings.Cut(found.Value, " ")
	return key, value, nil
}

// onceOf makes the one-time id of a change. The key's id contains no space, so FindOnce
// can separate it from the Value.
func onceOf(once *store.OnceID, id string) *store.OnceID {
	if once == nil {
		return nil
	}
	spent := *once
	spent.Value = id
	if once.Value != "" {
		spent.Value += " " + once.Value
	}
	return &spent
}

// checkOnce refuses an empty id and one that has expired.
func checkOnce(bad *InvalidError, once *store.OnceID, now time.Time) {
	bad.addIf(once != nil && (once.ID == "" || !once.Expires.After(now)), "once", "A one-time id must not be empty and must expire in the future.")
}
