// Package store holds Latchkey's records and the contract a storage driver
// keeps. Package memstore is the reference driver; package storetest proves a
// driver against every rule stated here.
//
// # Rules for every driver
//
//   - A driver keeps records and decides nothing: it answers by the time that
//     the caller passes, checks no permission and computes no expiry. Only these
//     go by the store's own clock, so that a caller with a wrong clock harms no
//     other: epochs, a Limiter that processes share, and garbage collection, which
//     never changes an answer.
//   - Records are copied in and out: a caller may change what it passed or got.
//   - Every method is safe for concurrent use and takes a context first. A
//     context that has ended makes the call return its error with nothing
//     written.
//   - Instants are kept to the microsecond or better and come back in UTC; the
//     zero time comes back as the zero time.
//   - "Atomic" means: all of it or none of it, also across processes, and
//     visible to every later call.
//   - A failure to reach the data is ErrUnavailable, wrapped. No error repeats
//     a digest, a secret or the text of a query.
//   - A record that is not there is ErrNotFound, never a nil error.
package store

import (
	"context"
	"errors"
)

// The errors of the contract. Drivers wrap them with the operation; callers
// test with errors.Is.
var (
	// ErrNotFound: there is no such record, or it belongs to another
	// workspace, or its key was deleted.
	ErrNotFound = errors.New("store: not found")
	// ErrExists: the id is taken, also by a deleted key's tombstone, or the
	// one-time id was spent.
	ErrExists = errors.New("store: already exists")
	// ErrConflict: the record, or one that the decision rests on, changed since
	// it was read.
	ErrConflict = errors.New("store: version conflict")
	// ErrLimit: the workspace holds as many keys as the caller allows.
	ErrLimit = errors.New("store: limit reached")
	// ErrUnavailable: the data could not be reached or was not written for
	// certain; trying again may help.
	ErrUnavailable = errors.New("store: unavailable")
)

// IsOutage reports whether err says that nothing could be decided: it wraps
// ErrUnavailable or the error of an ended context, whatever else it wraps.
func IsOutage(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Store is what a driver hands out.
//
// SigningKeys, Usage and Limiter may come from another driver than the records:
// a host assigns the field, such as Redis's Limiter in the store of a SQL driver. A
// nil field is one that the driver does not offer; code that needs it fails with an
// error that names the field.
type Store struct {
	Records
	SigningKeys SigningKeys
	Usage       Usage
	Limiter     Limiter
	// Cached, unless nil, answers the reads of logins and guards from memory.
	// See package cache.
	Cached Reads
}

// Records are the records of one driver. A change writes several of them in one
// transaction, so a host must not assign one of these fields from another driver. A
// wrapper of the same driver, such as package cache, may replace them.
type Records struct {
	Keys     Keys
	Upkeep   Upkeep
	Settings Settings
	Events   Events
	Epochs   Epochs
	OnceIDs  OnceIDs
	Lists    Lists
	Watch    Watch
}

// Reads are the reads of a login and of a guard of a route. The methods are as
// Keys.Lookup and Epochs.Read.
type Reads interface {
	Lookup(ctx context.Context, id string) (Found, error)
	Read(ctx context.Context, ref TokenRef) (EpochState, error)
}

// Reads returns Cached or, if it is nil, the driver's own.
func (s Store) Reads() Reads {
	if s.Cached != nil {
		return s.Cached
	}
	return reads{s.Keys, s.Epochs}
}

type reads struct {
	keys   Keys
	epochs Epochs
}

func (r reads) Lookup(ctx context.Context, id string) (Found, error) { return r.keys.Lookup(ctx, id) }

func (r reads) Read(ctx context.Context, ref TokenRef) (EpochState, error) {
	return r.epochs.Read(ctx, ref)
}
