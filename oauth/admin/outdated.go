package admin

import "github.com/latchkey-go/latchkey/oauth/apikey"

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
		"outdated": each(page.Outdated, func(o *apikey.Outdated) members {
			return members{"key": c.showKey(&o.Key, o.Standing), "names": o.Names}
		}),
		"looked_at": page.Looked,
	})
}
