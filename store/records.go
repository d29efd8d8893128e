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

// OnceID is an id that can be spent once until it expires: an idempotency key, a
// form's id, the jti of an assertion.
type OnceID struct {
	// Space separates ids of different purposes and owners.
	Space string
	ID    string
	// Value is stored with the id, such as the id of the key that was created.
	Value string
	// Expires is when the id may be spent again.
	Expires time.Time
}

// OnceIDs stores one-time ids.
type OnceIDs interface {
	// Spend records the id. If it was spent before and expires after now, the error
	// is ErrExists. Atomic: of N concurrent calls exactly one succeeds.
	Spend(ctx context.Context, id OnceID, now time.Time) error
	// Find returns an id that was spent and has not expired, else ErrNotFound.
	Find(ctx context.Context, space, id string, now time.Time) (OnceID, error)
}

// Count is the number of logins and refusals of one key on one day.
type Count struct {
	Workspace string
	Key       string
	Day       time.Time // any instant of the day, UTC
	Logins    int64
	Refusals  int64
}

// Usage counts logins and refusals by key and day.
type Usage interface {
	// Add adds each count to the stored one.
	Add(ctx context.Context, counts []Count) error
	// ByDay returns a key's counts with from <= day < to, oldest first. Days without
	// counts are left out. Day is midnight UTC.
	ByDay(ctx context.Context, workspace, key string, from, to time.Time) ([]Count, error)
	// Prune removes days before the given time and returns how many.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// Limiter counts attempts, for rate limits that hold across processes.
type Limiter interface {
	// Advance is the generic cell rate algorithm. It moves the theoretical arrival
	// time of id (at least now) by step if the result is at most window ahead of
	// now. It returns how far the arrival time is ahead of now after the call, and
	// whether it moved. Atomic: of N concurrent calls at one instant exactly
	// window/step move it, if step divides window. A step of 0 only reads. A
	// limiter may drop an arrival time that has passed.
	//
	// A limiter that several processes share uses its server's clock and ignores
	// now, so that different clocks of the processes do not matter. A limiter
	// within one process uses now.
	//
	// A stored arrival time can be more than one window ahead of now, because a
	// clock was ahead or was set back. It then counts as one window ahead, so that
	// no id is refused for longer than a window, and the stored time is lowered to
	// that. If the excess is at most a second, the stored time is not lowered: a
	// late call must not give back what others used. All calls with one id must
	// pass the same window.
	Advance(ctx context.Context, id string, now time.Time, step, window time.Duration) (ahead time.Duration, moved bool, err error)
}

// ListName names a list of keys that a host configures. Seal keys have no list
// here: the ring says which of them are in use.
type ListName string

// The lists.
const (
	Signers        ListName = "signers"
	Peppers        ListName = "peppers"
	SecretPrefixes ListName = "secret_prefixes"
)

// ListEntry is an entry of a host's list that is in use: something that was made
// with it has not expired yet.
type ListEntry struct {
	List ListName
	// Name is the id of a signer, the version of a pepper, or a prefix.
	Name string
	// Fingerprint distinguishes two keys of one name. It reveals nothing about
	// the key.
	Fingerprint string
	// Until is when the last thing made with the entry expires. Zero means never:
	// the entry stays until Forget.
	Until time.Time
}

// HostLists records which entries of the host's lists are in use. A process that starts
// without one of them can then report it.
type HostLists interface {
	// Entries returns the recorded entries, sorted by list and name in byte order.
	Entries(ctx context.Context) ([]ListEntry, error)
	// Record adds entries, all or none. For an entry that exists, the later Until
	// is kept, and zero is the latest. An entry that exists with another
	// fingerprint is ErrConflict.
	Record(ctx context.Context, entries ...ListEntry) error
	// Forget removes an entry. If there is none, the error is ErrNotFound.
	Forget(ctx context.Context, list ListName, name string) error
}

// Notification says that a record changed, or, as a heartbeat, that the stream works.
type Notification struct {
	// Sequence rises by one with each notification of a stream but heartbeats, so a gap
	// means that a notification was lost. A heartbeat has the number of the last change,
	// so that the loss of the last notification shows, too.
	Sequence uint64
	Kind     NotificationKind
	// Workspace and Key name what changed; either may be empty.
	Workspace string
	Key       string
	// Token is the id (jti) of the token that was revoked.
	Token string
}

// HeartbeatEvery is the longest pause in a stream of notifications, in real time, while
// its driver reaches the data.
const HeartbeatEvery = 200 * time.Millisecond

// NotificationKind is what changed.
type NotificationKind uint8

// The kinds of notification.
const (
	NotificationHeartbeat NotificationKind = iota
	NotificationKey
	NotificationWorkspace
	NotificationInstance
	NotificationSigningKeys
	NotificationToken
)

// Watch streams notifications of the changes made by any process.
type Watch interface {
	// Watch calls ready once it listens. It then calls notify for each change that
	// is committed after that, one call at a time, until ctx ends or the stream
	// breaks, and returns the reason. The first notification after ready is a heartbeat,
	// so that a gap shows from the start; further heartbeats come as HeartbeatEvery
	// says. When notify is called, the change can be read.
	Watch(ctx context.Context, ready func(), notify func(Notification)) error
}

// Follow calls w.Watch until ctx ends. When the stream breaks, it calls broke with the
// reason and opens the stream again, after pauses of 50 milliseconds to 2 seconds. Until
// the stream is open again, it does not call broke again. ready and notify are as
// for Watch.
func Follow(ctx context.Context, w Watch, ready func(), notify func(Notification), broke func(error)) {
	const shortest, longest = 50 * time.Millisecond, 2 * time.Second
	pause, open := shortest, true
	for {
		err := w.Watch(ctx, func() {
			pause, open = shortest, true
			ready()
		}, notify)
		if ctx.Err() != nil {
			return
		}
		if open {
			broke(err)
		}
		open = false
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, longest)
	}
}
