package store

import (
	"context"
	"time"
)

// Rules is what an administrator changes at run time. In a workspace's record
// a zero field takes the instance's value.
type Rules struct {
	// MaxKeys is how many keys a workspace may hold. 0 is no limit (in a
	// workspace: the instance's), Unlimited is none whatever the instance
	// says.
	MaxKeys int
	// RequireExpiry makes an expiry mandatory. A workspace can add the rule,
	// not lift it.
	RequireExpiry bool
	// MaxLifetime bounds a key's expiry, counted from its newest secret's
	// creation. 0 is no bound. Of two bounds the shorter counts.
	MaxLifetime time.Duration
	// EnforcedFrom says which keys the two expiry rules hold for. Zero: for
	// keys stored from now on. Otherwise from that instant on for every key:
	// a login treats an older one as expired where the rules would not have
	// let it live. Of two instants the earlier counts.
	EnforcedFrom time.Time
}

// Unlimited as Rules.MaxKeys lifts the instance's limit for one workspace.
const Unlimited = -1

// Instance holds the settings of the whole instance that decide about keys: every
// look-up brings it.
type Instance struct {
	// KeysOff ends every login and every creation.
	KeysOff bool
	Rules   Rules
	// Epoch ends tokens: those issued under another one are refused. Drivers
	// set it (see Epochs) and ignore it on writing.
	Epoch   int64
	Updated time.Time
	// Version counts the changes; 0 is: never saved.
	Version int64
}

// MaxReminders is how many times Reminders.Before may hold.
const MaxReminders = 8

// Reminders says when the host is told of keys about to end.
type Reminders struct {
	// Off keeps the host from being told.
	Off bool
	// Before is how long before a key's end the host is told of it: at most
	// MaxReminders times, which whoever saves checks. Empty is: the times that
	// the host chose.
	Before []time.Duration
}

// InstanceSettings is the record of the whole instance's settings. No look-up
// brings its reminders.
type InstanceSettings struct {
	Instance
	Reminders Reminders
}

// Workspace is the record of one workspace's settings and state. The
// workspace itself is the host's; the record comes into being with the first
// change.
type Workspace struct {
	ID        string
	Suspended bool
	// Deleted is final: the id is not used again.
	Deleted bool
	Rules   Rules
	// Epoch is like Instance.Epoch.
	Epoch   int64
	Updated time.Time
	// Version counts the changes; 0 is: never saved.
	Version int64
	// Keys is the number of keys not deleted. Drivers fill it on reading and
	// ignore it on writing.
	Keys int
}

// Settings stores what administrators change, for the instance and for each
// workspace.
type Settings interface {
	// Instance reads the instance's record; never saved, a zero record.
	Instance(ctx context.Context) (InstanceSettings, error)
	// SetInstance replaces the record and raises its version by one, if the
	// stored version is still s.Version (0: none yet). Atomic, checked in
	// this order: c.Once already spent is ErrExists; a precondition of c.If
	// that does not hold, or another version, is ErrConflict.
	SetInstance(ctx context.Context, s InstanceSettings, c Change) error
	// Workspace reads a workspace's record; never saved, a zero record with
	// its ID and number of keys.
	Workspace(ctx context.Context, id string) (Workspace, error)
	// SetWorkspace is SetInstance for one workspace. A deleted workspace is
	// ErrNotFound; only DeleteWorkspace sets Deleted.
	SetWorkspace(ctx context.Context, w Workspace, c Change) error
	// DeleteWorkspace removes all keys of a workspace as Keys.Delete does, sets
	// Deleted in its record and raises its epoch, whatever c.EndTokens says.
	// Atomic, checked in this order: c.Once already spent is ErrExists; a
	// precondition of c.If that does not hold is ErrConflict; deleted already is
	// ErrNotFound. Its events stay.
	DeleteWorkspace(ctx context.Context, id string, at time.Time, c Change) error
}
