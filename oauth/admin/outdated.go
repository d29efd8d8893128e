package admin

import (
	"net/http"

	"github.com/latchkey-go/latchkey/store"
)

// outdatedJSON is a key that keeps entries from being taken out of the host's
// lists of peppers and prefixes.
type outdatedJSON struct {
	Key   keyJSON  `json:"key"`
	Names []string `json:"names"`
}

type outdatedPage struct {
	Outdated []outdatedJSON `json:"outdated"`
	Looked   int            `json:"looked_at"`
	Next     *string        `json:"next"`
}

// listOutdated serves GET /outdated.
func (h *Handler) listOutdated(c *call) error {
	var bad fieldErrors
	after, limit := (*store.KeyCursor)(c.place(&bad)), c.limit(&bad)
	if err := bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.Outdated(c.r.Context(), c.actor, after, limit)
	if err != nil {
		return err
	}
	next, err := c.cursor((*place)(page.Next))
	if err != nil {
		return err
	}
	shown := outdatedPage{Outdated: make([]outdatedJSON, len(page.Outdated)), Looked: page.Looked, Next: next}
	for i, o := range page.Outdated {
		shown.Outdated[i] = outdatedJSON{showKey(&o.Key), o.Names}
	}
	return c.answer(http.StatusOK, shown)
}
