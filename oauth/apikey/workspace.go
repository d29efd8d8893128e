package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Settings returns the instance's settings: those saved, or Config.Defaults
// with Version 0. For an organization admin.
func (s *Service) Settings(ctx context.Context, actor Actor) (store.Instance, error) {
	if err := s.mayAdminister(ctx, actor, audit.Settings); err != nil {
		return store.Instance{}, err
	}
	instance, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return store.Instance{}, fmt.Errorf("apikey: read settings: %w", err)
	}
	return s.effective(instance), nil
}

// SaveSettings replaces the instance's settings. Version must be the one that
// Settings returned; otherwise store.ErrConflict. Switching keys off and stricter
// expiry rules end all tokens, since a rule may hold for existing keys; keys that
// may still log in do so again. A call that changes nothing writes nothing, unless
// settings were never saved. For an organization admin.
func (s *Service) SaveSettings(ctx context.Context, actor Actor, wanted store.Instance) (store.Instance, error) {
	return retry(func() (store.Instance, error) { return s.saveSettings(ctx, actor, wanted) })
}

func (s *Service) saveSettings(ctx context.Context, actor Actor, wanted store.Instance) (store.Instance, error) {
	if err := s.mayAdminister(ctx, actor, audit.Settings); err != nil {
		return store.Instance{}, err
	}
	if err := checkSettings(wanted); err != nil {
		return store.Instance{}, err
	}
	stored, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return store.Instance{}, fmt.Errorf("apikey: read settings: %w", err)
	}
	if stored.Version != wanted.Version {
		return store.Instance{}, fmt.Errorf("apikey: save settings: %w", store.ErrConflict)
	}
	before := s.effective(stored)
	after := stored
	after.KeysOff, after.Rules, after.Updated = wanted.KeysOff, kept(wanted.Rules), s.now()
	after.RemindersOff, after.RemindBefore = wanted.RemindersOff, keptTimes(wanted.RemindBefore)
	fields := changedSettings(before, after)
	if len(fields) == 0 && stored.Version > 0 {
		return stored, nil
	}
	change, err := s.change(after.Updated, actor.ref, audit.Settings, "", "", fields)
	if err != nil {
		return store.Instance{}, err
	}
	change.EndTokens = after.KeysOff && !before.KeysOff || tightens(before.Rules, after.Rules)
	if err := s.store.Settings.SetInstance(ctx, after, change); err != nil {
		return store.Instance{}, writeError("save settings", err)
	}
	after.Version++
	return after, nil
}

// EndAllTokens ends every token issued so far, of every key. It is for use after the
// store was restored from a backup, which may have brought back keys and settings as
// they were. Keys log in again at once. Settings that were never saved are saved as
// Config.Defaults has them. For an organization admin.
func (s *Service) EndAllTokens(ctx context.Context, actor Actor) error {
	return retryErr(func() error {
		if err := s.mayAdminister(ctx, actor, audit.EndTokens); err != nil {
			return err
		}
		stored, err := s.store.Settings.Instance(ctx)
		if err != nil {
			return fmt.Errorf("apikey: read settings: %w", err)
		}
		after := s.effective(stored)
		after.Updated = s.now()
		change, err := s.change(after.Updated, actor.ref, audit.EndTokens, "", "", nil)
		if err != nil {
			return err
		}
		change.EndTokens = true
		return writeError("end all tokens", s.store.Settings.SetInstance(ctx, after, change))
	})
}

// Workspace returns a workspace's settings and number of keys, and the rules in
// force in it: its own and those of the instance, merged as by policy.EffectiveRules.
// The actor must be allowed to see its keys.
func (s *Service) Workspace(ctx context.Context, actor Actor, id string) (store.Workspace, store.Rules, error) {
	p, err := s.powersOf(ctx, actor)
	if err == nil && id == "" {
		err = invalid("workspace", "It may not be empty.")
	}
	if err == nil {
		err = p.maySee(id)
	}
	if err != nil {
		return store.Workspace{}, store.Rules{}, err
	}
	w, instance, err := s.settingsOf(ctx, id)
	if err != nil {
		return store.Workspace{}, store.Rules{}, err
	}
	return w, policy.EffectiveRules(instance, w), nil
}

// SaveWorkspace replaces a workspace's rules; SetSuspended changes its state. Version must be the one that Workspace returned. Stricter expiry
// rules end the workspace's tokens. What changes nothing writes nothing. For
// an organization admin.
func (s *Service) SaveWorkspace(ctx context.Context, actor Actor, wanted store.Workspace) (store.Workspace, error) {
	if err := checkRules(wanted.Rules, true); err != nil {
		return store.Workspace{}, err
	}
	return s.alterWorkspace(ctx, actor, wanted.ID, audit.Workspace, func(w *store.Workspace) (fields []string, ends bool, err error) {
		if w.Version != wanted.Version {
			return nil, false, fmt.Errorf("apikey: save workspace: %w", store.ErrConflict)
		}
		rules := kept(wanted.Rules)
		fields = changedRules(w.Rules, rules)
		if len(fields) == 0 {
			return nil, false, errUnchanged
		}
		ends = tightens(w.Rules, rules)
		w.Rules = rules
		return fields, ends, nil
	})
}

// SetSuspended stops the logins of a workspace's keys and ends their tokens, or
// lets the keys log in again; tokens from before stay ended. What changes nothing
// writes nothing. For an organization admin.
func (s *Service) SetSuspended(ctx context.Context, actor Actor, workspace string, suspended bool) error {
	action := audit.Resume
	if suspended {
		action = audit.Suspend
	}
	_, err := s.alterWorkspace(ctx, actor, workspace, action, func(w *store.Workspace) (fields []string, ends bool, err error) {
		if w.Suspended == suspended {
			return nil, false, errUnchanged
		}
		w.Suspended = suspended
		return []string{"suspended"}, suspended, nil
	})
	return err
}

