package admin

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// showRules returns the members of rules in an answer. Durations are in seconds.
// store.Unlimited, which is negative, becomes null: answerWorkspace has a member for it
// beside each limit.
func showRules(r store.Rules) members {
	return members{
		"max_keys": unlessZero(max(0, r.MaxKeys)), "key_requests": unlessZero(max(0, r.KeyRequests)), "workspace_requests": unlessZero(max(0, r.WorkspaceRequests)),
		"require_expiry": r.RequireExpiry,
		"max_lifetime":   unlessZero(int64(r.MaxLifetime / time.Second)), "enforced_at": orNull(r.EnforcedFrom),
	}
}

func (b *body) rules() store.Rules {
	const most = 1<<31 - 1
	return store.Rules{
		MaxKeys:           int(b.limit("max_keys", most)),
		RequireExpiry:     b.flag("require_expiry"),
		MaxLifetime:       time.Duration(b.limit("max_lifetime", maxSeconds)) * time.Second,
		EnforcedFrom:      b.instant("enforced_at"),
		KeyRequests:       int(b.limit("key_requests", most)),
		WorkspaceRequests: int(b.limit("workspace_requests", most)),
	}
}

// readSettings serves GET /settings.
func (h *Handler) readSettings(c *call) error {
	return c.answerSettings(h.keys.Settings(c.r.Context(), c.actor))
}

func (c *call) answerSettings(s store.InstanceSettings, err error) error {
	if err != nil {
		return err
	}
	c.setETag(s.Version)
	inForce, sent := c.h.keys.ReminderTimes(s.Reminders)
	if !sent { // the host sends no reminders
		inForce = nil
	}
	shown := showRules(s.Rules)
	maps.Copy(shown, members{
		"keys_enabled": !s.KeysOff, "direct_enabled": !s.DirectOff, "reminders_enabled": !s.Reminders.Off,
		"remind_before": inSeconds(s.Reminders.Before), // null: the times that the host configured
		"reminders":     members{"sent": sent, "before": append([]int64{}, inSeconds(inForce)...)},
		"updated_at":    orNull(s.Updated), "version": s.Version,
	})
	return c.answer(http.StatusOK, shown)
}

func inSeconds(times []time.Duration) []int64 {
	var seconds []int64
	for _, t := range times {
		seconds = append(seconds, int64(t/time.Second))
	}
	return seconds
}

// saveSettings serves PUT /settings.
func (h *Handler) saveSettings(c *call) error {
	wanted, err := c.wantedSettings()
	if err != nil {
		return err
	}
	return c.answerSettings(h.keys.SaveSettings(c.r.Context(), c.actor, wanted))
}

// revokeTokens serves POST /settings/revoke_tokens.
func (h *Handler) revokeTokens(c *call) error {
	if err := h.keys.RevokeAllTokens(c.r.Context(), c.actor); err != nil {
		return err
	}
	return h.readSettings(c)
}

// wantedSettings reads the instance's settings from the body, and the version that they
// replace.
func (c *call) wantedSettings() (wanted store.InstanceSettings, err error) {
	b := &c.body
	b.require(settingsMembers...)
	wanted.KeysOff, wanted.DirectOff, wanted.Rules = !b.flag("keys_enabled"), !b.flag("direct_enabled"), b.rules()
	wanted.Reminders = store.Reminders{Off: !b.flag("reminders_enabled"), Before: b.reminders("remind_before")}
	if err := c.bad.orNil(); err != nil {
		return wanted, err
	}
	current, err := c.h.keys.Settings(c.r.Context(), c.actor)
	wanted.Version = c.versionToReplace(current.Version)
	return wanted, err
}

// reminders reads times before an expiry. If it is absent or null, it returns none.
func (b *body) reminders(name string) (times []time.Duration) {
	if b.isNull(name) {
		return times
	}
	const wrong = "It must be null for the times that the host configured, or an array of 1 to 8 times, " +
		"each a whole number of seconds from 3600 (1 hour) to 31622400 (366 days)."
	list := read[[]int64](b, name, wrong)
	if len(list) == 0 || len(list) > store.MaxReminders {
		b.bad.add(name, wrong)
		return times
	}
	for _, n := range list {
		// The service checks the bounds of 1 hour and 366 days. These bounds only keep the
		// conversion to a time.Duration from overflowing.
		if n < 1 || n > maxSeconds {
			b.bad.add(name, wrong)
		}
		times = append(times, time.Duration(n)*time.Second)
	}
	return times
}

// readWorkspace serves GET /workspaces/{workspace}/settings.
func (h *Handler) readWorkspace(c *call) error {
	return c.answerWorkspace(c.visibleWorkspace())
}

func (c *call) answerWorkspace(w store.Workspace, inForce store.Rules, err error) error {
	if err != nil {
		return err
	}
	c.setETag(w.Version)
	shown := showRules(w.Rules)
	maps.Copy(shown, members{
		"workspace": w.ID, "suspended": w.Suspended, "keys": w.Keys,
		"in_force":   showRules(inForce), // merged with the instance's
		"updated_at": orNull(w.Updated), "version": w.Version,
	})
	for _, limit := range limitsOf(&w.Rules) {
		shown[limit.unlimited] = *limit.number == store.Unlimited
	}
	return c.answer(http.StatusOK, shown)
}

