// Package store defines Latchkey's records and the contract of a storage driver.
// Package memstore is the reference driver. Package storetest tests a driver against
// every rule stated here.
//
// # Rules for every driver
//
//   - A driver stores records and decides nothing: it uses the time that the
//     caller passes, checks no permission and computes no expiry. Three things use
//     the store's own clock instead, so that a caller with a wrong clock harms no
//     other: epochs, a Limiter that processes share, and the removal of what has
//     expired, such as one-time ids. (The drivers of this module keep it for at least ten
//     minutes more, for callers whose clocks run behind.) Prune and Purge go by the
//     caller's time.
//   - Records are copied in and out: a caller may change what it passed or got.
//   - Every method is safe for concurrent use and takes a context first. If
//     the context has ended, a call returns its error and writes nothing.
//   - Times are stored to the microsecond or better and returned in UTC. The zero
//     time is returned as the zero time.
//   - "Atomic" means: all of it or none of it, also across processes, and
//     visible to every later call.
//   - A failure to reach the data is ErrUnavailable, wrapped. No error contains a
//     digest, a secret or the text of a query.
//   - A missing record is ErrNotFound, never a nil error. Settings and the Ring are
//     different: if they were never saved, they are zero records with Version 0.
//
// The JSON names of records are those of the lines that package oauth/backup writes.
// Fields that a backup does not hold are not in the JSON.
package store

import (
	"context"
	"errors"
	"fmt"
)

// The errors of the contract. Drivers wrap them with the operation; callers
// test with errors.Is.
var (
	// ErrNotFound: there is no such record, or it belongs to another
	// workspace, or its key or its workspace was deleted.
	ErrNotFound = errors.New("store: not found")
	// ErrExists: the id belongs to a key or to the tombstone of a deleted key, or
	// the one-time id was spent before.
	ErrExists = errors.New("store: already exists")
	// ErrCredentialExists: another key has a credential with this id. It wraps ErrExists.
	ErrCredentialExists = fmt.Errorf("%w: another key has a credential with this id", ErrExists)
	// ErrConflict: the record, or a record that the decision was based on, changed
	// since it was read. For Rehash: the secret has another digest. For
	// HostLists.Record: the entry has another fingerprint.
	ErrConflict = errors.New("store: conflict with the stored record")
	// ErrLimit: the workspace holds as many keys as the caller allows.
	ErrLimit = errors.New("store: limit reached")
	// ErrUnavailable: the data could not be reached, or it is uncertain whether it
	// was written. Trying again may help.
	ErrUnavailable = errors.New("store: unavailable")
)

// IsOutage reports whether err means that nothing could be decided: it wraps
// ErrUnavailable, context.DeadlineExceeded or context.Canceled, whatever else it
// wraps.
func IsOutage(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Store is what a driver returns to the host.
//
// SigningKeys, Usage and Limiter may come from another driver than the records: a
// host may assign these fields, for example Redis's Limiter in the store of a SQL
// driver. A driver leaves a field nil if it does not offer it; code that needs the
// field fails with an error that names it.
type Store struct {
	Records
	SigningKeys SigningKeys
	Usage       Usage
	Limiter     Limiter
	// Cached, unless nil, answers the reads of logins and guards from memory. See
	// package cache.
	Cached Reads
}

// Records are the parts of a store that must come from one driver, because a change
// writes to several of them in one transaction. A host must not assign a field from
// another driver. A wrapper of the same driver, such as package cache, may replace
// fields.
type Records struct {
	Keys       Keys
	Secrets    Secrets
	Workspaces Workspaces
	Upkeep     Upkeep
	Settings   Settings
	Events     Events
	Epochs     Epochs
	OnceIDs    OnceIDs
	HostLists  HostLists
	Watch      Watch
}

// Reads are the reads of a login and of a route's guard. The methods behave as
// Keys.Lookup, Secrets.LookupSecret and Epochs.Read do, except that several callers
// may get the same slices: a caller must not change them. Those of Store.Cached may
// also return records that are outdated by now; package cache says for how long.
type Reads interface {
	Lookup(ctx context.Context, id string) (Found, error)
	LookupSecret(ctx context.Context, secretID string) (Found, error)
	Read(ctx context.Context, ref TokenRef) (EpochState, error)
}

// Reads returns Cached or, if it is nil, the driver's own.
func (s Store) Reads() Reads {
	if s.Cached != nil {
		return s.Cached
	}
	return reads{s.Keys, s.Secrets, s.Epochs}
}

// reads has the methods Lookup, LookupSecret and Read of the driver.
type reads struct {
	Keys
	Secrets
	Epochs
}
