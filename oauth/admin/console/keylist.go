package console

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyList is a page of keys.
type keyList struct {
	Keys      []keyView
	Total     int    // keys of the workspace
	Limit     int    // 0: none
	Full      bool   // no more keys can be made
	MayCreate bool   // the person, as far as permissions go
	Off       string // why no key works at the moment
	Filter    url.Values
	Filtered  bool
	Catalog   []scope.Group
	Columns   []column
	All       bool // of all workspaces
	pager
}

// column is one that a list shows, and may be sorted by.
type column struct {
	By                    store.KeySort
	Label                 string
	Ascending, Descending string // the orders as a form offers them
	Sortable              bool
	Aria                  string // how the list is sorted by it; empty: it is not
	Query                 string // sorts by it, or the other way round
}

// sortBy reads the order that the address names: a column, with a minus before
// it the other way round. Every store sorts by name and creation; other columns
// are for lists that are not too long.
func sortBy(q *store.KeyQuery, values url.Values, all bool) []column {
	columns := []column{
		{By: store.ByName, Label: "Name", Ascending: "Name, A to Z", Descending: "Name, Z to A", Sortable: true},
		{By: store.ByCreated, Label: "Created", Ascending: "Oldest first", Descending: "Newest first", Sortable: true},
		{By: store.ByLastUsed, Label: "Last used", Ascending: "Used longest ago first", Descending: "Used last first", Sortable: all},
		{By: store.ByExpiry, Label: "Expires", Ascending: "Expires soonest first", Descending: "Expires last first", Sortable: all},
	}
	wanted, descending := strings.CutPrefix(values.Get("sort"), "-")
	for _, c := range columns {
		if string(c.By) == wanted && c.Sortable {
			q.Sort, q.Descending = c.By, descending
		}
	}
	for i := range columns {
		c, order := &columns[i], string(columns[i].By)
		switch {
		case c.By != q.Sort:
		case q.Descending:
			c.Aria = "descending"
		default:
			c.Aria, order = "ascending", "-"+order
		}
		to := without(values, "cursor", "done")
		to.Set("sort", order)
		c.Query = "?" + to.Encode()
	}
	return columns
}

// listKeys shows the keys of a workspace.
func (s *call) listKeys() error {
	ctx := s.r.Context()
	workspace, rules, err := s.keys().Workspace(ctx, s.actor(), s.workspace())
	if err != nil {
		return err
	}
	grantable, err := s.keys().Grantable(ctx, s.actor(), s.workspace())
	if err != nil {
		return err
	}
	list, err := s.readKeys(s.workspace(), workspace.Keys <= store.MaxSorted)
	if err != nil {
		return err
	}
	if list.Off, err = s.off(s.workspace()); err != nil {
		return err
	}
	list.Total, list.Limit, list.MayCreate = workspace.Keys, rules.MaxKeys, grantable.Len() > 0 && list.Off == ""
	list.Full = rules.MaxKeys > 0 && workspace.Keys >= rules.MaxKeys
	return s.show(http.StatusOK, "keys", frame{Here: "keys", Title: "API keys", Workspace: s.workspace(), Data: list})
}

// off says why no key of a workspace works at the moment, if so.
func (s *call) off(workspace string) (string, error) {
	standing, err := s.keys().WorkspaceStanding(s.r.Context(), workspace)
	switch standing.State {
	case policy.StateSuspended:
		return "This workspace is suspended or was deleted: none of its keys can log in. An administrator can resume one that is suspended.", err
	case policy.StateKeysOff:
		return "API keys are switched off on this service: none can log in, and none can be made. An administrator can switch them on again.", err
	}
	return "", err
}

// listAllKeys shows the keys of every workspace.
func (s *call) listAllKeys() error {
	list, err := s.readKeys("", false)
	if err != nil {
		return err
	}
	list.All = true
	return s.show(http.StatusOK, "keys", frame{Here: "all", Title: "All keys", Data: list})
}

// readKeys reads the page of keys that the address names.
func (s *call) readKeys(workspace string, sortable bool) (keyList, error) {
	list := keyList{Filter: s.r.URL.Query(), Catalog: s.keys().Catalog().Groups()}
	q := store.KeyQuery{
		Workspace: workspace, Text: list.Filter.Get("text"), Permission: list.Filter.Get("permission"),
		Limit: pageSize, Sort: store.ByCreated, Descending: true,
	}
	now := s.keys().Now()
	state := list.Filter.Get("state")
	switch state {
	case "disabled", "enabled":
		disabled := state == "disabled"
		q.Disabled = &disabled
	case "expired":
		q.NotAfterFrom, q.NotAfterTo = time.Unix(0, 0), now.Add(time.Microsecond)
	case "soon":
		q.NotAfterFrom, q.NotAfterTo = now.Add(time.Microsecond), now.Add(soon)
	default:
		state = ""
	}
	list.Filtered = q.Text != "" || q.Permission != "" || state != ""
	list.Columns = sortBy(&q, list.Filter, sortable)
	way := s.way(list.Filter.Get("cursor"))
	q.After = (*store.KeyCursor)(way.here())
	page, err := s.keys().List(s.r.Context(), s.actor(), q)
	if err != nil {
		return list, err
	}
	for i := range page.Keys {
		list.Keys = append(list.Keys, viewOf(&page.Keys[i], now))
	}
	list.pager = s.pager(way, (*place)(page.Next))
	return list, nil
}
