package store

import (
	"context"
	"time"
)

// ListName names a list that a host configures: of signers, peppers or secret prefixes.
// Seal keys have no list here: the signing keys in the Ring say which are in use.
type ListName string

// The lists.
const (
	Signers        ListName = "signers"
	Peppers        ListName = "peppers"
	SecretPrefixes ListName = "secret_prefixes"
)

// ListEntry is an entry of a host's list that was used. It is in use until Until:
// something that was made with it has not expired yet.
type ListEntry struct {
	List ListName
	// Name is the id of a signer, the version of a pepper, or a prefix.
	Name string
	// Fingerprint distinguishes two keys of one name. It reveals nothing about
	// the key.
	Fingerprint string
	// Until is when the last thing made with the entry expires. Zero means never.
	// Drivers keep the entry after it, until Forget: readers skip an entry whose
	// Until has passed.
	Until time.Time
}

// HostLists records which entries of the host's lists were used, and until when they are in
// use. A process that starts without one that is in use can then report it.
type HostLists interface {
	// Entries returns all recorded entries, also those whose Until has passed, sorted
	// by list and name in byte order.
	Entries(ctx context.Context) ([]ListEntry, error)
	// Record adds entries, all or none. For an entry that exists, the later Until
	// is kept, and zero is the latest. An entry that exists with another
	// fingerprint is ErrConflict, whatever its Until.
	Record(ctx context.Context, entries ...ListEntry) error
	// Forget removes an entry. If there is none, the error is ErrNotFound.
	Forget(ctx context.Context, list ListName, name string) error
}
