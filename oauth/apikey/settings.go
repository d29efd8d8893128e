package apikey

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// Settings returns the instance's saved settings, or the defaults of Options, with
// Version 0, if none were saved. For an organization admin, and a key with
// Management.ReadSettings, SaveSettings or SuspendWorkspaces.
func (s *Service) Settings(ctx context.Context, actor Actor) (store.InstanceSettings, error) {
	if _, err := s.mayAdminister(ctx, actor, actReadSettings); err != nil {
		return store.InstanceSettings{}, err
	}
	return s.instance(ctx)
}

// SaveSettings replaces the instance's settings. Version must be the one that
// Settings returned; otherwise the error is store.ErrConflict. It revokes all
// tokens if it switches keys off or makes an expiry rule stricter, since the rule
// may apply to existing keys; keys that may still log in get new tokens. A call
// that changes nothing writes nothing, unless settings were never saved. For an
// organization admin, and a key with Management.SaveSettings.
func (s *Service) SaveSettings(ctx context.Context, actor Actor, wanted store.InstanceSettings) (store.InstanceSettings, error) {
	return s.alterInstance(ctx, actor, audit.Settings, func(in *store.InstanceSettings) (revoke bool, err error) {
		if err := checkRules(wanted.Rules, false, wanted.Reminders.Before...); err != nil {
			return false, err
		}
		if in.Version != wanted.Version {
			return false, fmt.Errorf("apikey: save settings: %w", store.ErrConflict)
		}
		before := *in
		in.KeysOff, in.DirectOff, in.Rules = wanted.KeysOff, wanted.DirectOff, storedRules(wanted.Rules)
		in.Reminders = store.Reminders{Off: wanted.Reminders.Off, Before: longestFirst(wanted.Reminders.Before)}
		return in.KeysOff && !before.KeysOff || tightens(before.Rules, in.Rules), nil
	})
}

// RevokeAllTokens revokes every token issued so far, of every key. Keys can log in
// again at once. Call it after the store was restored from a backup, which may have
// brought back old keys and settings. If settings were never saved, it saves the
// defaults of Options. For an organization admin.
func (s *Service) RevokeAllTokens(ctx context.Context, actor Actor) error {
	_, err := s.alterInstance(ctx, actor, audit.RevokeTokens, func(*store.InstanceSettings) (bool, error) { return true, nil })
	return err
}

// alterInstance changes the instance's settings. apply returns whether all tokens
// are revoked.
func (s *Service) alterInstance(
	ctx context.Context, actor Actor, action string, apply func(*store.InstanceSettings) (revoke bool, err error),
) (store.InstanceSettings, error) {
	return retry(func() (store.InstanceSettings, error) {
		p, err := s.mayAdminister(ctx, actor, action)
		if err != nil {
			return store.InstanceSettings{}, err
		}
		in, err := s.instance(ctx)
		if err != nil {
			return store.InstanceSettings{}, err
		}
		before := settingsTexts(in.Rules, false, in)
		revoke, err := apply(&in)
		if err != nil {
			return store.InstanceSettings{}, err
		}
		changed := fieldChanges(settingsNames, before, settingsTexts(in.Rules, false, in))
		if len(changed) == 0 && !revoke && in.Version > 0 {
			return in, nil
		}
		in.Updated = s.now()
		change, err := s.newChange(in.Updated, p.actor, store.Event{Action: action, Changes: changed})
		if err != nil {
			return store.InstanceSettings{}, err
		}
		change.RevokeTokens, change.Preconditions = revoke, p.actorPreconditions()
		if err := s.store.Settings.SetInstance(ctx, in, change); err != nil {
			return store.InstanceSettings{}, writeError(action, err)
		}
		in.Version++
		return in, nil
	})
}

// instance reads the instance's settings, or returns the defaults if none were
// saved.
func (s *Service) instance(ctx context.Context) (store.InstanceSettings, error) {
	stored, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return store.InstanceSettings{}, fmt.Errorf("apikey: read settings: %w", err)
	}
	if stored.Version == 0 {
		stored.Reminders.Off = s.cfg.DefaultRemindersOff
	}
	stored.Instance = s.effective(stored.Instance)
	return stored, nil
}

// settingsOf reads the settings that apply to the keys of a workspace.
func (s *Service) settingsOf(ctx context.Context, workspace string) (store.Workspace, store.Instance, error) {
	w, err := s.store.Settings.Workspace(ctx, workspace)
	if err != nil {
		return w, store.Instance{}, fmt.Errorf("apikey: read workspace: %w", err)
	}
	instance, err := s.instance(ctx)
	return w, instance.Instance, err
}

// checkRules checks the rules of the instance or of a workspace, and the instance's
// times of reminders.
func checkRules(r store.Rules, ofWorkspace bool, remindBefore ...time.Duration) error {
	var bad InvalidError
	for _, limit := range []struct {
		field string
		n     int
	}{{"max_keys", r.MaxKeys}, {"key_requests", r.KeyRequests}, {"workspace_requests", r.WorkspaceRequests}} {
		bad.addIf(limit.n < 0 && !(ofWorkspace && limit.n == store.Unlimited), limit.field, "It may not be negative.")
	}
	bad.addIf(r.MaxLifetime != 0 && r.MaxLifetime < time.Minute, "max_lifetime", "It must be at least a minute.")
	bad.addIf(r.EnforcedFrom.Year() > maxYear, "enforced_at", "It may not be after the year 9999.")
	problem := timesProblem(remindBefore)
	bad.addIf(problem != "", "remind_before", problem)
	return bad.orNil()
}

// storedRules returns rules in the form that stores keep, so that they can be compared.
func storedRules(r store.Rules) store.Rules {
	r.EnforcedFrom = micro(r.EnforcedFrom)
	return r
}

// tightens reports whether the expiry rules became stricter, so that a token issued
// under the old ones could outlive its key. It does not check whether the rules
// apply to existing keys, since EnforcedFrom may come from the workspace's record
// and the rule from the instance's, or the other way round.
func tightens(before, after store.Rules) bool {
	shorter := after.MaxLifetime != 0 && (before.MaxLifetime == 0 || after.MaxLifetime < before.MaxLifetime)
	return after.RequireExpiry && !before.RequireExpiry || shorter || outlives(before.EnforcedFrom, after.EnforcedFrom)
}
