package policy

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// State says whether a key is live, and if not, why. Answers of the management API, audit
// events of refused logins and an observe.Decision contain it.
type State string

// The states. If several apply, the one that the key's own record causes comes first:
// disabled, expired, suspended, keys_off.
const (
	StateActive    State = "active"
	StateDisabled  State = "disabled"
	StateExpired   State = "expired"
	StateSuspended State = "suspended" // the workspace is suspended or deleted
	StateKeysOff   State = "keys_off"  // keys are switched off for the whole instance
)

// Standing says whether a key is live at one moment, and when and why it expires. It
// always comes from StandingOf: for logins, introspection, revocation, keys that manage
// keys, reminders, lists and pages.
type Standing struct {
	State State
	// Text says in one sentence why the key is not live. It may be shown to the
	// holder of the key's secret. It is empty for StateActive.
	Text string
	// Expires is the instant from which the key is expired: its own expiry, or an
	// earlier one by the rules. Zero means never.
	Expires time.Time
	// ByRules means that the rules expire the key at Expires, before its own expiry.
	ByRules bool
}

// Live reports whether the key may be used.
func (s Standing) Live() bool { return s.State == StateActive }

// StandingOf decides whether a key is live under the settings of its workspace and of
// the instance. It uses the settings as given: a caller that has defaults for settings
// that were never saved must fill them in first. It does not ask the host about the
// workspace (apikey.Config.Workspaces), and calls no policies.
func StandingOf(k *store.Key, w store.Workspace, instance store.Instance, now time.Time) Standing {
	var s Standing
	s.Expires = expiryUnder(k, EffectiveRules(instance, w))
	s.ByRules = earlier(s.Expires, k.NotAfter)
	switch {
	case k.Disabled:
		s.State, s.Text = StateDisabled, "This API key is disabled."
	case s.Expires.IsZero() || now.Before(s.Expires):
		s.State, s.Text = settingsState(w, instance)
	case s.ByRules:
		s.State, s.Text = StateExpired, "This API key has expired under the rules of this service."
	default:
		s.State, s.Text = StateExpired, "This API key has expired."
	}
	return s
}

// settingsState returns the state, and its text, of a key that is neither disabled nor
// expired.
func settingsState(w store.Workspace, instance store.Instance) (State, string) {
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

// expiryUnder returns the instant from which k is expired under rules, which come from
// EffectiveRules; zero means never. Without EnforcedFrom it is the key's own expiry. With
// EnforcedFrom, MaxLifetime, counted from LifetimeStart, can expire the key earlier.
// Without a MaxLifetime, RequireExpiry expires a key that has no expiry at EnforcedFrom.
// The rules never expire a key before EnforcedFrom.
func expiryUnder(k *store.Key, rules store.Rules) time.Time {
	if rules.EnforcedFrom.IsZero() {
		return k.NotAfter
	}
	bound := time.Time{}
	switch {
	case rules.MaxLifetime != 0:
		bound = LifetimeStart(k, rules.MaxLifetime).Add(rules.MaxLifetime)
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

// earlier reports whether expiry a is before expiry b, where zero means never.
func earlier(a, b time.Time) bool {
	return !a.IsZero() && (b.IsZero() || a.Before(b))
}