// limit is a limit of a workspace, with the member for its number and the member that
// lifts the instance's limit.
type limit struct {
	member, unlimited string
	number            *int
}

func limitsOf(r *store.Rules) []limit {
	return []limit{
		{"max_keys", "unlimited_keys", &r.MaxKeys},
		{"key_requests", "unlimited_key_requests", &r.KeyRequests},
		{"workspace_requests", "unlimited_workspace_requests", &r.WorkspaceRequests},
	}
}

// saveWorkspace serves PUT /workspaces/{workspace}/settings.
func (h *Handler) saveWorkspace(c *call) error {
	wanted, err := c.wantedWorkspace()
	if err != nil {
		return err
	}
	// The instance's settings are read before the change: after it, the key that made it
	// may have expired and could not read them.
	instance, err := h.keys.Settings(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	saved, err := h.keys.SaveWorkspace(c.r.Context(), c.actor, wanted)
	return c.answerWorkspace(saved, policy.EffectiveRules(instance.Instance, saved), err)
}

// wantedWorkspace reads a workspace's settings from the body, and the version that they
// replace.
func (c *call) wantedWorkspace() (wanted store.Workspace, err error) {
	c.body.require(workspaceMembers...)
	wanted = store.Workspace{ID: c.workspace(), Rules: c.body.rules()}
	for _, limit := range limitsOf(&wanted.Rules) {
		if !c.body.flag(limit.unlimited) {
			continue
		}
		if *limit.number != 0 {
			c.bad.add(limit.member, "It must be null if "+limit.unlimited+" is true.")
		}
		*limit.number = store.Unlimited
	}
	if err := c.bad.orNil(); err != nil {
		return wanted, err
	}
	current, _, err := c.visibleWorkspace()
	wanted.Version = c.versionToReplace(current.Version)
	return wanted, err
}

// suspension returns the handler of POST /workspaces/{workspace}/suspend or resume.
func suspension(suspended bool) func(*Handler, *call) error {
	return func(h *Handler, c *call) error {
		if _, _, err := c.visibleWorkspace(); err != nil {
			return err
		}
		if err := h.keys.SetSuspended(c.r.Context(), c.actor, c.workspace(), suspended); err != nil {
			return err
		}
		return h.readWorkspace(c)
	}
}

// visibleWorkspace reads the workspace in the path. It fails with 404 if the actor may
// not see the workspace; otherwise the service would answer that only organization
// admins may change it. A deleted workspace is not found, although its events are kept.
func (c *call) visibleWorkspace() (store.Workspace, store.Rules, error) {
	workspace, inForce, err := c.h.keys.Workspace(c.r.Context(), c.actor, c.workspace())
	if err == nil && workspace.Deleted {
		err = fmt.Errorf("admin: workspace: %w", store.ErrNotFound)
	}
	return workspace, inForce, err
}

// previewSettings serves POST /settings/preview.
func (h *Handler) previewSettings(c *call) error {
	wanted, err := c.wantedSettings()
	if err != nil {
		return err
	}
	return c.answerEffects(h.keys.PreviewSettings(c.r.Context(), c.actor, wanted, c.after, c.limit))
}

// previewWorkspace serves POST /workspaces/{workspace}/settings/preview.
func (h *Handler) previewWorkspace(c *call) error {
	wanted, err := c.wantedWorkspace()
	if err != nil {
		return err
	}
	return c.answerEffects(h.keys.PreviewWorkspace(c.r.Context(), c.actor, wanted, c.after, c.limit))
}

// answerEffects sends what other settings would do to each key.
func (c *call) answerEffects(page apikey.Page[apikey.KeyPreview], err error) error {
	return c.answerPage(page.Next, members{
		"effects": each(page.Keys, func(e *apikey.KeyPreview) members {
			return members{
				"key": showKey(&e.Key), "ends_at": orNull(e.Before), "new_ends_at": orNull(e.After),
			}
		}),
		"checked": page.Checked,
	}, err)
}

// listViolations serves GET /violations and GET
// /workspaces/{workspace}/violations: keys that violate the settings.
func (h *Handler) listViolations(c *call) error {
	page, err := h.keys.List(c.r.Context(), c.actor, store.KeyQuery{Workspace: c.workspace(), After: c.after, Limit: c.limit})
	broken := slices.DeleteFunc(page.Keys, func(k apikey.Key) bool { return len(k.RulesBroken) == 0 })
	return c.answerPage(page.Next, members{
		"violations": each(broken, func(k *apikey.Key) members {
			return members{"key": showKey(k), "rules": k.RulesBroken}
		}),
	}, err)
}

// listOutdated serves GET /outdated: keys that still use old entries of the host's
// lists of peppers and prefixes.
func (h *Handler) listOutdated(c *call) error {
	page, err := h.keys.Outdated(c.r.Context(), c.actor, c.after, c.limit)
	return c.answerPage(page.Next, members{
		"outdated": each(page.Keys, func(k *apikey.Key) members {
			return members{"key": showKey(k), "names": k.Outdated}
		}),
	}, err)
}
