package admin

import (
	"net/http"
	"strconv"
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

type eventPage struct {
	Events []eventJSON `json:"events"`
	Next   *string     `json:"next"`
}

// listEvents serves GET /events and GET /workspaces/{workspace}/events.
func (h *Handler) listEvents(c *call) error {
	var bad fieldErrors
	q := store.EventQuery{
		Workspace: c.workspace(),
		Key:       c.query.Get("key"),
		Action:    c.query.Get("action"),
		ActorID:   c.query.Get("actor"),
		From:      c.instant(&bad, "from"),
		To:        c.instant(&bad, "to"),
		Limit:     c.limit(&bad),
	}
	if p := c.place(&bad); p != nil {
		q.After = &store.EventCursor{Time: p.Time, ID: p.ID}
	}
	if err := bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.Events(c.r.Context(), c.actor, q)
	if err != nil {
		return err
	}
	shown := eventPage{Events: make([]eventJSON, len(page.Events))}
	for i, e := range page.Events {
		shown.Events[i] = eventJSON{
			ID: e.ID, Time: e.Time, Actor: actorJSON(e.Actor), Action: e.Action, Workspace: e.Workspace, Key: e.Key,
			Fields: append([]string{}, e.Fields...), Note: e.Note,
		}
	}
	if page.Next != nil {
		shown.Next, err = c.cursor(&place{ID: page.Next.ID, Time: page.Next.Time})
		if err != nil {
			return err
		}
	}
	return c.answer(http.StatusOK, shown)
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
	var bad fieldErrors
	from, to := c.instant(&bad, "from"), c.instant(&bad, "to")
	if err := bad.orNil(); err != nil {
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
	days := make([]dayJSON, len(counts))
	for i, count := range counts {
		days[i] = dayJSON{count.Day.UTC().Format(time.DateOnly), count.Logins, count.Refusals}
	}
	return c.answer(http.StatusOK, struct {
		Days []dayJSON `json:"days"`
	}{days})
}

// number reads a whole number within bounds; absent is the default.
func number(text string, least, most, byDefault int64) (int64, bool) {
	if text == "" {
		return byDefault, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= least && n <= most
}
