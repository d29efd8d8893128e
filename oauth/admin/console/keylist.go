package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyList is the data of a page of keys.
type keyList struct {
	Keys []apikey.Key
	quota
	MayCreate bool         // show the button to create a key
	Off       policy.State // why no key works now; empty if they work
	Filter    url.Values
	Filtered  bool
	Catalog   []scope.Group
	Orders    []order
	All       bool // the list is of all workspaces
	pager
}

// quota is the number of keys of a workspace, and its limit.
type quota struct {
	Total, Limit int // Limit 0: no limit
	Full         bool
	NoRecords    bool // it has neither keys nor settings
}

func (s *call) quota(workspace string) (q quota, err error) {
	has, rules, err := s.keys().Workspace(s.r.Context(), s.actor(), workspace)
	return quota{Total: has.Keys, Limit: rules.MaxKeys, Full: rules.MaxKeys > 0 && has.Keys >= rules.MaxKeys, NoRecords: has.Keys == 0 && has.Version == 0}, err
}

// order is an order of a list. Value is a column, with a minus before it for the
// descending order.
type order struct {
	Value, Label string
	Chosen       bool
}

// sortBy sets the order of q to the wanted one and returns all orders. The order by
// last use exists only for workspaces with few keys.
func sortBy(q *store.KeyQuery, wanted string, few bool) []order {
	orders := []order{
		{Value: "-created", Label: "Newest first"}, {Value: "created", Label: "Oldest first"},
		{Value: "name", Label: "Name, A to Z"}, {Value: "-name", Label: "Name, Z to A"},
		{Value: "expires", Label: "Expires soonest first"}, {Value: "-expires", Label: "Expires last first"},
	}
	if few {
		orders = append(orders, order{Value: "-last_used", Label: "Used most recently first"}, order{Value: "last_used", Label: "Used least recently first"})
	}
	chosen := max(0, slices.IndexFunc(orders, func(o order) bool { return o.Value == wanted }))
	orders[chosen].Chosen = true
	column, descending := strings.CutPrefix(orders[chosen].Value, "-")
	q.Sort, q.Descending = store.KeySort(column), descending
	return orders
}

// listKeys shows the keys of a workspace.
func (s *call) listKeys() error {
	quota, err := s.quota(s.workspace())
	if err != nil {
		return err
	}
	grantable, err := s.keys().Grantable(s.r.Context(), s.actor(), s.workspace())
	if err != nil {
		return err
	}
	list, err := s.readKeys(s.workspace(), quota.Total <= store.MaxSorted)
	if err != nil {
		return err
	}
	if list.Off, err = s.off(s.workspace()); err != nil {
		return err
	}
	list.quota, list.MayCreate = quota, grantable.Len() > 0 && list.Off == "" && !quota.Full
	return s.show(http.StatusOK, "keys", frame{Here: "keys", Title: "API keys", Workspace: s.workspace(), Data: list})
}

// off returns why no key of a workspace works now. It is empty if they work.
func (s *call) off(workspace string) (policy.State, error) {
	standing, err := s.keys().WorkspaceStanding(s.r.Context(), workspace)
	if standing.Live() {
		return "", err
	}
	return standing.State, err
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

// readKeys reads a page of keys, with the filter and order in the query.
func (s *call) readKeys(workspace string, few bool) (keyList, error) {
	filter, after, now := form{Values: s.r.URL.Query()}, s.after(), s.keys().Now()
	list := keyList{Filter: filter.Values, Filtered: filter.has("text", "permission", "state", "creator"), Catalog: s.keys().Catalog().Groups()}
	q := store.KeyQuery{Workspace: workspace, Text: filter.Get("text"), Permission: filter.Get("permission"), After: after, Limit: pageSize}
	// The page shows a key that made a key as "key" and its id.
	q.CreatedBy.ID = strings.TrimPrefix(strings.TrimSpace(filter.Get("creator")), "key ")
	list.Orders = sortBy(&q, filter.Get("sort"), few)
	switch state := filter.Get("state"); state {
	case "disabled", "enabled":
		disabled := state == "disabled"
		q.Disabled = &disabled
	case "expired":
		q.NotAfterFrom, q.NotAfterTo = time.Unix(0, 0), now.Add(time.Microsecond)
	case "soon":
		q.NotAfterFrom, q.NotAfterTo = now.Add(time.Microsecond), now.Add(soon)
	}
	page, err := s.keys().List(s.r.Context(), s.actor(), q)
	list.Keys, list.pager = page.Keys, s.pager(after, page.Next)
	return list, err
}
