package store

import (
	"context"
	"time"
)

// Ring is the set of sealed signing keys that all replicas share.
type Ring struct {
	Keys []SigningKey
	// Version counts the changes; 0 is: never saved.
	Version int64
}

// SigningKey is one private key, sealed: the store never sees it in clear.
type SigningKey struct {
	ID        string // the kid
	Algorithm string // "ES256" ...
	Sealed    []byte
	// SealKey names the version of the key that sealed it, and SealFingerprint
	// distinguishes two keys of one version.
	SealKey         int
	SealFingerprint string
	Created         time.Time
	NotBefore       time.Time // signs from here
	NotAfter        time.Time // signs until here; zero: it has no successor yet
	Retire          time.Time // is published until here; zero like NotAfter
}

// SigningKeys stores the ring.
type SigningKeys interface {
	// Durable reports whether the ring outlives the process.
	Durable() bool
	// Ring reads the ring; never saved, a zero record.
	Ring(ctx context.Context) (Ring, error)
	// SetRing replaces the ring and raises its version by one, if the stored
	// version is still r.Version; otherwise ErrConflict. Atomic: of N
	// concurrent calls with one version exactly one succeeds.
	SetRing(ctx context.Context, r Ring) error
}

// OnceID is an id that is spent at most once within its time: an idempotency
// key, a form's id, an assertion's jti.
type OnceID struct {
	// Space separates ids of different purposes and owners.
	Space string
	ID    string
	// Value is kept for Find, such as the id of the key that was made.
	Value string
	// Expires is when the id may be spent again.
	Expires time.Time
}

// OnceIDs spends one-time ids.
type OnceIDs interface {
	// Spend records the id. If the same one was spent and does not expire at
	// or before now: ErrExists. Atomic: of N concurrent calls exactly one
	// succeeds.
	Spend(ctx context.Context, id OnceID, now time.Time) error
	// Find reads an id that was spent and has not expired; else ErrNotFound.
	Find(ctx context.Context, space, id string, now time.Time) (OnceID, error)
}

// Count adds to the counters of one key and day.
type Count struct {
	Workspace string
	Key       string
	Day       time.Time // any instant of the day, UTC
	Logins    int64
	Refusals  int64
}

// Usage keeps how often keys were used, by day.
type Usage interface {
	// Add adds each count to what is there.
	Add(ctx context.Context, counts []Count) error
	// Days returns a key's counts with from <= day < to, oldest first, days
	// without any left out. Day is midnight UTC.
	Days(ctx context.Context, workspace, key string, from, to time.Time) ([]Count, error)
	// Prune removes days before the given time and returns how many.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// Limiter counts attempts, for policies and budgets that hold across
// processes.
type Limiter interface {
	// Advance moves the theoretical arrival time kept under id (at least
	// now) by the given step, if it then lies no more than window ahead of
	// now. It returns how far the arrival lies ahead of now after the call, and
	// whether it moved. Atomic: of N concurrent calls at one instant exactly
	// window/by move it, when it divides. A step of 0 only reads. What is kept
	// may be forgotten once it is past.
	//
	// A limiter that several processes share goes by its server's clock and
	// ignores now, so that processes whose clocks differ are treated alike. One
	// within a process goes by now.
	//
	// A stored time that is more than one window ahead of now, because a clock
	// was ahead or has been set back, counts as one window ahead, and is stored
	// so. So no id is refused for longer than a window. If it is at most a
	// second more, it is not stored so: a call that comes late must not give back
	// what others used. All calls with one id must pass the same window.
	Advance(ctx context.Context, id string, now time.Time, by, window time.Duration) (ahead time.Duration, moved bool, err error)
}

// ListName names one of the lists of keys that a host configures. The store
// records no seal keys: the ring names those that are in use.
type ListName string

// The lists.
const (
	Signers        ListName = "signers"
	Peppers        ListName = "peppers"
	SecretPrefixes ListName = "secret_prefixes"
)

// ListEntry is an entry of a host's list that is in use: something that was made
// with it has not expired.
type ListEntry struct {
	List ListName
	// Name is the id of a signer, the version of a pepper, or a prefix.
	Name string
	// Fingerprint distinguishes two keys of one name. It reveals nothing of the
	// key.
	Fingerprint string
	// Until is when the last of what was made with the entry expires; zero:
	// not before Forget.
	Until time.Time
}

// Lists records which entries of the host's lists are in use, so that a process
// that starts without one of them can say so.
type Lists interface {
	// Entries returns what was recorded, in the byte order of list and name.
	Entries(ctx context.Context) ([]ListEntry, error)
	// Record adds entries, all or none. One that is there keeps the later
	// Until, of which zero is the latest; with another fingerprint it is
	// ErrConflict.
	Record(ctx context.Context, entries ...ListEntry) error
	// Forget removes an entry. One that is not there is ErrNotFound.
	Forget(ctx context.Context, list ListName, name string) error
}

// Notice says that something changed.
type Notice struct {
	// Sequence rises by one with each notice of a stream; a gap means that
	// one was lost. A heartbeat repeats that of the last change, whether or
	// not its notice arrived, so that the loss of the last one shows too.
	Sequence uint64
	Kind     NoticeKind
	// Workspace and Key name what changed; either may be empty.
	Workspace string
	Key       string
	// Token is the id (jti) of the token that was revoked.
	Token string
}

// HeartbeatEvery is how long a stream of notices is silent at most, in real
// time, as long as its driver reaches its data.
const HeartbeatEvery = 200 * time.Millisecond

// NoticeKind says what changed.
type NoticeKind uint8

// The kinds of notice.
const (
	NoticeHeartbeat NoticeKind = iota
	NoticeKey
	NoticeWorkspace
	NoticeInstance
	NoticeSigningKeys
	NoticeToken
)

// Watch streams the changes made through any process.
type Watch interface {
	// Watch calls ready once it listens, then notice for each change
	// committed after that, one call at a time, until ctx ends or the stream
	// breaks; it returns why. The first notice after ready is a heartbeat, so
	// that a gap shows from the start; further ones follow as HeartbeatEvery
	// says. The change that a notice is about can be read by then.
	Watch(ctx context.Context, ready func(), notice func(Notice)) error
}
