package store

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/scope"
)

// Key is an API key's record.
type Key struct {
	// ID is the OAuth client_id: unique in the store, never reused, at most
	// 255 bytes.
	ID string
	// Workspace owns the key and never changes.
	Workspace string
	// Name is what people call the key. Names need not be unique.
	Name string
	// Permissions is the concrete set that the key holds.
	Permissions scope.Set
	// Asked is the set as it was given, wildcards included.
	Asked scope.Set
	// Admin are those of Permissions that an organization admin granted as admin
	// permissions. One that became an admin permission since is none of them.
	Admin scope.Set
	// Secrets are the secrets that open the key, newest last. There may be
	// none: such a key logs nobody in.
	Secrets []Secret
	// NotAfter is the instant from which the key is expired; zero is never.
	NotAfter time.Time
	// NotAfterText is the expiry as it was given when it was a date
	// ("2027-01-31"), else empty.
	NotAfterText string
	// Resources are the resource indicators (RFC 8707) that the key may ask
	// tokens for, besides the server's own audience.
	Resources []string
	// Disabled keys log nobody in until they are enabled.
	Disabled bool
	// CreatedBy made the key.
	CreatedBy ActorRef
	// Depth is how many keys stand between the key and a person: 0 for a key
	// that a person made, 1 for a key that such a key made. It never changes.
	Depth   int
	Created time.Time
	Updated time.Time
	// LastUsed is the time of the last login, written with delay; zero is
	// never.
	LastUsed time.Time
	// Version counts the changes, from 1. Upkeep does not move it.
	Version int64
	// Epoch ends tokens: those issued under another one are refused. Drivers
	// set it (see Epochs) and ignore it on writing.
	Epoch int64
}

// Clone returns a copy that shares nothing changeable with k.
func (k Key) Clone() Key {
	k.Secrets = slices.Clone(k.Secrets)
	k.Resources = slices.Clone(k.Resources)
	return k
}

// Secret is one secret of a key, as a digest.
type Secret struct {
	// ID is unique within the key; a token names the secret it came from.
	ID string
	// Hint is the end of the plaintext, for people to recognise it by.
	Hint string
	// Digest is algorithm$pepper version$digest, or a bcrypt, argon2id or
	// PBKDF2 string of an imported key. It never leaves the server.
	Digest string
	// Prefix is what a generated secret begins with.
	Prefix string
	// CreatedBy made the secret: who created, imported or rotated the key.
	CreatedBy ActorRef
	// Generated says that the secret has 256 random bits of Latchkey's own
	// or, for an imported one, that its importer declared as much.
	Generated bool
	Created   time.Time
	// NotAfter is the instant from which the secret is refused, zero for as
	// long as the key lives. A rotation sets it to the end of the grace.
	NotAfter time.Time
	LastUsed time.Time
}

// ActorRef names who did something, for the record.
type ActorRef struct {
	Kind string // "admin", "owner", "key", "system" or "holder"
	ID   string // the host's id of the person, or the id of the key
}

// Change is what is written together with a record, in the same atomic step.
type Change struct {
	// Events go into the audit log.
	Events []Event
	// Once, unless nil, is a one-time id that the change spends. If it was
	// spent before, the call fails with ErrExists and nothing is written.
	Once *OnceID
	// Now is the caller's clock: what Once is compared with.
	Now time.Time
	// EndTokens raises the epoch of the record that is written, and with it
	// ends every token that was issued under it. See Epochs. Create, Delete and
	// DeleteWorkspace ignore it: a new key has no tokens, and a deletion ends
	// all.
	EndTokens bool
	// If are the records that the decision to write rests on. If one of them
	// has changed since it was read, the call fails with ErrConflict and
	// nothing is written; the caller decides again.
	If []Precondition
}

