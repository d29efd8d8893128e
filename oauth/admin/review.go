package admin

import "github.com/latchkey-go/latchkey/oauth/apikey"

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

// answerEffects says what other settings would do to each key.
func (c *call) answerEffects(page apikey.EffectPage, err error) error {
	if err != nil {
		return err
	}
	return c.answerPage(page.Next, members{
		"effects": each(page.Effects, func(e *apikey.Effect) members {
			return members{
				"key": showKey(&e.Key), "ends_now": orNull(e.Before), "ends": orNull(e.After), "reminded": e.Reminded,
			}
		}),
		"looked_at": page.Looked,
	})
}

// listViolations serves GET /violations and GET
// /workspaces/{workspace}/violations: keys that break the settings.
func (h *Handler) listViolations(c *call) error {
	page, err := h.keys.Violations(c.r.Context(), c.actor, c.workspace(), c.after, c.limit)
	if err != nil {
		return err
	}
	return c.answerPage(page.Next, members{
		"violations": each(page.Violations, func(v *apikey.Violation) members {
			return members{"key": showKey(&v.Key), "rules": v.Rules, "ends": orNull(v.Key.Standing.Ends)}
		}),
	})
}

// listOutdated serves GET /outdated: keys that keep entries from being taken out of
// the host's lists of peppers and prefixes.
func (h *Handler) listOutdated(c *call) error {
	page, err := h.keys.Outdated(c.r.Context(), c.actor, c.after, c.limit)
	if err != nil {
		return err
	}
	return c.answerPage(page.Next, members{
		"outdated": each(page.Outdated, func(o *apikey.Outdated) members {
			return members{"key": showKey(&o.Key), "names": o.Names}
		}),
		"looked_at": page.Looked,
	})
}
