package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

// showRules are rules as answers show them; durations are in seconds.
func showRules(r store.Rules) members {
	return members{
		"max_keys": r.MaxKeys, "require_expiry": r.RequireExpiry,
		"max_lifetime": int64(r.MaxLifetime / time.Second), "enforced_from": orNull(r.EnforcedFrom),
	}
}

func (b *body) rules() store.Rules {
	return store.Rules{
		MaxKeys:       int(b.integer("max_keys", store.Unlimited, 1<<31-1)),
		RequireExpiry: b.flag("require_expiry"),
		MaxLifetime:   b.seconds("max_lifetime"),
		EnforcedFrom:  b.instant("enforced_from"),
	}
}

// readSettings serves GET /settings.
func (h *Handler) readSettings(c *call) error {
	return c.answerSettings(h.keys.Settings(c.r.Context(), c.actor))
}

func (c *call) answerSettings(s store.Instance, err error) error {
	if err != nil {
		return err
	}
	c.setETag(s.Version)
	inForce, sent := c.h.keys.ReminderTimes(s)
	if !sent { // by the host at all
		inForce = nil
	}
	shown := showRules(s.Rules)
	maps.Copy(shown, members{
		"keys_off": s.KeysOff, "reminders_off": s.RemindersOff,
		"remind_before": inSeconds(s.RemindBefore[:]), // null: the host's own
		"reminders":     members{"sent": sent, "before": append([]int64{}, inSeconds(inForce)...)},
		"updated_at":    orNull(s.Updated), "version": s.Version,
	})
	return c.answer(http.StatusOK, shown)
}

// inSeconds leaves out what is not set.
func inSeconds(times []time.Duration) []int64 {
	var seconds []int64
	for _, t := range times {
		if t != 0 {
			seconds = append(seconds, int64(t/time.Second))
		}
	}
	return seconds
}

// saveSettings serves PUT /settings.
func (h *Handler) saveSettings(c *call) error {
	ctx := c.r.Context()
	wanted, err := c.wantedSettings()
	if err != nil {
		return err
	}
	wanted.Version, err = c.mustMatch(func() (int64, error) {
		now, err := h.keys.Settings(ctx, c.actor)
		return now.Version, err
	})
	if err != nil {
		return err
	}
	return c.answerSettings(h.keys.SaveSettings(ctx, c.actor, wanted))
}

// endTokens serves POST /settings/end_tokens.
func (h *Handler) endTokens(c *call) error {
	if err := h.keys.EndAllTokens(c.r.Context(), c.actor); err != nil {
		return err
	}
	return h.readSettings(c)
}

// wantedSettings reads the instance's settings from the body.
func (c *call) wantedSettings() (store.Instance, error) {
	b := &c.body
	b.require(settingsMembers...)
	wanted := store.Instance{
		KeysOff: b.flag("keys_off"), Rules: b.rules(),
		RemindersOff: b.flag("reminders_off"), RemindBefore: b.reminders("remind_before"),
	}
	return wanted, c.bad.orNil()
}

// reminders reads times before an expiry; absent and null are none.
func (b *body) reminders(name string) (times [store.MaxReminders]time.Duration) {
	value, ok := b.members.Get(name)
	if !ok || b.isNull(name) {
		return times
	}
	elements, err := strictjson.Elements(value)
	if err != nil || len(elements) == 0 || len(elements) > len(times) {
		b.bad.add(name, "It must be an array of 1 to 8 times, or null for those that the host chose.")
		return times
	}
	for i, element := range elements {
		var n int64
		if json.Unmarshal(element, &n) != nil || n < 1 || n > maxSeconds {
			b.bad.add(name, "Each time must be a whole number of seconds, from 3600 (1 hour) to 31622400 (366 days).")
			return times
		}
		times[i] = time.Duration(n) * time.Second
	}
	return times
}

// readWorkspace serves GET /workspaces/{workspace}/settings.
func (h *Handler) readWorkspace(c *call) error {
	return c.answerWorkspace(c.seen())
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
	return c.answer(http.StatusOK, shown)
}

// saveWorkspace serves PUT /workspaces/{workspace}/settings.
func (h *Handler) saveWorkspace(c *call) error {
	wanted, err := c.wantedWorkspace()
	if err != nil {
		return err
	}
	now, _, err := c.seen()
	if err != nil {
		return err
	}
	if wanted.Version, err = c.mustMatch(func() (int64, error) { return now.Version, nil }); err != nil {
		return err
	}
	if _, err := h.keys.SaveWorkspace(c.r.Context(), c.actor, wanted); err != nil {
		return err
	}
	return h.readWorkspace(c)
}

// wantedWorkspace reads a workspace's settings from the body.
func (c *call) wantedWorkspace() (store.Workspace, error) {
	c.body.require(ruleMembers...)
	wanted := store.Workspace{ID: c.workspace(), Rules: c.body.rules()}
	return wanted, c.bad.orNil()
}

// switched serves POST /workspaces/{workspace}/suspend and resume.
func switched(suspended bool) func(*Handler, *call) error {
	return func(h *Handler, c *call) error {
		if _, _, err := c.seen(); err != nil {
			return err
		}
		if err := h.keys.SetSuspended(c.r.Context(), c.actor, c.workspace(), suspended); err != nil {
			return err
		}
		return h.readWorkspace(c)
	}
}

// seen reads the workspace in the path, before the service says what only
// organization admins may do: 404 for one that the actor has no part in. One that
// was deleted is not there any more, though its events are.
func (c *call) seen() (store.Workspace, store.Rules, error) {
	workspace, inForce, err := c.h.keys.Workspace(c.r.Context(), c.actor, c.workspace())
	if err == nil && workspace.Deleted {
		err = fmt.Errorf("admin: workspace: %w", store.ErrNotFound)
	}
	return workspace, inForce, err
}
