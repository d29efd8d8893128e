package admin

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// listEvents serves GET /events and GET /workspaces/{workspace}/events.
func (h *Handler) listEvents(c *call) error {
	q := store.EventQuery{
		Workspace: c.workspace(),
		Key:       c.query.Get("key"),
		Action:    c.query.Get("action"),
		ActorID:   c.query.Get("actor"),
		From:      c.instant("from"),
		To:        c.instant("to"),
		Limit:     c.limit,
	}
	if c.after != nil {
		q.After = &store.EventCursor{Time: c.after.Time, ID: c.after.ID}
	}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.Events(c.r.Context(), c.actor, q)
	if err != nil {
		return err
	}
	var next *store.KeyCursor
	if page.Next != nil {
		next = &store.KeyCursor{ID: page.Next.ID, Time: page.Next.Time}
	}
	return c.answerPage(next, members{"events": each(page.Events, showEvent)})
}

func showEvent(e *store.Event) members {
	return members{
		"id": e.ID, "time": e.Time, "actor": actorJSON(e.Actor), "action": e.Action, "workspace": e.Workspace, "key": e.Key,
		"fields": append([]string{}, e.Fields...), "note": e.Note,
	}
}

// usageDays is how far back GET /keys/{key}/usage looks unless told.
const usageDays = 30

// keyUsage serves GET /keys/{key}/usage.
func (h *Handler) keyUsage(c *call) error {
	from, to := c.instant("from"), c.instant("to")
	if err := c.bad.orNil(); err != nil {
		return err
	}
	if to.IsZero() {
		to = h.keys.Now().Truncate(24*time.Hour).AddDate(0, 0, 1)
	}
	if from.IsZero() {
		from = to.AddDate(0, 0, -usageDays)
	}
	counts, err := h.keys.Usage(c.r.Context(), c.actor, c.key(), from, to)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, members{"days": each(counts, func(c *store.Count) members {
		return members{"day": c.Day.UTC().Format(time.DateOnly), "logins": c.Logins, "refusals": c.Refusals}
	})})
}
