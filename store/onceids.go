package store

import (
	"context"
	"time"
)

// OnceID is an id that can be spent once until it expires: an idempotency key, a
// form's id, the jti of an assertion.
type OnceID struct {
	// Space separates ids of different purposes and owners.
	Space string
	ID    string
	// Value is stored with the id, such as the id of the key that was created.
	Value string
	// Expires is when the id may be spent again.
	Expires time.Time
}

// OnceIDs stores one-time ids.
type OnceIDs interface {
	// Spend records the id. If it was spent before and expires after now, the error
	// is ErrExists. Atomic: of N concurrent calls exactly one succeeds.
	Spend(ctx context.Context, id OnceID, now time.Time) error
	// Find returns an id that was spent and has not expired, else ErrNotFound.
	Find(ctx context.Context, space, id string, now time.Time) (OnceID, error)
}
