package store

import (
	"context"
	"time"
)

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

// Watch streams notifications of the changes made by any process. Each of these calls
// sends one if it wrote: Create, Update and Delete of Keys, and Rehash
// (NotificationKey); SetWorkspace and DeleteWorkspace (NotificationWorkspace; there is none
// for each key); SetInstance (NotificationInstance); SetRing (NotificationSigningKeys, and
// none if Store.SigningKeys comes from another driver); Epochs.Revoke
// (NotificationToken). RecordUses, Purge, and all writes of Events, OnceIDs, HostLists,
// Usage and Limiter send none.
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