// Precondition names a record and the version at which it was read. It holds as
// long as the record has that version. The record is the key with the id Key; if
// Key is empty, the settings of Workspace; if both are empty, the settings of the
// instance. No version holds for a key that does not exist or was deleted.
// Settings never saved have version 0. If Key is set, Workspace is ignored.
type Precondition struct {
	Key       string
	Workspace string
	Version   int64
}

// NoLimit lets Keys.Create add keys without bound.
const NoLimit = -1

// Found is what one read at login brings: the key, and the settings it stands
// under, all of the same moment.
type Found struct {
	Key       Key
	Workspace Workspace
	Instance  Instance
}

// Keys stores key records. All methods but Lookup and List take the key's
// workspace into account: a key of another workspace is ErrNotFound.
type Keys interface {
	// Create adds a key with Version 1, whatever k.Version says.
	//
	// Atomic, checked in this order: c.Once already spent is ErrExists; a
	// precondition of c.If that does not hold is ErrConflict; a workspace that
	// was deleted is ErrNotFound; an id that a key or a tombstone holds is
	// ErrExists; a workspace that holds limit keys or more is ErrLimit, unless
	// limit is NoLimit. Every key counts that was not deleted, disabled and
	// expired ones too. Of N concurrent calls under a limit L into an empty
	// workspace exactly min(N, L) succeed; a failed call consumes nothing.
	Create(ctx context.Context, k Key, limit int, c Change) error

	// Lookup reads the key with the given id, from whichever workspace, and
	// the settings around it. Missing or deleted: ErrNotFound. Settings
	// never saved come as zero records with Version 0 (and the workspace's
	// ID and number of keys). An expired or disabled key is found like any
	// other.
	Lookup(ctx context.Context, id string) (Found, error)

	// Update replaces the key and raises its version by one, if the stored
	// version is still k.Version. The stored record keeps Created, CreatedBy,
	// Depth and LastUsed of the key, and Created, CreatedBy, LastUsed, Prefix
	// and Digest of each secret that stays. Only Upkeep.Rehash replaces a
	// digest.
	//
	// Atomic, checked in this order: c.Once already spent is ErrExists; a
	// precondition of c.If that does not hold is ErrConflict; missing, deleted
	// or of another workspace is ErrNotFound; another version is ErrConflict.
	// Of N concurrent calls with one version exactly one succeeds.
	Update(ctx context.Context, k Key, c Change) error

	// Delete removes the key, frees its place under the limit and leaves a
	// tombstone: the id stays taken until Upkeep.Purge. Tokens of the key are
	// refused from then on. at is the time of the deletion. The checks are
	// those of Update; version 0 deletes whatever version is there.
	Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c Change) error

	// List returns one page of keys, and the settings around them as they are
	// when the last key was read or later; see KeyQuery. A workspace without keys
	// gives an empty page and no error.
	List(ctx context.Context, q KeyQuery) (KeyPage, error)
}

// Upkeep is the work on keys that no caller asked for by name. It changes no
// version, writes no event and raises no epoch. Only Rehash sends a notice.
type Upkeep interface {
	// Touch records uses. A use of a key or secret that does not exist any more
	// is skipped; an older time than the stored one changes nothing.
	Touch(ctx context.Context, uses []Use) error
	// Rehash replaces one secret's digest if it is still from. Atomic.
	// Missing key or secret: ErrNotFound; another digest: ErrConflict.
	Rehash(ctx context.Context, keyID, secretID, from, to string) error
	// Purge removes the tombstones of keys deleted before the given time,
	// and returns how many. Their ids may be created again from then on.
	Purge(ctx context.Context, before time.Time) (int, error)
	// Clock returns the time of the store's server, in UTC, or the zero time
	// if the store has no clock but that of the caller's machine. A caller
	// whose own clock differs from it by more than it tolerates must not call
	// Purge, Events.Prune or Usage.Prune.
	Clock(ctx context.Context) (time.Time, error)
}

// Use is one login with one secret of a key.
type Use struct {
	Key    string
	Secret string
	At     time.Time
}
