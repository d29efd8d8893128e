package console

import (
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
	Filtered  bool
	Text      string
	State     string
	Granted   string // the permission that keys must hold
	Catalog   []scope.Group
	Sorts     []sortLink
	Orders    []sortOrder
	All       bool // of all workspaces
	pager
}

// sortLink is the head of a column.
type sortLink struct {
	Label, Query string
	Aria         string // "ascending", "descending" or empty
}

// sortOrder is an order as a form offers it.
type sortOrder struct {
	Value, Label string
	Chosen       bool
}

// sortBy reads the order that the address names: a column, with a minus before
// it the other way round. Every store sorts by name and creation; other columns
// are for lists that are not too long.
func (l *keyList) sortBy(q *store.KeyQuery, values url.Values, all bool) {
	columns := []struct {
		by                           store.KeySort
		label, ascending, descending string
	}{
		{store.ByName, "Name", "Name, A to Z", "Name, Z to A"},
		{store.ByCreated, "Created", "Oldest first", "Newest first"},
		{store.ByLastUsed, "Last used", "Used longest ago first", "Used last first"},
		{store.ByExpiry, "Expires", "Expires soonest first", "Expires last first"},
	}
	sortable := func(by store.KeySort) bool { return all || by == store.ByName || by == store.ByCreated }
	wanted, descending := strings.CutPrefix(values.Get("sort"), "-")
	for _, column := range columns {
		if string(column.by) == wanted && sortable(column.by) {
			q.Sort, q.Descending = column.by, descending
		}
	}
	for _, column := range columns {
		link := sortLink{Label: column.label}
		current := column.by == q.Sort
		if current {
			link.Aria = map[bool]string{false: "ascending", true: "descending"}[q.Descending]
		}
		if sortable(column.by) {
			to := without(values, "cursor", "done")
			to.Set("sort", map[bool]string{true: "-"}[current && !q.Descending]+string(column.by))
			link.Query = "?" + to.Encode()
			l.Orders = append(l.Orders,
				sortOrder{string(column.by), column.ascending, current && !q.Descending},
				sortOrder{"-" + string(column.by), column.descending, current && q.Descending})
		}
		l.Sorts = append(l.Sorts, link)
	}
}

// listKeys shows the keys of a workspace.
func (s *call) listKeys() error {
	ctx := s.r.Context()
	workspace, err := s.keys().Workspace(ctx, s.actor(), s.workspace())
	if err != nil {
		return err
	}
	rules, err := s.keys().Rules(ctx, s.actor(), s.workspace())
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
	return s.page("keys", s.frame("keys", "API keys", list))
}

// off says why no key of a workspace works at the moment, if so.
func (s *call) off(workspace string) (string, error) {
	// What would be said of a key of which nothing else is to be said.
	standing, err := s.keys().Standing(s.r.Context(), &store.Key{Workspace: workspace})
	switch standing.State {
	case policy.Suspended:
		return "This workspace is suspended or was deleted: none of its keys can log in. An administrator can resume one that is suspended.", err
	case policy.KeysOff:
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
	return s.page("keys", s.frame("all", "All keys", list))
}

// readKeys reads the page of keys that the address names.
func (s *call) readKeys(workspace string, sortable bool) (keyList, error) {
	values := s.r.URL.Query()
	list := keyList{Text: values.Get("text"), State: values.Get("state"), Granted: values.Get("permission"), Catalog: s.keys().Catalog().Groups()}
	q := store.KeyQuery{Workspace: workspace, Text: list.Text, Permission: list.Granted, Limit: pageSize, Sort: store.ByCreated, Descending: true}
	now := s.keys().Now()
	yes, no := true, false
	switch list.State {
	case "disabled":
		q.Disabled = &yes
	case "enabled":
		q.Disabled = &no
	case "expired":
		q.NotAfterFrom, q.NotAfterTo = time.Unix(0, 0), now.Add(time.Microsecond)
	case "soon":
		q.NotAfterFrom, q.NotAfterTo = now.Add(time.Microsecond), now.Add(soon)
	default:
		list.State = ""
	}
	list.Filtered = list.Text != "" || list.State != "" || list.Granted != ""
	list.sortBy(&q, values, sortable)
	way := s.way(values.Get("cursor"))
	q.After = (*store.KeyCursor)(way.here())
	page, err := s.keys().List(s.r.Context(), s.actor(), q)
	if err != nil {
		return list, err
	}
	for i := range page.Keys {
		list.Keys = append(list.Keys, rowOf(&page.Keys[i], page.Standings[i], now))
	}
	list.pager = s.pager(way, (*place)(page.Next))
	return list, nil
}
