package apikey

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Rules returns the rules in force in one workspace: those of the instance and of
// the workspace, merged as by policy.EffectiveRules. The actor must be allowed to
// see the workspace's keys.
func (s *Service) Rules(ctx context.Context, actor Actor, workspace string) (store.Rules, error) {
	own, err := s.Workspace(ctx, actor, workspace)
	if err != nil {
		return store.Rules{}, err
	}
	instance, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return store.Rules{}, fmt.Errorf("apikey: read settings: %w", err)
	}
	return policy.EffectiveRules(s.effective(instance), own), nil
}

// Effect is what other settings would do to one key.
type Effect struct {
	Key store.Key // without digests
	// Before and After are the instants from which no login with the key
	// passes, under the settings as they are and as they would be; zero is
	// never. Where keys are switched off that is the time of the preview.
	// Neither a disabled key nor a suspended workspace makes a difference.
	Before, After time.Time
	// Reminded: the host would be told at once that the key is about to end
	// (see Reminders; within an hour, where rules end it) and is not under the settings as they are, unless
	// other settings have let it be told before.
	Reminded bool
}

// EffectPage is what one page of keys comes to. It may be empty and not the
// last.
type EffectPage struct {
	Effects []Effect
	// Looked is how many keys were looked at.
	Looked int
	// Next continues behind the last key looked at; nil: there is no more.
	Next *store.KeyCursor
}

// PreviewSettings tells which keys SaveSettings with the same record would
// touch, and when each would end. It goes through all keys by creation, limit
// of them a call (1 to store.MaxPage; 0 means 100), and writes nothing. For an
// organization admin.
func (s *Service) PreviewSettings(ctx context.Context, actor Actor, wanted store.Instance, after *store.KeyCursor, limit int) (EffectPage, error) {
	if err := s.mustAdminister(ctx, actor, audit.Settings); err != nil {
		return EffectPage{}, err
	}
	if err := checkSettings(wanted); err != nil {
		return EffectPage{}, err
	}
	return s.effects(ctx, actor, "", after, limit, func(_ *store.Workspace, instance *store.Instance) {
		instance.KeysOff, instance.Rules = wanted.KeysOff, kept(wanted.Rules)
		instance.RemindersOff, instance.RemindBefore = wanted.RemindersOff, wanted.RemindBefore
	})
}

// PreviewWorkspace is PreviewSettings for SaveWorkspace.
func (s *Service) PreviewWorkspace(ctx context.Context, actor Actor, wanted store.Workspace, after *store.KeyCursor, limit int) (EffectPage, error) {
	if err := s.mustAdminister(ctx, actor, audit.Workspace); err != nil {
		return EffectPage{}, err
	}
	var bad InvalidError
	checkText(&bad, "workspace", wanted.ID)
	if err := bad.orNil(); err != nil {
		return EffectPage{}, err
	}
	if err := checkRules(wanted.Rules, true); err != nil {
		return EffectPage{}, err
	}
	return s.effects(ctx, actor, wanted.ID, after, limit, func(w *store.Workspace, _ *store.Instance) {
		w.Rules = kept(wanted.Rules)
	})
}

func (s *Service) effects(ctx context.Context, actor Actor, workspace string, after *store.KeyCursor, limit int, alter func(*store.Workspace, *store.Instance)) (EffectPage, error) {
	now := s.now()
	page := EffectPage{}
	next, err := s.review(ctx, actor, workspace, after, limit, func(k *store.Key, w store.Workspace, instance store.Instance) {
		page.Looked++
		end, due := endOf(k, w, instance, now), s.dueUnder(k, w, instance, now)
		alter(&w, &instance)
		e := Effect{Key: *k, Before: end, After: endOf(k, w, instance, now)}
		if wanted := s.dueUnder(k, w, instance, now); wanted.id != "" {
			e.Reminded = due.id == "" || wanted.before < due.before || !wanted.ends.Equal(due.ends)
		}
		if e.Reminded || !e.After.Equal(end) && (!ended(end, now) || !ended(e.After, now)) {
			page.Effects = append(page.Effects, e)
		}
	})
	page.Next = next
	return page, err
}

// endOf is the instant from which no login passes.
func endOf(k *store.Key, w store.Workspace, instance store.Instance, now time.Time) time.Time {
	end, _ := policy.EndsAt(k, policy.EffectiveRules(instance, w))
	if instance.KeysOff {
		return earlier(now, end)
	}
	return end
}

// dueUnder is the reminder of a key that would be sent, if it was not yet.
func (s *Service) dueUnder(k *store.Key, w store.Workspace, instance store.Instance, now time.Time) due {
	end, _ := policy.EndsAt(k, policy.EffectiveRules(instance, w))
	if s.cfg.Reminders.Send == nil || k.Disabled || ended(end, now) {
		return due{}
	}
	return dueOf(k.ID, end, s.timesOf(instance), now)
}

// Violation is a key that could not be made as it is under the rules in force.
type Violation struct {
	Key store.Key // without digests
	// Rules names what it breaks: "require_expiry", "max_lifetime" or both.
	Rules []string
	// Ends is the instant from which logins treat the key as expired, its own
	// expiry or that of the rules; zero is never.
	Ends time.Time
}

// ViolationPage is what one page of keys comes to. It may be empty and not the
// last.
type ViolationPage struct {
	Violations []Violation
	// Next continues behind the last key looked at; nil: there is no more.
	Next *store.KeyCursor
}

// Violations tells which keys break the expiry rules in force, of one
// workspace or, with an empty one, of all. It goes through the keys, disabled
// ones too, by creation, limit of them a call (1 to store.MaxPage; 0 means
// 100). For who may see them.
func (s *Service) Violations(ctx context.Context, actor Actor, workspace string, after *store.KeyCursor, limit int) (ViolationPage, error) {
	page := ViolationPage{}
	next, err := s.review(ctx, actor, workspace, after, limit, func(k *store.Key, w store.Workspace, instance store.Instance) {
		rules := policy.EffectiveRules(instance, w)
		if broken := breaks(k, rules); len(broken) > 0 {
			end, _ := policy.EndsAt(k, rules)
			page.Violations = append(page.Violations, Violation{*k, broken, end})
		}
	})
	page.Next = next
	return page, err
}

// breaks names the rules that a key would be refused by if it were made now as
// it is.
func breaks(k *store.Key, rules store.Rules) []string {
	var broken []string
	if rules.RequireExpiry && k.NotAfter.IsZero() {
		broken = append(broken, "require_expiry")
	}
	if rules.MaxLifetime != 0 && outlives(k.NotAfter, policy.NewestSecret(k).Add(rules.MaxLifetime)) {
		broken = append(broken, "max_lifetime")
	}
	return broken
}

// review calls look for each key of one page, with the settings around it.
func (s *Service) review(ctx context.Context, actor Actor, workspace string, after *store.KeyCursor, limit int, look func(*store.Key, store.Workspace, store.Instance)) (*store.KeyCursor, error) {
	page, err := s.List(ctx, actor, store.KeyQuery{Workspace: workspace, After: after, Limit: limit})
	if err != nil {
		return nil, err
	}
	stored, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("apikey: read settings: %w", err)
	}
	instance := s.effective(stored)
	around := map[string]store.Workspace{}
	for i := range page.Keys {
		k := &page.Keys[i]
		w, read := around[k.Workspace]
		if !read {
			if w, err = s.store.Settings.Workspace(ctx, k.Workspace); err != nil {
				return nil, fmt.Errorf("apikey: read workspace: %w", err)
			}
			around[k.Workspace] = w
		}
		look(k, w, instance)
	}
	return page.Next, nil
}
