package admin

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// effectJSON is what other settings would do to one key.
type effectJSON struct {
	Key      keyJSON    `json:"key"`
	EndsNow  *time.Time `json:"ends_now"`
	Ends     *time.Time `json:"ends"`
	Reminded bool       `json:"reminded"`
}

type effectPage struct {
	Effects []effectJSON `json:"effects"`
	Looked  int          `json:"looked_at"`
	Next    *string      `json:"next"`
}

// previewSettings serves POST /settings/preview.
func (h *Handler) previewSettings(c *call) error {
	wanted, err := c.wantedSettings()
	if err != nil {
		return err
	}
	return c.answerEffects(func(after *store.KeyCursor, limit int) (apikey.EffectPage, error) {
		return h.keys.PreviewSettings(c.r.Context(), c.actor, wanted, after, limit)
	})
}

// previewWorkspace serves POST /workspaces/{workspace}/settings/preview.
func (h *Handler) previewWorkspace(c *call) error {
	wanted, err := c.wantedWorkspace()
	if err != nil {
		return err
	}
	if err := c.mustSee(); err != nil {
		return err
	}
	return c.answerEffects(func(after *store.KeyCursor, limit int) (apikey.EffectPage, error) {
		return h.keys.PreviewWorkspace(c.r.Context(), c.actor, wanted, after, limit)
	})
}

func (c *call) answerEffects(look func(after *store.KeyCursor, limit int) (apikey.EffectPage, error)) error {
	var bad fieldErrors
	after, limit := (*store.KeyCursor)(c.place(&bad)), c.limit(&bad)
	if err := bad.orNil(); err != nil {
		return err
	}
	page, err := look(after, limit)
	if err != nil {
		return err
	}
	next, err := c.cursor((*place)(page.Next))
	if err != nil {
		return err
	}
	shown := effectPage{Effects: make([]effectJSON, len(page.Effects)), Looked: page.Looked, Next: next}
	for i, effect := range page.Effects {
		shown.Effects[i] = effectJSON{showKey(&effect.Key), orNull(effect.Before), orNull(effect.After), effect.Reminded}
	}
	return c.answer(http.StatusOK, shown)
}

type violationJSON struct {
	Key   keyJSON    `json:"key"`
	Rules []string   `json:"rules"`
	Ends  *time.Time `json:"ends"`
}

type violationPage struct {
	Violations []violationJSON `json:"violations"`
	Next       *string         `json:"next"`
}

// listViolations serves GET /violations and GET
// /workspaces/{workspace}/violations: keys that break the settings.
func (h *Handler) listViolations(c *call) error {
	var bad fieldErrors
	after, limit := (*store.KeyCursor)(c.place(&bad)), c.limit(&bad)
	if err := bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.Violations(c.r.Context(), c.actor, c.workspace(), after, limit)
	if err != nil {
		return err
	}
	next, err := c.cursor((*place)(page.Next))
	if err != nil {
		return err
	}
	shown := violationPage{Violations: make([]violationJSON, len(page.Violations)), Next: next}
	for i, v := range page.Violations {
		shown.Violations[i] = violationJSON{showKey(&v.Key), v.Rules, orNull(v.Key.Standing.Ends)}
	}
	return c.answer(http.StatusOK, shown)
}
