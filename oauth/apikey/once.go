package apikey

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Spent returns what a one-time id of Spec.Once or Rotation.Once was spent on:
// the id of the key that was made or rotated, and the Value that the caller
// had given. Never spent, expired, or with a store that keeps no OnceIDs it is
// store.ErrNotFound. Space and ID of the argument count. An id is not bound
// to an actor: a caller separates actors by the Space.
func (s *Service) Spent(ctx context.Context, once store.OnceID) (key, value string, err error) {
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

// spend makes the one-time id of a change. A key's id holds no space.
func spend(once *store.OnceID, id string) *store.OnceID {
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

// checkOnce refuses an id that would be spent for no time at all.
func checkOnce(bad *InvalidError, once *store.OnceID, now time.Time) {
	bad.addIf(once != nil && (once.ID == "" || !once.Expires.After(now)), "once", "A one-time id must not be empty and must expire in the future.")
}
