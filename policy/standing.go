package policy

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// State says whether a key is live. Its text is what answers, events and
// Observations name.
type State string

// The states. Of several that hold the first in this order is the state: what
// the key's own record says, then what stops all keys around it.
const (
	StateActive    State = "active"
	StateDisabled  State = "disabled"
	StateExpired   State = "expired"
	StateSuspended State = "suspended" // its workspace, also if that was deleted
	StateKeysOff   State = "keys_off"  // all keys of the instance
)

// Standing is whether a key is live at one moment, when it ends and why. It is
// decided by StandingOf alone: for logins, for introspection and revocation,
// for keys that manage keys, for reminders, and for all that shows keys.
type Standing struct {
	State State
	// Text says why the key is not live, in one sentence for whoever holds its
	// secret; empty if it is StateActive.
	Text string
	// Ends is the instant from which the key is expired: its own expiry, or
	// what the rules make of it if that is earlier. Zero is never.
	Ends time.Time
	// ByRules says that the rules end the key at Ends, before its own expiry.
	ByRules bool
}

// Live reports whether the key may be used.
func (s Standing) Live() bool { return s.State == StateActive }

// StandingOf decides on a key under the settings around it. Settings that were
// never saved are as they are: a caller with defaults of its own puts them in.
// It does not know what a host says of a workspace (apikey.Config.Workspaces)
// nor what policies say of a login.
func StandingOf(k *store.Key, w store.Workspace, instance store.Instance, now time.Time) Standing {
	var s Standing
	s.Ends = endsAt(k, EffectiveRules(instance, w))
	s.ByRules = earlier(s.Ends, k.NotAfter)
	switch {
	case k.Disabled:
		s.State, s.Text = StateDisabled, "This API key is disabled."
	case s.Ends.IsZero() || now.Before(s.Ends):
		s.State, s.Text = around(w, instance)
	case s.ByRules:
		s.State, s.Text = StateExpired, "This API key has expired under the rules of this service."
	default:
		s.State, s.Text = StateExpired, "This API key has expired."
	}
	return s
}

// around is the state that a workspace's keys have whatever their own records
// say.
func around(w store.Workspace, instance store.Instance) (State, string) {
	switch {
	case w.Deleted:
		return StateSuspended, "The workspace of this API key was deleted."
	case w.Suspended:
		return StateSuspended, "The workspace of this API key is suspended."
	case instance.KeysOff:
		return StateKeysOff, "API keys are switched off."
	}
	return StateActive, ""
}
