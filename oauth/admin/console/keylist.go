package console

import (
	"time"

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
	SortedBy  string // what the list is sorted by, for the form
	Order     string
	All       bool // of all workspaces
	pager
}

// sortLink is the head of a column.
type sortLink struct {
	Label, Query string
	Aria         string // "ascending", "descending" or empty
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
	list.Total, list.Limit, list.MayCreate = workspace.Keys, rules.MaxKeys, grantable.Len() > 0
	list.Full = rules.MaxKeys > 0 && workspace.Keys >= rules.MaxKeys
	switch {
	case workspace.Deleted:
		list.Off = "This workspace was deleted. It can hold no keys any more."
	case workspace.Suspended:
		list.Off = "This workspace is suspended: none of its keys can log in. An administrator can resume it."
	}
	return s.page("keys", s.frame("keys", "API keys", list))
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
	sorts := []struct {
		by    store.KeySort
		label string
	}{{store.ByName, "Name"}, {store.ByCreated, "Created"}, {store.ByLastUsed, "Last used"}, {store.ByExpiry, "Expires"}}
	for _, column := range sorts {
		if string(column.by) == values.Get("sort") && (sortable || column.by == store.ByName || column.by == store.ByCreated) {
			q.Sort, q.Descending = column.by, values.Get("order") == "desc"
			list.SortedBy = string(column.by)
			if q.Descending {
				list.Order = "desc"
			}
		}
	}
	for _, column := range sorts {
		link := sortLink{Label: column.label}
		to := without(values, "cursor", "order", "done")
		to.Set("sort", string(column.by))
		if column.by == q.Sort {
			link.Aria = "descending"
			if !q.Descending {
				link.Aria = "ascending"
				to.Set("order", "desc")
			}
		}
		if sortable || column.by == store.ByName || column.by == store.ByCreated {
			link.Query = "?" + to.Encode()
		}
		list.Sorts = append(list.Sorts, link)
	}
	way := s.way(values.Get("cursor"))
	if p := way.here(); p != nil {
		q.After = &store.KeyCursor{ID: p.ID, Time: p.Time, Name: p.Name}
	}
	page, err := s.keys().List(s.r.Context(), s.actor(), q)
	if err != nil {
		return list, err
	}
	for i := range page.Keys {
		list.Keys = append(list.Keys, viewOf(&page.Keys[i], now))
	}
	var next *place
	if page.Next != nil {
		next = &place{page.Next.ID, page.Next.Time, page.Next.Name}
	}
	list.pager = s.pager(way, next)
	return list, nil
}
