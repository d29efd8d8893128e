package admin

import "github.com/latchkey-go/latchkey/oauth/apikey"

// outdatedJSON is a key that keeps entries from being taken out of the host's
// lists of peppers and prefixes.
type outdatedJSON struct {
	Key   keyJSON  `json:"key"`
	Names []string `json:"names"`
}

// listOutdated serves GET /outdated.
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
		"outdated": each(page.Outdated, func(o *apikey.Outdated) outdatedJSON {
			return outdatedJSON{c.showKey(&o.Key, o.Standing), o.Names}
		}),
		"looked_at": page.Looked,
	})
}