// DeleteWorkspace deletes all keys of a workspace and ends their tokens. Its
// events stay and its id is not used again; a second time is
// store.ErrNotFound. For an organization admin.
func (s *Service) DeleteWorkspace(ctx context.Context, actor Actor, workspace string) error {
	if err := s.mayAdminister(ctx, actor, audit.DeleteWorkspace); err != nil {
		return err
	}
	var bad InvalidError
	checkText(&bad, "workspace", workspace)
	if err := bad.orNil(); err != nil {
		return err
	}
	now := s.now()
	change, err := s.change(now, actor.ref, audit.DeleteWorkspace, workspace, "", nil)
	if err != nil {
		return err
	}
	if err := s.store.Settings.DeleteWorkspace(ctx, workspace, now, change); err != nil {
		return fmt.Errorf("apikey: delete workspace: %w", err)
	}
	return nil
}

// alterWorkspace changes a workspace's record. apply says which fields it changed
// and whether the workspace's tokens end.
func (s *Service) alterWorkspace(
	ctx context.Context, actor Actor, id, action string, apply func(*store.Workspace) (fields []string, ends bool, err error),
) (store.Workspace, error) {
	return retry(func() (store.Workspace, error) {
		if err := s.mayAdminister(ctx, actor, action); err != nil {
			return store.Workspace{}, err
		}
		var bad InvalidError
		checkText(&bad, "workspace", id)
		if err := bad.orNil(); err != nil {
			return store.Workspace{}, err
		}
		w, err := s.store.Settings.Workspace(ctx, id)
		if err != nil {
			return store.Workspace{}, fmt.Errorf("apikey: read workspace: %w", err)
		}
		fields, ends, err := apply(&w)
		if errors.Is(err, errUnchanged) {
			return w, nil
		}
		if err != nil {
			return store.Workspace{}, err
		}
		w.Updated = s.now()
		change, err := s.change(w.Updated, actor.ref, action, id, "", fields)
		if err != nil {
			return store.Workspace{}, err
		}
		change.EndTokens = ends
		if err := s.store.Settings.SetWorkspace(ctx, w, change); err != nil {
			return store.Workspace{}, writeError(action, err)
		}
		w.Version++
		return w, nil
	})
}

func (s *Service) settingsOf(ctx context.Context, workspace string) (store.Workspace, store.Instance, error) {
	w, err := s.store.Settings.Workspace(ctx, workspace)
	if err != nil {
		return w, store.Instance{}, fmt.Errorf("apikey: read workspace: %w", err)
	}
	instance, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return w, instance, fmt.Errorf("apikey: read settings: %w", err)
	}
	return w, s.effective(instance), nil
}

func checkSettings(wanted store.Instance) error {
	var bad InvalidError
	addRules(&bad, wanted.Rules, false)
	checkReminders(&bad, wanted.RemindBefore)
	return bad.orNil()
}

func checkRules(r store.Rules, ofWorkspace bool) error {
	var bad InvalidError
	addRules(&bad, r, ofWorkspace)
	return bad.orNil()
}

func addRules(bad *InvalidError, r store.Rules, ofWorkspace bool) {
	if r.MaxKeys < 0 && !(ofWorkspace && r.MaxKeys == store.Unlimited) {
		bad.add("max_keys", "It must be 0 for no limit, or more.")
	}
	if r.MaxLifetime != 0 && r.MaxLifetime < time.Minute {
		bad.add("max_lifetime", "It must be 0 for no bound, or at least a minute.")
	}
	if r.EnforcedFrom.Year() > maxYear {
		bad.add("enforced_from", "It lies beyond the year 9999.")
	}
}

// kept returns rules as stores keep them, so that they compare.
func kept(r store.Rules) store.Rules {
	if !r.EnforcedFrom.IsZero() {
		r.EnforcedFrom = r.EnforcedFrom.UTC().Truncate(time.Microsecond)
	}
	return r
}

// tightens reports whether the expiry rules became stricter: a token issued
// under the old ones could outlive its key. It does not ask whether the rules hold
// for existing keys, since EnforcedFrom may come from the workspace's record and the
// rule from the instance's, or the other way round.
func tightens(before, after store.Rules) bool {
	return after.RequireExpiry && !before.RequireExpiry ||
		outlives(inForce(before.MaxLifetime), inForce(after.MaxLifetime)) ||
		outlives(before.EnforcedFrom, after.EnforcedFrom)
}

// inForce makes an instant of a bound, for outlives: zero is none.
func inForce(bound time.Duration) time.Time {
	if bound == 0 {
		return time.Time{}
	}
	return time.Time{}.Add(bound)
}

func changedSettings(before, after store.Instance) []string {
	fields := changedRules(before.Rules, after.Rules)
	if before.KeysOff != after.KeysOff {
		fields = append(fields, "keys_off")
	}
	if before.RemindersOff != after.RemindersOff {
		fields = append(fields, "reminders_off")
	}
	if before.RemindBefore != after.RemindBefore {
		fields = append(fields, "remind_before")
	}
	return fields
}

func changedRules(before, after store.Rules) []string {
	var fields []string
	add := func(changed bool, name string) {
		if changed {
			fields = append(fields, name)
		}
	}
	add(before.MaxKeys != after.MaxKeys, "max_keys")
	add(before.RequireExpiry != after.RequireExpiry, "require_expiry")
	add(before.MaxLifetime != after.MaxLifetime, "max_lifetime")
	add(!before.EnforcedFrom.Equal(after.EnforcedFrom), "enforced_from")
	return fields
}
