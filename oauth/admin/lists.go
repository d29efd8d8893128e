package admin

import (
	"net/http"

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
		Sort:         store.KeySort(c.choice("sort", "created", "name", "last_used", "expires")),
		Descending:   c.choice("order", "asc", "desc") == "desc",
		After:        c.after,
		Limit:        c.limit,
	}
	if q.CreatedBy.Kind != "" && q.CreatedBy.ID == "" {
		c.bad.add("created_by_kind", "It says more of created_by, which is missing.")
	}
	if word := c.choice("disabled", "true", "false"); word != "" {
		disabled := word == "true"
		q.Disabled = &disabled
	}
	ofWorkspace := q.Sort == store.ByLastUsed || q.Sort == store.ByExpiry
	if ofWorkspace && q.Workspace == "" {
		c.bad.add("sort", "This order is for the keys of one workspace.")
	}
	if err := c.bad.orNil(); err != nil {
		return err
	}
	if ofWorkspace {
		workspace, err := h.keys.Workspace(ctx, c.actor, q.Workspace)
		if err != nil {
			return err
		}
		if workspace.Keys > store.MaxSorted {
			return invalid(field{Field: "sort", Reason: "This order is for workspaces of at most 10000 keys."})
		}
	}
	page, err := h.keys.List(ctx, c.actor, q)
	if err != nil {
		return err
	}
	return c.answerPage(page.Next, members{"keys": each(page.Keys, showKey)})
}

// grantable serves GET /workspaces/{workspace}/permissions: those that this
// actor may give to a key there now, in the catalog's groups and order.
func (h *Handler) grantable(c *call) error {
	ctx := c.r.Context()
	set, err := h.keys.Grantable(ctx, c.actor, c.workspace())
	if err != nil {
		return err
	}
	if set.Len() == 0 {
		// Nobody's workspace, or one in which he may only look.
		if _, err := h.keys.Workspace(ctx, c.actor, c.workspace()); err != nil {
			return err
		}
	}
	groups := []members{}
	for _, group := range h.keys.Catalog().Groups() {
		var permissions []members
		for _, p := range group.Permissions {
			if set.Has(p.Name) {
				permissions = append(permissions, members{"name": p.Name, "title": p.Title, "description": p.Description, "level": p.Level.String()})
			}
		}
		if permissions != nil {
			groups = append(groups, members{"title": group.Title, "permissions": permissions})
		}
	}
	return c.answer(http.StatusOK, members{"groups": groups})
}
