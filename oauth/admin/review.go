package admin

import (
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"slices"
)

// previewSettings serves POST /settings/preview.
func (h *Handler) previewSettings(c *call) error {
	wanted, err := c.wantedSettings()
	if err != nil {
		return err
	}
	return c.answerEffects(func(after *store.KeyCursor, limit int) (apikey.Page[apikey.Effect], error) {
		return h.keys.PreviewSettings(c.r.Context(), c.actor, wanted, after, limit)
	})
}

// previewWorkspace serves POST /workspaces/{workspace}/settings/preview.
func (h *Handler) previewWorkspace(c *call) error {
	wanted, err := c.wantedWorkspace()
	if err != nil {
		return err
	}
	if _, _, err := c.seen(); err != nil {
		return err
	}
	return c.answerEffects(func(after *store.KeyCursor, limit int) (apikey.Page[apikey.Effect], error) {
		return h.keys.PreviewWorkspace(c.r.Context(), c.actor, wanted, after, limit)
	})
}

// answerEffects says what other settings would do to each key.
func (c *call) answerEffects(look func(after *store.KeyCursor, limit int) (apikey.Page[apikey.Effect], error)) error {
	after, limit := c.page()
	if err := c.bad.orNil(); err != nil {
		return err
	}
	page, err := look(after, limit)
	if err != nil {
		return err
	}
	return c.answerPage(page.Next, members{
		"effects": each(page.Keys, func(e *apikey.Effect) members {
			return members{
				"key": showKey(&e.Key), "ends_now": orNull(e.Before), "ends": orNull(e.After),
			}
		}),
		"looked_at": page.Looked,
	})
}

// listViolations serves GET /violations and GET
// /workspaces/{workspace}/violations: keys that break the settings.
func (h *Handler) listViolations(c *call) error {
	after, limit := c.page()
	if err := c.bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.List(c.r.Context(), c.actor, store.KeyQuery{Workspace: c.workspace(), After: after, Limit: limit})
	if err != nil {
		return err
	}
	broken := slices.DeleteFunc(page.Keys, func(k apikey.Key) bool { return len(k.Breaks) == 0 })
	return c.answerPage(page.Next, members{
		"violations": each(broken, func(k *apikey.Key) members {
			return members{"key": showKey(k), "rules": k.Breaks, "ends": orNull(k.Standing.Ends)}
		}),
	})
}

// listOutdated serves GET /outdated: keys that keep entries from being taken out of
// the host's lists of peppers and prefixes.
func (h *Handler) listOutdated(c *call) error {
	after, limit := c.page()
	if err := c.bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.Outdated(c.r.Context(), c.actor, after, limit)
	if err != nil {
		return err
	}
	return c.answerPage(page.Next, members{
		"outdated": each(page.Keys, func(k *apikey.Key) members {
			return members{"key": showKey(k), "names": k.Outdated}
		}),
	})
}
