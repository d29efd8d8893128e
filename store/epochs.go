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
	// Epochs are those of the instance, the workspace and the key under which
	// the token was issued. Drivers ignore them. A cache compares them: if one is
	// higher than what it holds, it reads the store again.
	Epochs [3]int64
}

// EpochState is what a token is compared with. A token is revoked if one of
// its epochs differs from these, lower or higher.
type EpochState struct {
	Instance  int64
	Workspace int64
	Key       int64
	// InstanceVersion is the version of the instance's settings. 0: never saved,
	// so that a host's defaults hold.
	InstanceVersion int64
	// SecretKnown says that the key still has the secret; if not, the token
	// is revoked.
	SecretKnown bool
	// SecretNotAfter is the instant from which the secret, and with it the
	// token, is expired; zero: none.
	SecretNotAfter time.Time
	// Revoked says that this very token was revoked.
	Revoked bool
}

// Epochs answers, for the verifier, whether a token was revoked.
//
// Every key has an epoch, and so have each workspace and the instance. Drivers
// keep them in the records and raise them in the same write as the change that
// asks for it (Change.EndTokens): to the larger of one more than before and the
// store's clock in microseconds since 1970. So an epoch from before a backup was
// restored never comes back. A new key begins with the store's clock; a
// workspace or instance whose epoch was never raised has 0.
type Epochs interface {
	// Read returns what a token is compared with, all of one moment. A key
	// that does not exist, that was deleted, or whose workspace is not the one
	// named, is ErrNotFound: the token must be refused. A server that may lag
	// behind the one that takes writes is ErrUnavailable.
	Read(ctx context.Context, ref TokenRef) (EpochState, error)
	// Revoke ends one token. until is when the token expires, by the same clock
	// as now, which is the caller's: the driver need not keep the revocation any
	// longer. Twice is no error, and the later end stays.
	Revoke(ctx context.Context, tokenID string, until, now time.Time) error
}
