package admin

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// listKeys serves GET /keys and GET /workspaces/{workspace}/keys.
func (h *Handler) listKeys(c *call) error {
	q := c.keyQuery()
	q.Text = c.query.Get("text")
	q.Permission = c.query.Get("permission")
	q.CreatedBy = store.ActorRef{Kind: c.query.Get("created_by_kind"), ID: c.query.Get("created_by")}
	if q.CreatedBy.Kind != "" && q.CreatedBy.ID == "" {
		c.bad.add("created_by_kind", "It says more of created_by, which is missing.")
	}
	q.NotAfterFrom = c.instant("expires_from")
	q.NotAfterTo = c.instant("expires_to")
	if err := c.bad.orNil(); err != nil {
		return err
	}
	return c.answerKeys(q)
}

// Bounds and default of how far ahead GET /expiring looks, in seconds.
const (
	defaultWithin = 30 * 24 * 60 * 60
	maxWithin     = 366 * 24 * 60 * 60
)

// listExpiring serves GET /expiring and GET /workspaces/{workspace}/expiring.
func (h *Handler) listExpiring(c *call) error {
	q := c.keyQuery()
	within := c.number("within", "a number of seconds", maxWithin, defaultWithin)
	now := h.keys.Now()
	q.NotAfterFrom = now.Add(time.Microsecond) // a key that ends now has expired
	q.NotAfterTo = now.Add(time.Duration(within) * time.Second)
	if err := c.bad.orNil(); err != nil {
		return err
	}
	return c.answerKeys(q)
}

// keyQuery reads what all lists of keys share.
func (c *call) keyQuery() store.KeyQuery {
	q := store.KeyQuery{Workspace: c.workspace()}
	q.After, q.Limit = c.page()
	if word := c.choice("disabled", "true", "false"); word != "" {
		disabled := word == "true"
		q.Disabled = &disabled
	}
	q.Sort = store.KeySort(c.choice("sort", "created", "name", "last_used", "expires"))
	if q.Workspace == "" && (q.Sort == store.ByLastUsed || q.Sort == store.ByExpiry) {
		c.bad.add("sort", "This order is for the keys of one workspace.")
	}
	q.Descending = c.choice("order", "asc", "desc") == "desc"
	return q
}

// answerKeys sends one page.
func (c *call) answerKeys(q store.KeyQuery) error {
	ctx, keys := c.r.Context(), c.h.keys
	if q.Sort == store.ByLastUsed || q.Sort == store.ByExpiry {
		workspace, _, err := keys.Workspace(ctx, c.actor, q.Workspace)
		if err != nil {
			return err
		}
		if workspace.Keys > store.MaxSorted {
			return invalid(field{Field: "sort", Reason: "This order is for workspaces of at most 10000 keys."})
		}
	}
	page, err := keys.List(ctx, c.actor, q)
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
		if _, _, err := h.keys.Workspace(ctx, c.actor, c.workspace()); err != nil {
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
