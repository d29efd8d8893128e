package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyList is the data of a page of keys, of one workspace or of all.
type keyList struct {
	Keys    []apikey.Key
	Catalog []scope.Group
	Sort    string // a column, with a minus before it for the descending order
	ByUse   bool   // the list can be in the order of last use
	workspaceInfo
	pager
}

// workspaceInfo is what the pages of keys need to know of their workspace.
type workspaceInfo struct {
	Record    store.Workspace
	Rules     store.Rules  // the rules in force
	Off       policy.State // why no key works now; empty if they work
	Grantable scope.Set    // what the person may grant; empty if they may not change keys
}

// Full reports whether the limit of keys is reached.
func (info workspaceInfo) Full() bool {
	return info.Rules.MaxKeys > 0 && info.Record.Keys >= info.Rules.MaxKeys
}

// workspaceInfo reads the info of a workspace.
func (s *call) workspaceInfo(workspace string) (info workspaceInfo, err error) {
	ctx := s.r.Context()
	if info.Record, info.Rules, err = s.keys().Workspace(ctx, s.actor(), workspace); err != nil {
		return info, err
	}
	standing, err := s.keys().WorkspaceStanding(ctx, workspace)
	if err != nil {
		return info, err
	}
	if !standing.Live() {
		info.Off = standing.State
	}
	info.Grantable, err = s.keys().Grantable(ctx, s.actor(), workspace)
	return info, err
}

// listKeys shows the keys of a workspace or of all, with the filter and order in the
// query. The order by last use exists only for workspaces with few keys.
func (s *call) listKeys() (err error) {
	page := frame{Here: "all", Title: "All keys", Workspace: s.workspace()}
	list := keyList{Catalog: s.keys().Catalog().Groups()}
	if page.Workspace != "" {
		page.Here, page.Title = "keys", "API keys"
		if list.workspaceInfo, err = s.workspaceInfo(page.Workspace); err != nil {
			return err
		}
		list.ByUse = list.Record.Keys <= store.MaxSorted
	}
	filter, after, now := s.r.URL.Query(), s.after(), s.keys().Now()
	q := store.KeyQuery{Workspace: page.Workspace, Text: filter.Get("text"), Permission: filter.Get("permission"), After: after, Limit: pageSize}
	// Pages show a creator that is a key as "key " and its id. Accept that text, too.
	q.CreatedBy.ID = strings.TrimPrefix(strings.TrimSpace(filter.Get("creator")), "key ")
	sorts := []store.KeySort{store.ByCreated, store.ByName, store.ByExpiry}
	if list.ByUse {
		sorts = append(sorts, store.ByLastUsed)
	}
	list.Sort = filter.Get("sort")
	if !slices.Contains(sorts, store.KeySort(strings.TrimPrefix(list.Sort, "-"))) {
		list.Sort = "-created"
	}
	column, descending := strings.CutPrefix(list.Sort, "-")
	q.Sort, q.Descending = store.KeySort(column), descending
	switch state := filter.Get("state"); state {
	case "disabled", "enabled":
		disabled := state == "disabled"
		q.Disabled = &disabled
	case "expired": // by the key's own expiry, as for soon; the State column shows one by the rules, too
		q.NotAfterFrom, q.NotAfterTo = time.Unix(0, 0), now.Add(time.Microsecond)
	case "soon":
		q.NotAfterFrom, q.NotAfterTo = now.Add(time.Microsecond), now.Add(soon)
	}
	found, err := s.keys().List(s.r.Context(), s.actor(), q)
	if err != nil {
		return err
	}
	list.Keys, list.pager = found.Keys, s.pager(after, found.Next)
	page.Data = list
	return s.show(http.StatusOK, "keys", page)
}
