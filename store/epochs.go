package store

import (
	"context"
	"time"
)

// TokenRef identifies a token. The fields are taken from the token's claims.
type TokenRef struct {
	Workspace  string
	Key        string
	Credential string // the id of the credential that was exchanged
	TokenID    string // the jti
	// Epochs are the epochs of the instance, the workspace and the key, in this
	// order, when the token was issued. Drivers ignore them. A cache compares them:
	// if one is higher than the cached epoch, it reads the store again.
	Epochs [3]int64
}

// EpochState is the stored state that a verifier compares a token with. A token is
// revoked if one of its epochs differs from the stored one, lower or higher.
type EpochState struct {
	Instance  int64
	Workspace int64
	Key       int64
	// InstanceVersion is the version of the instance's settings. 0 means that they
	// were never saved: the host's defaults apply.
	InstanceVersion int64
	// CredentialKnown reports whether the key still has the credential. If not, the token
	// is revoked.
	CredentialKnown bool
	// CredentialNotAfter is when the credential expires, and the token with it. Zero means
	// never.
	CredentialNotAfter time.Time
	// Revoked reports whether this token was revoked by Epochs.Revoke.
	Revoked bool
}

// Epochs reads and writes what decides whether a token was revoked.
//
// Each key, each workspace and the instance has an epoch. Drivers keep it in the
// record. They raise it in the same write as a change that asks for it
// (Change.RevokeTokens), to the larger of the old epoch plus one and the store's clock
// in microseconds since 1970. So after a backup is restored, no raised epoch equals one
// from before. A new key's epoch is the store's clock. The epoch of a workspace or of the
// instance is 0 until it is first raised.
type Epochs interface {
	// Read returns the state to compare a token with, all as of one moment.
	// ErrNotFound means that the token must be refused: its key does not exist, was
	// deleted or belongs to another workspace. If the driver can only reach a database
	// server that may lag behind the one that takes writes, it returns ErrUnavailable.
	Read(ctx context.Context, ref TokenRef) (EpochState, error)
	// Revoke revokes one token. until is when the token expires, and now is the
	// caller's time, by the same clock. The driver may drop the revocation once it
	// is no longer needed, after until. To revoke a token twice is no error; the
	// later until is kept.
	Revoke(ctx context.Context, tokenID string, until, now time.Time) error
}
