package store

import (
	"context"
	"time"
)

// TokenRef is what a token says of where it came from.
type TokenRef struct {
	Workspace string
	Key       string
	Secret    string // the id of the secret that was exchanged
	TokenID   string // the jti
}

// EpochState is what a token is measured against.
type EpochState struct {
	Instance  int64
	Workspace int64
	Key       int64
	// SecretKnown says that the key still has the secret; if not, the token
	// has ended.
	SecretKnown bool
	// SecretNotAfter is the instant from which the secret, and with it the
	// token, has ended; zero: none.
	SecretNotAfter time.Time
	// Revoked says that this very token was revoked.
	Revoked bool
}

// SecretEnd says when a secret, and every token that came from it, ends.
type SecretEnd struct {
	ID       string
	NotAfter time.Time
}

// Mark raises one epoch. Key and Workspace empty means the instance's; Key
// empty means the workspace's.
type Mark struct {
	Workspace string
	Key       string
	// Epoch is the new value; a stored value that is larger stays.
	Epoch int64
	// Secrets replaces the list of a key's live secrets.
	Secrets []SecretEnd
}

// Epochs answers, for the verifier, whether a token was ended before its
// time.
//
// A driver that keeps epochs beside its keys reads them from the records
// themselves, so that a change and its epoch are one write. Where they live
// in another system than the keys, the caller raises them before it writes
// the change: a raised epoch without its change only forces a new login.
type Epochs interface {
	// With reports whether the given Keys' own writes raise these epochs. If
	// not, callers call Raise first.
	With(keys Keys) bool
	// Read returns the epochs that govern a token. A key that has none, that
	// was deleted, or whose workspace is not the one named, is ErrNotFound:
	// the token must be refused. Epochs of a workspace or instance never
	// raised are 0.
	Read(ctx context.Context, ref TokenRef) (EpochState, error)
	// Raise sets epochs, all or none. It never lowers one. A driver whose
	// With is true for its keys keeps the larger of its record and the mark.
	Raise(ctx context.Context, marks ...Mark) error
	// Revoke ends one token until the given time, when it would have expired
	// anyway. Twice is no error, and the later end stays. now is the caller's
	// clock: it tells the driver how long to keep what it wrote.
	Revoke(ctx context.Context, tokenID string, until, now time.Time) error
}
