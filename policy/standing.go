package policy

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// State says whether a key is live. Its text is what answers, events and
// Observations name.
type State string

// The states, in the order in which they are decided: what the key's own record says
// comes before what stops all keys of its workspace or of the instance.
const (
	StateActive    State = "active"
	StateDisabled  State = "disabled"
	StateExpired   State = "expired"
	StateSuspended State = "suspended" // its workspace, also if that was deleted
	StateKeysOff   State = "keys_off"  // all keys of the instance
)

// Standing is whether a key is live at one moment, when it ends and why. It is
// decided by StandingOf alone: for logins, introspection, revocation, keys that manage
// keys, reminders, lists and pages.
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

// StandingOf decides whether a key is live under the settings of its workspace and of
// the instance. It takes settings as they are: a caller that has defaults for settings
// never saved puts them in first. It does not ask the host about the workspace
// (apikey.Config.Workspaces), nor policies about a login.
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

// around is the state of all keys of a workspace whose own records do not stop them,
// and its text.
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

// endsAt returns the instant from which k is expired under rules, as EffectiveRules
// returns them; zero is never. Without EnforcedFrom that is the key's own expiry. With it
// MaxLifetime, counted from the newest secret, can end the key earlier; without a
// MaxLifetime, RequireExpiry ends a key that has no expiry at EnforcedFrom. The rules
// never end a key before EnforcedFrom.
func endsAt(k *store.Key, rules store.Rules) time.Time {
	if rules.EnforcedFrom.IsZero() {
		return k.NotAfter
	}
	bound := time.Time{}
	switch {
	case rules.MaxLifetime != 0:
		bound = NewestSecret(k).Add(rules.MaxLifetime)
	case rules.RequireExpiry && k.NotAfter.IsZero():
		bound = rules.EnforcedFrom
	}
	if !bound.IsZero() && bound.Before(rules.EnforcedFrom) {
		bound = rules.EnforcedFrom
	}
	if earlier(bound, k.NotAfter) {
		return bound
	}
	return k.NotAfter
}

// earlier reports whether expiry a ends a key before expiry b, where zero is
// never.
func earlier(a, b time.Time) bool {
	return !a.IsZero() && (b.IsZero() || a.Before(b))
}
