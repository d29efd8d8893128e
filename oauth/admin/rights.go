package admin

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/scope"
)

// me serves GET /me: the actor, and what it may do.
func (h *Handler) me(c *call) error {
	rights, err := h.keys.Rights(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	workspaces := []members{}
	for _, workspace := range slices.Sorted(maps.Keys(rights.Workspaces)) {
		workspaces = append(workspaces, members{"workspace": workspace, "rights": append([]string{}, rights.Workspaces[workspace]...)})
	}
	actor := c.actor.Ref()
	return c.answer(http.StatusOK, members{
		"kind": actor.Kind, "id": actor.ID, "name": unlessZero(rights.Name),
		"rights": append([]string{}, rights.Everywhere...), "workspaces": workspaces, "grants": rights.Grants.Names(),
	})
}

// catalog serves GET /permissions: every permission, and every wildcard that takes the
// place of a last segment.
func (h *Handler) catalog(c *call) error {
	catalog := h.keys.Catalog()
	wildcards := []members{}
	seen := map[string]bool{}
	for name := range catalog.All().All() {
		pattern := name[:strings.LastIndexByte(name, '.')+1] + "*"
		if seen[pattern] {
			continue
		}
		seen[pattern] = true
		set, err := scope.Of(pattern)
		if err != nil {
			return err
		}
		if set, err = catalog.Expand(set, true); err == nil { // Expand fails if the pattern matches only admin permissions and does not begin with "admin."
			wildcards = append(wildcards, members{"pattern": pattern, "permissions": set.Names()})
		}
	}
	return c.answer(http.StatusOK, members{"groups": h.groups(catalog.All()), "wildcards": wildcards})
}

// grantable serves GET /workspaces/{workspace}/permissions: the permissions that
// this actor may now grant to a key there, in the catalog's groups and order.
func (h *Handler) grantable(c *call) error {
	ctx := c.r.Context()
	set, err := h.keys.Grantable(ctx, c.actor, c.workspace())
	if err != nil {
		return err
	}
	if set.Len() == 0 {
		// The workspace does not exist for this actor, or the actor may only read
		// there.
		if _, _, err := h.keys.Workspace(ctx, c.actor, c.workspace()); err != nil {
			return err
		}
	}
	return c.answer(http.StatusOK, members{"groups": h.groups(set)})
}

// groups returns the permissions of set in the catalog's groups and order, without
// groups that have none.
func (h *Handler) groups(set scope.Set) []members {
	groups := []members{}
	for _, group := range h.keys.Catalog().Groups() {
		var permissions []members
		for _, p := range group.Permissions {
			if set.Has(p.Name) {
				permissions = append(permissions, members{
					"name": p.Name, "title": p.Title, "description": unlessZero(p.Description), "level": p.Level.String(),
				})
			}
		}
		if permissions != nil {
			groups = append(groups, members{"title": unlessZero(group.Title), "permissions": permissions})
		}
	}
	return groups
}
