package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// listKeys serves GET /keys and GET /workspaces/{workspace}/keys.
func (h *Handler) listKeys(c *call) error {
	ctx := c.r.Context()
	q := store.KeyQuery{
		Workspace:    c.workspace(),
		Text:         c.query.Get("text"),
		Permission:   c.query.Get("permission"),
		CreatedBy:    store.ActorRef{Kind: c.query.Get("created_by_kind"), ID: c.query.Get("created_by")},
		NotAfterFrom: c.instant("expires_from"),
		NotAfterTo:   c.instant("expires_to"),
		LastUsedFrom: c.instant("last_used_from"),
		LastUsedTo:   c.instant("last_used_to"),
		Sort:         store.KeySort(c.choice("sort", "created", "name", "last_used", "expires")),
		Descending:   c.choice("order", "asc", "desc") == "desc",
		After:        c.after,
		Limit:        c.limit,
	}
	if q.CreatedBy.Kind != "" && q.CreatedBy.ID == "" {
		c.bad.add("created_by_kind", "It needs created_by, which is missing.")
	}
	if word := c.choice("disabled", "true", "false"); word != "" {
		disabled := word == "true"
		q.Disabled = &disabled
	}
	needsWorkspace := q.Sort == store.ByLastUsed
	if needsWorkspace && q.Workspace == "" {
		c.bad.add("sort", "This order is available only for the keys of one workspace: use GET /workspaces/{workspace}/keys, or another order.")
	}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	if needsWorkspace {
		workspace, _, err := h.keys.Workspace(ctx, c.actor, q.Workspace)
		if err != nil {
			return err
		}
		if workspace.Keys > store.MaxSorted {
			return invalid(field{Field: "sort", Reason: "This order is available only for workspaces of at most 10000 keys: use another order."})
		}
	}
	page, err := h.keys.List(ctx, c.actor, q)
	return c.answerPage(page.Next, members{"keys": each(page.Keys, showKey)}, err)
}

// cursor signs a cursor, if there is one, for this actor, list and filter. Its content is
// not secret: the caller has just seen the key that it names. The signature keeps callers
// from making cursors of their own and learning from them where other keys are in the
// order.
func (c *call) cursor(p *store.KeyCursor) (*string, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // null in the answer means the last page
	}
	text, err := json.Marshal(p)
	signed := request.Seal(c.h.cfg.CursorKey, text, c.cursorBinding()...)
	return &signed, err
}

// readPage reads limit and cursor. Routes that are not lists have no such
// parameters.
func (c *call) readPage() error {
	if text := c.query.Get("limit"); text != "" {
		var err error
		if c.limit, err = strconv.Atoi(text); err != nil || c.limit < 1 || c.limit > store.MaxPage {
			c.bad.add("limit", "It must be a number from 1 to "+strconv.Itoa(store.MaxPage)+".")
		}
	}
	if signed := c.query.Get("cursor"); signed != "" {
		text, ok := request.Open(c.h.cfg.CursorKey, signed, c.cursorBinding()...)
		if !ok || json.Unmarshal(text, &c.after) != nil {
			c.bad.add("cursor", "It is not a cursor of this list and filter, or was made for another actor. Begin with the first page.")
		}
	}
	return c.bad.orNil()
}

// cursorBinding returns the texts for which a cursor is signed.
func (c *call) cursorBinding() []string {
	actor := c.actor.Ref()
	filter := maps.Clone(c.query)
	filter.Del("cursor")
	filter.Del("limit") // the next page may have another size
	return []string{"latchkey cursor", actor.Kind, actor.ID, c.routeName(), c.workspace(), filter.Encode()}
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
		After:     c.after,
		Limit:     c.limit,
	}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	page, err := h.keys.Events(c.r.Context(), c.actor, q)
	return c.answerPage(page.Next, members{"events": each(page.Events, showEvent)}, err)
}

func showEvent(e *store.Event) members {
	return members{
		"id": e.ID, "occurred_at": e.Time, "actor": e.Actor, "actor_name": unlessZero(e.ActorName), "address": unlessZero(e.Address),
		"action": e.Action, "workspace": unlessZero(e.Workspace), "key": unlessZero(e.Key), "key_name": unlessZero(e.KeyName), "note": unlessZero(e.Note),
		"changes": each(e.Changes, func(c *store.FieldChange) members {
			return members{"field": c.Field, "old": unlessZero(c.Old), "new": unlessZero(c.New)}
		}),
	}
}

// usageDays is the default period of GET /keys/{key}/usage, in days.
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
