package store

import (
	"context"
	"time"
)

// Rules are the limits that an administrator changes at run time. A zero field in a
// workspace's record takes the instance's value.
type Rules struct {
	// MaxKeys is how many keys a workspace may hold. In the instance's record 0
	// means no limit; in a workspace's it means the instance's limit. Unlimited
	// means no limit whatever the instance's record says.
	MaxKeys int `json:"max_keys,omitempty"`
	// RequireExpiry makes an expiry mandatory. A workspace can add the rule but not
	// lift it.
	RequireExpiry bool `json:"require_expiry,omitempty"`
	// MaxLifetime bounds a key's expiry, counted from the creation of its newest
	// secret. 0 means no bound. If both records have one, the shorter applies.
	MaxLifetime time.Duration `json:"max_lifetime,omitempty"`
	// EnforcedFrom is when the two expiry rules begin to apply to keys that are
	// stored already: from then on a login treats a key as expired if the rules
	// would not have allowed it to live so long. Zero means never: the rules apply
	// only to keys stored from now on. If both records have an instant, the earlier
	// applies.
	EnforcedFrom time.Time `json:"enforced_at,omitzero"`
	// KeyRequests and WorkspaceRequests are how many requests a minute one key, and all
	// keys of a workspace together, may send to the routes that the host limits. 0, and
	// Unlimited in a workspace's record, mean the same as for MaxKeys.
	KeyRequests       int `json:"key_requests,omitempty"`
	WorkspaceRequests int `json:"workspace_requests,omitempty"`
}

// Unlimited lifts the instance's limit, as Rules.MaxKeys, KeyRequests or
// WorkspaceRequests of a workspace.
const Unlimited = -1

// Instance holds the settings of the whole instance that decide about keys. Every
// look-up returns them.
type Instance struct {
	// KeysOff makes every login and every creation of a key fail.
	KeysOff bool `json:"keys_off,omitempty"`
	// DirectOff forbids secrets in place of tokens, whatever Key.Direct says.
	DirectOff bool  `json:"direct_off,omitempty"`
	Rules     Rules `json:"rules,omitzero"`
	// Epoch revokes tokens: a token that was issued under another epoch is refused.
	// Drivers set it (see Epochs) and ignore the caller's value.
	Epoch   int64     `json:"-"`
	Updated time.Time `json:"-"`
	// Version rises by one with each change; 0 means never saved.
	Version int64 `json:"-"`
}

// MaxReminders is the largest number of durations in Reminders.Before.
const MaxReminders = 8

// Reminders says when the host is notified of keys that are about to expire.
type Reminders struct {
	// Off turns the notifications off.
	Off bool `json:"off,omitempty"`
	// Before is how long before a key's expiry the host is notified: at most
	// MaxReminders durations, which the caller of SetInstance checks. Empty means
	// the host's defaults.
	Before []time.Duration `json:"before,omitempty"`
}

// InstanceSettings is the record of the whole instance's settings. Look-ups return
// it without its reminders.
type InstanceSettings struct {
	Instance
	Reminders Reminders
}

// Workspace is the record of one workspace's settings and state. The host owns the
// workspace itself. The record is created by the first change.
type Workspace struct {
	ID        string `json:"id"`
	Suspended bool   `json:"suspended,omitempty"`
	// Deleted is final: the id cannot be used again.
	Deleted bool  `json:"deleted,omitempty"`
	Rules   Rules `json:"rules,omitzero"`
	// Epoch is like Instance.Epoch.
	Epoch   int64     `json:"-"`
	Updated time.Time `json:"-"`
	// Version rises by one with each change; 0 means never saved.
	Version int64 `json:"-"`
	// Keys is the number of keys, deleted ones excluded. Drivers set it and ignore
	// the caller's value.
	Keys int `json:"-"`
}

// Settings stores what administrators change, for the instance and for each
// workspace.
type Settings interface {
	// Instance returns the instance's record, or a zero record if it was never
	// saved.
	Instance(ctx context.Context) (InstanceSettings, error)
	// SetInstance replaces the record and raises its version by one, if the
	// stored version is still s.Version (0: none yet). Atomic, checked in
	// this order: c.Once already spent is ErrExists; a precondition of c.Preconditions
	// that does not hold, or another version, is ErrConflict.
	SetInstance(ctx context.Context, s InstanceSettings, c Change) error
	// Workspace returns a workspace's record. If it was never saved, the record is
	// zero but for its ID and number of keys.
	Workspace(ctx context.Context, id string) (Workspace, error)
	// SetWorkspace does for one workspace what SetInstance does for the instance. A
	// deleted workspace is ErrNotFound. Only DeleteWorkspace sets Deleted.
	SetWorkspace(ctx context.Context, w Workspace, c Change) error
	// DeleteWorkspace removes all keys of a workspace as Keys.Delete does, sets
	// Deleted in its record and raises its epoch, whatever c.RevokeTokens says. Its
	// events stay. Atomic, checked in this order: c.Once already spent is
	// ErrExists; a precondition of c.Preconditions that does not hold is ErrConflict; a
	// workspace that was deleted before is ErrNotFound.
	DeleteWorkspace(ctx context.Context, id string, at time.Time, c Change) error
}
