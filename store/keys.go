package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
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

// KeySort is the order of a list.
type KeySort string

// The orders. Ties are broken by id, so that a cursor is stable.
const (
	ByCreated  KeySort = "created" // the default
	ByName     KeySort = "name"    // byte order
	ByLastUsed KeySort = "last_used"
	ByExpiry   KeySort = "expires" // keys that never expire come last
)

// MaxSorted is the number of keys up to which a workspace can be listed by
// last use or expiry.
const MaxSorted = 10_000

// MaxPage is the largest page that a list returns.
const MaxPage = 1000

// PageSize returns the size of a page that a query with the given Limit asks for.
// A limit below 0 or above MaxPage is an error. It is for drivers.
func PageSize(limit int) (int, error) {
	switch {
	case limit < 0 || limit > MaxPage:
		return 0, fmt.Errorf("the limit must be 1 to %d, or 0 for 100", MaxPage)
	case limit == 0:
		return 100, nil
	}
	return limit, nil
}

// KeyQuery selects and orders keys. The zero value lists all of all
// workspaces by creation. Conditions are joined by "and".
//
// A page that starts after a cursor shows each key that existed throughout
// and was not renamed exactly once, in order, however others come and go.
// ByLastUsed and ByExpiry are for one workspace of at most MaxSorted keys
// (else an error that says so), and their cursors follow the value at the
// time of each page.
type KeyQuery struct {
	// Workspace, unless empty, limits the list to one workspace.
	Workspace string
	// Text, unless empty, keeps keys whose name or id contains it, without
	// regard to ASCII case.
	Text string
	// Permission, unless empty, keeps keys that hold it.
	Permission string
	// CreatedBy, unless zero, keeps keys with that maker. An empty Kind
	// matches every kind.
	CreatedBy ActorRef
	// MadeBy, unless empty, keeps keys that the actor with this id created, or
	// that hold a secret which it created, whatever its Kind.
	MadeBy string
	// Disabled, unless nil, keeps keys in that state.
	Disabled *bool
	// NotAfterFrom and NotAfterTo, unless zero, keep keys with
	// NotAfterFrom <= NotAfter < NotAfterTo. A key that never expires has no
	// NotAfter and matches neither.
	NotAfterFrom time.Time
	NotAfterTo   time.Time
	Sort         KeySort
	Descending   bool
	// After, unless nil, starts behind that key of an earlier page.
	After *KeyCursor
	// Limit is the size of the page: 1 to MaxPage; 0 means 100.
	Limit int
}

// KeyCursor is a place in a list: the sorted value and the id of a key.
type KeyCursor struct {
	ID   string
	Time time.Time // ByCreated, ByLastUsed, ByExpiry
	Name string    // ByName
}

// Cursor returns the place of k in a list of this order. It is for drivers.
func (s KeySort) Cursor(k *Key) *KeyCursor {
	c := &KeyCursor{ID: k.ID}
	switch s {
	case ByName:
		c.Name = k.Name
	case ByLastUsed:
		c.Time = k.LastUsed
	case ByExpiry:
		c.Time = k.NotAfter
	default:
		c.Time = k.Created
	}
	return c
}

// Matches reports whether k meets every condition of q. It is for drivers.
func (q *KeyQuery) Matches(k *Key) bool {
	maker, text := q.CreatedBy, lower(q.Text)
	gaveSecret := func(s Secret) bool { return s.CreatedBy.ID == q.MadeBy }
	return (q.Disabled == nil || *q.Disabled == k.Disabled) &&
		(maker == ActorRef{} || maker.ID == k.CreatedBy.ID && (maker.Kind == "" || maker.Kind == k.CreatedBy.Kind)) &&
		(q.MadeBy == "" || q.MadeBy == k.CreatedBy.ID || slices.ContainsFunc(k.Secrets, gaveSecret)) &&
		(q.NotAfterFrom.IsZero() || !k.NotAfter.IsZero() && !k.NotAfter.Before(q.NotAfterFrom)) &&
		(q.NotAfterTo.IsZero() || !k.NotAfter.IsZero() && k.NotAfter.Before(q.NotAfterTo)) &&
		(q.Permission == "" || k.Permissions.Has(q.Permission)) &&
		(text == "" || strings.Contains(lower(k.Name), text) || strings.Contains(lower(k.ID), text))
}

// lower changes ASCII letters only.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// Page puts a page together for a driver that keeps orders by creation and by name, and
// matches keys in Go. read returns the first keys of a query in one of these orders that
// match, in order, up to a number. The settings around the keys are left to the driver.
func (q *KeyQuery) Page(read func(q *KeyQuery, most int) ([]Key, error)) (KeyPage, error) {
	limit, err := PageSize(q.Limit)
	if err != nil {
		return KeyPage{}, err
	}
	var keys []Key
	switch q.Sort {
	case "", ByCreated, ByName:
		// One more than asked for tells whether there is a next page.
		keys, err = read(q, limit+1)
	case ByLastUsed, ByExpiry:
		keys, err = q.sorted(read)
	default:
		err = fmt.Errorf("unknown order %q", q.Sort)
	}
	if err != nil {
		return KeyPage{}, err
	}
	page := KeyPage{Keys: keys[:min(len(keys), limit)]}
	if len(keys) > limit {
		page.Next = q.Sort.Cursor(&keys[limit-1])
	}
	return page, nil
}

// sorted returns all keys of a list by last use or expiry behind the cursor, in order.
func (q *KeyQuery) sorted(read func(q *KeyQuery, most int) ([]Key, error)) ([]Key, error) {
	if q.Workspace == "" {
		return nil, fmt.Errorf("the order %q is for one workspace only", q.Sort)
	}
	keys, err := read(&KeyQuery{Workspace: q.Workspace}, MaxSorted+1)
	if err != nil {
		return nil, err
	}
	if len(keys) > MaxSorted {
		return nil, fmt.Errorf("the order %q is for workspaces of at most %d keys", q.Sort, MaxSorted)
	}
	order := func(a, b Key) int {
		n := cmp.Or(cmp.Compare(sortValue(q.Sort, &a), sortValue(q.Sort, &b)), cmp.Compare(a.ID, b.ID))
		if q.Descending {
			return -n
		}
		return n
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool {
		return !q.Matches(&k) || q.After != nil && order(k, Key{ID: q.After.ID, LastUsed: q.After.Time, NotAfter: q.After.Time}) <= 0
	})
	slices.SortFunc(keys, order)
	return keys, nil
}

// sortValue is what ByLastUsed and ByExpiry compare. A key that never expires
// comes after all that do.
func sortValue(sort KeySort, k *Key) int64 {
	switch {
	case sort == ByLastUsed:
		return k.LastUsed.UnixMicro()
	case k.NotAfter.IsZero():
		return math.MaxInt64
	}
	return k.NotAfter.UnixMicro()
}

// KeyPage is one page of keys. Next is nil on the last page.
type KeyPage struct {
	Keys []Key
	// Workspaces and Instance are the settings that the keys stand under, by the
	// workspace's id, as Lookup brings them. A page without keys has none.
	Workspaces map[string]Workspace
	Instance   Instance
	Next       *KeyCursor
}
