package apikey

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// KeyPreview is the effect of settings, which are not saved, on one key.
type KeyPreview struct {
	// Key is the key under the present settings.
	Key Key
	// Before and After are the instants from which the key can no longer log in,
	// under the present and the new settings; zero is never. If keys are switched
	// off, it is the time of the preview, or the key's expiry if that is earlier. Whether the key is disabled or its
	// workspace suspended is ignored.
	Before, After time.Time
}

// PreviewSettings returns the keys for which SaveSettings with the same record would
// change the instant from which they can no longer log in. Each call reads the next
// limit keys by creation (1 to store.MaxPage; 0 means 100), so a page may be empty and
// not be the last. It writes nothing. For an organization admin, and a key with
// Management.SaveSettings and AdminList.
func (s *Service) PreviewSettings(ctx context.Context, actor Actor, wanted store.InstanceSettings, after *store.KeyCursor, limit int) (Page[KeyPreview], error) {
	if _, err := s.mayAdminister(ctx, actor, audit.Settings); err != nil {
		return Page[KeyPreview]{}, err
	}
	if err := checkRules(wanted.Rules, false, wanted.Reminders.Before...); err != nil {
		return Page[KeyPreview]{}, err
	}
	return s.preview(ctx, actor, "", after, limit, func(_ *store.Workspace, instance *store.Instance) {
		instance.KeysOff, instance.Rules = wanted.KeysOff, storedRules(wanted.Rules)
	})
}

// PreviewWorkspace is PreviewSettings for SaveWorkspace.
func (s *Service) PreviewWorkspace(ctx context.Context, actor Actor, wanted store.Workspace, after *store.KeyCursor, limit int) (Page[KeyPreview], error) {
	if _, err := s.mayAlterWorkspace(ctx, actor, wanted.ID, audit.Workspace); err != nil {
		return Page[KeyPreview]{}, err
	}
	if err := checkRules(wanted.Rules, true); err != nil {
		return Page[KeyPreview]{}, err
	}
	return s.preview(ctx, actor, wanted.ID, after, limit, func(w *store.Workspace, _ *store.Instance) {
		w.Rules = storedRules(wanted.Rules)
	})
}

func (s *Service) preview(ctx context.Context, actor Actor, workspace string, after *store.KeyCursor, limit int, alter func(*store.Workspace, *store.Instance)) (Page[KeyPreview], error) {
	keys, err := s.list(ctx, actor, store.KeyQuery{Workspace: workspace, After: after, Limit: limit})
	if err != nil {
		return Page[KeyPreview]{}, err
	}
	now, page := s.now(), Page[KeyPreview]{Checked: len(keys.Keys), Next: keys.Next}
	for i := range keys.Keys {
		f := foundOf(&keys, i)
		standing := policy.StandingOf(&f.Key, f.Workspace, f.Instance, now)
		e := KeyPreview{Key: s.keyOf(f, now), Before: noLoginFrom(standing, f, now)}
		alter(&f.Workspace, &f.Instance)
		e.After = noLoginFrom(policy.StandingOf(&f.Key, f.Workspace, f.Instance, now), f, now)
		if !e.After.Equal(e.Before) && (!expired(e.Before, now) || !expired(e.After, now)) {
			page.Keys = append(page.Keys, e)
		}
	}
	return page, nil
}

// noLoginFrom returns the instant from which the key can no longer log in.
func noLoginFrom(standing policy.Standing, f *store.Found, now time.Time) time.Time {
	if f.Instance.KeysOff {
		return earlier(now, standing.Expires)
	}
	return standing.Expires
}

// rulesBroken returns the names of the expiry rules that the key's own expiry breaks. It
// does not check EnforcedFrom.
func rulesBroken(k *store.Key, rules store.Rules) []string {
	var broken []string
	if rules.RequireExpiry && k.NotAfter.IsZero() {
		broken = append(broken, "require_expiry")
	}
	if rules.MaxLifetime != 0 && outlives(k.NotAfter, policy.LifetimeStart(k, rules.MaxLifetime).Add(rules.MaxLifetime)) {
		broken = append(broken, "max_lifetime")
	}
	return broken
}
