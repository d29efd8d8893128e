package admin

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

type eventJSON struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Actor     actorJSON `json:"actor"`
	Action    string    `json:"action"`
	Workspace string    `json:"workspace"`
	Key       string    `json:"key"`
	Fields    []string  `json:"fields"`
	Note      string    `json:"note"`
}

// listEvents serves GET /events and GET /workspaces/{workspace}/events.
func (h *Handler) listEvents(c *call) error {
	q := store.EventQuery{
		Workspace: c.workspace(),
		Key:       c.query.Get("key"),
		Action:    c.query.Get("action"),
		ActorID:   c.query.Get("actor"),
		From:      c.instant("from"),
		To:        c.instant("to"),
	}
	after, limit := c.page()
	if q.Limit = limit; after != nil {
		q.After = &store.EventCursor{Time: after.Time, ID: after.ID}
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

func showEvent(e *store.Event) eventJSON {
	return eventJSON{
		ID: e.ID, Time: e.Time, Actor: actorJSON(e.Actor), Action: e.Action, Workspace: e.Workspace, Key: e.Key,
		Fields: append([]string{}, e.Fields...), Note: e.Note,
	}
}

type dayJSON struct {
	Day      string `json:"day"`
	Logins   int64  `json:"logins"`
	Refusals int64  `json:"refusals"`
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
	return c.answer(http.StatusOK, members{"days": each(counts, func(day *store.Count) dayJSON {
		return dayJSON{day.Day.UTC().Format(time.DateOnly), day.Logins, day.Refusals}
	})})
}
