package policy

import (
	"cmp"
	"context"

	"github.com/latchkey-go/latchkey/store"
)

// Settings applies the settings of administrators to keys that are about to be stored.
// It reads them from the request's Instance and Workspace:
//
//   - While keys are switched off or the workspace is suspended, it denies every
//     request that makes a key usable again or for longer (see KeyRequest.ExtendsLife). In
//     a deleted workspace it denies every request.
//   - While direct use is switched off (store.Instance.DirectOff), it denies a key that
//     would allow it and did not before.
//   - It applies the Rules of both, as EffectiveRules merges them. The rules MaxKeys,
//     RequireExpiry and MaxLifetime are those of the functions with these names.
//
// Settings that were never saved allow everything. Settings does not decide whether a
// stored key is live: StandingOf does.
func Settings() Policy { return KeyFunc(checkSettings) }

func checkSettings(ctx context.Context, r *KeyRequest) error {
	if r.Workspace.Deleted || r.ExtendsLife() {
		if state, text := settingsState(r.Workspace, r.Instance); state != StateActive {
			return &Denied{Rule: "settings." + string(state), Reason: text}
		}
	}
	var policies []Policy
	if r.Instance.DirectOff && r.After.Direct && (r.Before == nil || !r.Before.Direct) {
		policies = append(policies, KeyFunc(denyDirect))
	}
	rules := EffectiveRules(r.Instance, r.Workspace)
	if rules.MaxKeys != 0 {
		policies = append(policies, MaxKeys(rules.MaxKeys))
	}
	if rules.MaxLifetime != 0 {
		policies = append(policies, MaxLifetime(rules.MaxLifetime))
	} else if rules.RequireExpiry {
		policies = append(policies, RequireExpiry())
	}
	err := All(policies...).CheckKey(ctx, r)
	if denied, ok := AsDenied(err); ok {
		denied.Rule = "settings." + denied.Rule
	}
	return err
}

func denyDirect(context.Context, *KeyRequest) error {
	return &Denied{Rule: "direct", Reason: "An administrator has switched off the use of secrets in place of tokens."}
}

// EffectiveRules merges the rules of the instance and of one workspace into the
// rules that apply to the workspace, as store.Rules documents for each field. A
// zero field of the result means no rule. No field is store.Unlimited.
func EffectiveRules(instance store.Instance, workspace store.Workspace) store.Rules {
	rules, own := instance.Rules, workspace.Rules
	rules.MaxKeys = ownOr(own.MaxKeys, rules.MaxKeys)
	rules.KeyRequests = ownOr(own.KeyRequests, rules.KeyRequests)
	rules.WorkspaceRequests = ownOr(own.WorkspaceRequests, rules.WorkspaceRequests)
	rules.RequireExpiry = rules.RequireExpiry || own.RequireExpiry
	if own.MaxLifetime != 0 && (rules.MaxLifetime == 0 || own.MaxLifetime < rules.MaxLifetime) {
		rules.MaxLifetime = own.MaxLifetime
	}
	if earlier(own.EnforcedFrom, rules.EnforcedFrom) {
		rules.EnforcedFrom = own.EnforcedFrom
	}
	return rules
}

// ownOr returns the workspace's own number or, if that is 0, the instance's. Unlimited
// becomes 0.
func ownOr(own, instance int) int {
	if n := cmp.Or(own, instance); n != store.Unlimited {
		return n
	}
	return 0
}
