package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

// rulesJSON are rules as answers show them; durations are in seconds.
type rulesJSON struct {
	MaxKeys       int        `json:"max_keys"`
	RequireExpiry bool       `json:"require_expiry"`
	MaxLifetime   int64      `json:"max_lifetime"`
	EnforcedFrom  *time.Time `json:"enforced_from"`
}

type settingsJSON struct {
	KeysOff bool `json:"keys_off"`
	rulesJSON
	RemindersOff bool          `json:"reminders_off"`
	RemindBefore []int64       `json:"remind_before"` // null: the host's own
	Reminders    remindersJSON `json:"reminders"`
	UpdatedAt    *time.Time    `json:"updated_at"`
	Version      int64         `json:"version"`
}

// remindersJSON are the reminders in force.
type remindersJSON struct {
	Sent   bool    `json:"sent"` // by the host at all
	Before []int64 `json:"before"`
}

type workspaceJSON struct {
	Workspace string `json:"workspace"`
	Suspended bool   `json:"suspended"`
	Keys      int    `json:"keys"`
	rulesJSON
	// InForce are the rules that hold here, merged with the instance's.
	InForce   rulesJSON  `json:"in_force"`
	UpdatedAt *time.Time `json:"updated_at"`
	Version   int64      `json:"version"`
}

// What a body may and must hold: a rule left out would be lifted unseen.
var (
	ruleMembers     = []string{"max_keys", "require_expiry", "max_lifetime", "enforced_from"}
	settingsMembers = []string{"keys_off", "max_keys", "require_expiry", "max_lifetime", "enforced_from", "reminders_off", "remind_before"}
)

func showRules(r store.Rules) rulesJSON {
	return rulesJSON{r.MaxKeys, r.RequireExpiry, int64(r.MaxLifetime / time.Second), orNull(r.EnforcedFrom)}
}

func (b *body) rules() store.Rules {
	b.require(ruleMembers...)
	return store.Rules{
		MaxKeys:       int(b.integer("max_keys", store.Unlimited, 1<<31-1)),
		RequireExpiry: b.flag("require_expiry"),
		MaxLifetime:   b.seconds("max_lifetime"),
		EnforcedFrom:  b.instant("enforced_from"),
	}
}

