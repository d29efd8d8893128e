package policy

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Settings applies what administrators set at run time, read from the
// request's Instance and Workspace:
//
//   - While keys are switched off or the workspace is suspended, no request
//     may let a key live anew or longer (see KeyRequest.Prolongs) and no token
//     is issued; in a deleted workspace nothing passes.
//   - The Rules of both, as EffectiveRules merges them. MaxKeys is the rule of
//     the function MaxKeys, RequireExpiry and MaxLifetime are those of the
//     functions with these names. With EnforcedFrom set, a login treats a key
//     as expired from EndsAt on, and no token outlives that.
//
// Records never saved allow everything.
func Settings() Policy { return settings{} }

type settings struct{}

func (settings) CheckKey(_ context.Context, r *KeyRequest) error {
	if r.Workspace.Deleted || r.Prolongs() {
		if err := standing(r.Instance, r.Workspace); err != nil {
			return err
		}
	}
	rules := EffectiveRules(r.Instance, r.Workspace)
	if rules.MaxKeys != 0 {
		if err := limitKeys(r, "settings.max_keys", rules.MaxKeys); err != nil {
			return err
		}
	}
	if rules.MaxLifetime != 0 {
		return boundLifetime(r, "settings.max_lifetime", rules.MaxLifetime)
	}
	if rules.RequireExpiry {
		return requireExpiry(r, "settings.require_expiry")
	}
	return nil
}

func (settings) CheckToken(_ context.Context, r *TokenRequest) error {
	if err := standing(r.Instance, r.Workspace); err != nil {
		return err
	}
	end, ends := EndsAt(r.Key, EffectiveRules(r.Instance, r.Workspace))
	if !ends {
		return nil
	}
	if !r.Now.Before(end) {
		return &Denied{
			Rule:    "settings.expiry",
			Reason:  "This key has expired under the rules of this service.",
			Expired: true,
		}
	}
	r.ShortenTo(end)
	return nil
}

// standing denies where keys are off as a whole.
func standing(instance store.Instance, workspace store.Workspace) error {
	switch {
	case workspace.Deleted:
		return &Denied{Rule: "settings.deleted", Reason: "This workspace was deleted."}
	case instance.KeysOff:
		return &Denied{Rule: "settings.keys_off", Reason: "API keys are switched off on this service."}
	case workspace.Suspended:
		return &Denied{Rule: "settings.suspended", Reason: "This workspace is suspended."}
	}
	return nil
}

// EffectiveRules merges the rules of the instance and of one workspace into
// those that hold there, as store.Rules documents each field. In the result a
// zero field is no rule; MaxKeys is never store.Unlimited.
func EffectiveRules(instance store.Instance, workspace store.Workspace) store.Rules {
	rules, own := instance.Rules, workspace.Rules
	if own.MaxKeys != 0 {
		rules.MaxKeys = own.MaxKeys
	}
	if rules.MaxKeys == store.Unlimited {
		rules.MaxKeys = 0
	}
	rules.RequireExpiry = rules.RequireExpiry || own.RequireExpiry
	if own.MaxLifetime != 0 && (rules.MaxLifetime == 0 || own.MaxLifetime < rules.MaxLifetime) {
		rules.MaxLifetime = own.MaxLifetime
	}
	if earlier(own.EnforcedFrom, rules.EnforcedFrom) {
		rules.EnforcedFrom = own.EnforcedFrom
	}
	return rules
}

// EndsAt returns the instant from which logins treat k as expired under
// rules (of EffectiveRules), and false if there is none. That is the key's
// own expiry or, where rules are enforced on every key, what comes first of
// it and the longest life counted from its newest secret; a key that needs an
// expiry, has none and knows no longest life ends with the enforcement. The
// rules never end a key before EnforcedFrom.
func EndsAt(k *store.Key, rules store.Rules) (time.Time, bool) {
	end := k.NotAfter
	if !rules.EnforcedFrom.IsZero() {
		bound := time.Time{}
		switch {
		case rules.MaxLifetime != 0:
			bound = NewestSecret(k).Add(rules.MaxLifetime)
		case rules.RequireExpiry && end.IsZero():
			bound = rules.EnforcedFrom
		}
		if !bound.IsZero() && bound.Before(rules.EnforcedFrom) {
			bound = rules.EnforcedFrom
		}
		if earlier(bound, end) {
			end = bound
		}
	}
	return end, !end.IsZero()
}
