package store

import (
	"context"
	"time"
)

// Ring is the set of signing keys that all replicas share.
type Ring struct {
	Keys []SigningKey
	// Version rises by one with each change; 0 means never saved.
	Version int64
}

// SigningKey is one private key, encrypted with a seal key; the store never sees
// the plaintext.
type SigningKey struct {
	ID        string // the kid
	Algorithm string // "ES256" ...
	Sealed    []byte
	// SealKey is the version of the seal key, and SealFingerprint distinguishes two
	// seal keys of one version.
	SealKey         int
	SealFingerprint string
	Created         time.Time
	NotBefore       time.Time // signs from this instant
	NotAfter        time.Time // signs until this instant; zero means that it has no successor yet
	PublishUntil    time.Time // is published until this instant; zero if NotAfter is zero
}

// SigningKeys stores the ring.
type SigningKeys interface {
	// Durable reports whether the ring outlives the process.
	Durable() bool
	// Ring returns the ring, or a zero record if it was never saved.
	Ring(ctx context.Context) (Ring, error)
	// SetRing replaces the ring and raises its version by one, if the stored
	// version is still r.Version; otherwise ErrConflict. Atomic: of N
	// concurrent calls with one version exactly one succeeds.
	SetRing(ctx context.Context, r Ring) error
}