// readSettings serves GET /settings.
func (h *Handler) readSettings(c *call) error {
	instance, err := h.keys.Settings(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	return c.answerSettings(instance)
}

func (c *call) answerSettings(s store.Instance) error {
	c.setETag(s.Version)
	shown := settingsJSON{
		KeysOff: s.KeysOff, rulesJSON: showRules(s.Rules), RemindersOff: s.RemindersOff,
		Reminders: remindersJSON{Before: []int64{}}, UpdatedAt: orNull(s.Updated), Version: s.Version,
	}
	for _, before := range s.RemindBefore {
		if before != 0 {
			shown.RemindBefore = append(shown.RemindBefore, int64(before/time.Second))
		}
	}
	if inForce, sent := c.h.keys.ReminderTimes(s); sent {
		shown.Reminders.Sent = true
		for _, before := range inForce {
			shown.Reminders.Before = append(shown.Reminders.Before, int64(before/time.Second))
		}
	}
	return c.answer(http.StatusOK, shown)
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
	saved, err := h.keys.SaveSettings(ctx, c.actor, wanted)
	if err != nil {
		return err
	}
	return c.answerSettings(saved)
}

// endTokens serves POST /settings/end_tokens.
func (h *Handler) endTokens(c *call) error {
	if _, err := c.readBody(); err != nil {
		return err
	}
	if err := h.keys.EndAllTokens(c.r.Context(), c.actor); err != nil {
		return err
	}
	return h.readSettings(c)
}

// wantedSettings reads the instance's settings from the body.
func (c *call) wantedSettings() (store.Instance, error) {
	b, err := c.readBody(settingsMembers...)
	if err != nil {
		return store.Instance{}, err
	}
	b.require("keys_off")
	wanted := store.Instance{KeysOff: b.flag("keys_off"), Rules: b.rules()}
	b.require("reminders_off", "remind_before")
	wanted.RemindersOff, wanted.RemindBefore = b.flag("reminders_off"), b.reminders("remind_before")
	return wanted, b.orNil()
}

// reminders reads times before an expiry; absent and null are none.
func (b *body) reminders(name string) (times [store.MaxReminders]time.Duration) {
	value, ok := b.members.Get(name)
	if !ok || b.isNull(name) {
		return times
	}
	elements, err := strictjson.Elements(value)
	if err != nil || len(elements) == 0 || len(elements) > len(times) {
		b.add(name, "It must be an array of 1 to 8 times, or null for those that the host chose.")
		return times
	}
	for i, element := range elements {
		var n int64
		if json.Unmarshal(element, &n) != nil || n < 1 || n > maxSeconds {
			b.add(name, "Each time must be a whole number of seconds, from 3600 (1 hour) to 31622400 (366 days).")
			return times
		}
		times[i] = time.Duration(n) * time.Second
	}
	return times
}

// readWorkspace serves GET /workspaces/{workspace}/settings.
func (h *Handler) readWorkspace(c *call) error {
	workspace, err := c.seen()
	if err != nil {
		return err
	}
	return c.answerWorkspace(workspace)
}

func (c *call) answerWorkspace(w store.Workspace) error {
	inForce, err := c.h.keys.Rules(c.r.Context(), c.actor, w.ID)
	if err != nil {
		return err
	}
	c.setETag(w.Version)
	return c.answer(http.StatusOK, workspaceJSON{
		Workspace: w.ID, Suspended: w.Suspended, Keys: w.Keys,
		rulesJSON: showRules(w.Rules), InForce: showRules(inForce),
		UpdatedAt: orNull(w.Updated), Version: w.Version,
	})
}

// saveWorkspace serves PUT /workspaces/{workspace}/settings.
func (h *Handler) saveWorkspace(c *call) error {
	ctx := c.r.Context()
	wanted, err := c.wantedWorkspace()
	if err != nil {
		return err
	}
	now, err := c.seen()
	if err != nil {
		return err
	}
	if wanted.Version, err = c.mustMatch(func() (int64, error) { return now.Version, nil }); err != nil {
		return err
	}
	saved, err := h.keys.SaveWorkspace(ctx, c.actor, wanted)
	if err != nil {
		return err
	}
	return c.answerWorkspace(saved)
}

// wantedWorkspace reads a workspace's settings from the body.
func (c *call) wantedWorkspace() (store.Workspace, error) {
	b, err := c.readBody(ruleMembers...)
	if err != nil {
		return store.Workspace{}, err
	}
	wanted := store.Workspace{ID: c.workspace(), Rules: b.rules()}
	return wanted, b.orNil()
}

// suspend serves POST /workspaces/{workspace}/suspend.
func (h *Handler) suspend(c *call) error {
	if _, err := c.readBody(); err != nil {
		return err
	}
	if err := c.mustSee(); err != nil {
		return err
	}
	if err := h.keys.Suspend(c.r.Context(), c.actor, c.workspace()); err != nil {
		return err
	}
	return h.readWorkspace(c)
}

// resume serves POST /workspaces/{workspace}/resume.
func (h *Handler) resume(c *call) error {
	if _, err := c.readBody(); err != nil {
		return err
	}
	if err := c.mustSee(); err != nil {
		return err
	}
	if err := h.keys.Resume(c.r.Context(), c.actor, c.workspace()); err != nil {
		return err
	}
	return h.readWorkspace(c)
}

// mustSee answers 404 for a workspace that the actor has no part in, before
// the service says what only organization admins may do.
func (c *call) mustSee() error {
	_, err := c.seen()
	return err
}

// seen reads the workspace in the path. One that was deleted is not there any
// more, though its events are.
func (c *call) seen() (store.Workspace, error) {
	workspace, err := c.h.keys.Workspace(c.r.Context(), c.actor, c.workspace())
	if err == nil && workspace.Deleted {
		err = fmt.Errorf("admin: workspace: %w", store.ErrNotFound)
	}
	return workspace, err
}
