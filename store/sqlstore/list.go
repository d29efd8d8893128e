package sqlstore

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// List implements store.Keys.
func (t *keyTable) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	page, err := t.list(ctx, &q)
	return page, fail(ctx, "list keys", err)
}

func (t *keyTable) list(ctx context.Context, q *store.KeyQuery) (store.KeyPage, error) {
	limit, err := store.PageSize(q.Limit)
	if err != nil {
		return store.KeyPage{}, refuse("%v", err)
	}
	if q.Permission != "" && scope.CheckName(q.Permission) != nil ||
		!storable(q.Workspace+q.Text+q.CreatedBy.Kind+q.CreatedBy.ID+q.CreatorID) {
		return store.KeyPage{}, ctx.Err() // no key matches a text that cannot be stored
	}
	column, err := t.order(ctx, q)
	if err != nil {
		return store.KeyPage{}, err
	}
	// One key more than requested shows whether there is a next page.
	query, args := t.query(q, column, limit+1)
	rows, err := all(ctx, t.d, foundRow, query, args...)
	if err != nil {
		return store.KeyPage{}, err
	}
	page := store.KeyPage{Workspaces: make(map[string]store.Workspace)}
	for _, row := range rows {
		row.Workspace.ID = row.Key.Workspace
		page.Keys = append(page.Keys, row.Key)
		page.Workspaces[row.Workspace.ID], page.Instance = row.Workspace, row.Instance
	}
	if len(page.Keys) > limit {
		page.Keys = page.Keys[:limit]
		page.Next = q.Sort.Cursor(&page.Keys[limit-1])
	}
	return page, nil
}

// order returns the column that q is sorted by. There is no index by last use, since
// RecordUses would have to write it: PostgreSQL then wrote four times as much WAL, and
// updated no row in place (HOT).
func (t *keyTable) order(ctx context.Context, q *store.KeyQuery) (string, error) {
	switch q.Sort {
	case "", store.ByCreated:
		return "k.created", nil
	case store.ByName:
		return "k.name", nil
	case store.ByExpiry:
		return "k.not_after", nil
	case store.ByLastUsed:
	default:
		return "", refuse("unknown order: use \"created\", \"name\", \"last_used\" or \"expires\"")
	}
	if q.Workspace == "" {
		return "", refuse("the order %q needs a workspace: name one in the query", q.Sort)
	}
	w, err := (&settings{t.d}).workspace(ctx, q.Workspace)
	if err == nil && w.Keys > store.MaxSorted {
		err = refuse("the order %q is for workspaces of at most %d keys: use another order", q.Sort, store.MaxSorted)
	}
	return "k.last_used", err
}

func (t *keyTable) query(q *store.KeyQuery, column string, limit int) (string, []any) {
	b := &listing{dialect: t.d.dialect}
	from, id := "{p}keys k", "k.id"
	// The creators table finds the keys of a creator without reading all keys.
	if creator := cmp.Or(q.CreatorID, q.CreatedBy.ID); creator != "" {
		from = "{p}creators c JOIN {p}keys k ON k.id = c.key_id"
		b.equal("c.creator", creator)
		if column == "k.created" {
			column, id = "c.created", "c.key_id" // the index of the creators table has this order
		}
	}
	b.equal("k.workspace", q.Workspace)
	if q.After != nil {
		b.after(column, id, q.Descending, cursorValue(q), q.After.ID)
	}
	if q.Disabled != nil {
		b.where("k.disabled = ?", *q.Disabled)
	}
	if q.CreatedBy != (store.ActorRef{}) {
		b.where("k.creator_id = ?", q.CreatedBy.ID)
		b.equal("k.creator_kind", q.CreatedBy.Kind)
	}
	if !q.NotAfterFrom.IsZero() {
		b.where("k.not_after >= ?", q.NotAfterFrom)
	}
	switch {
	case !q.NotAfterTo.IsZero():
		b.where("k.not_after < ?", q.NotAfterTo)
	case !q.NotAfterFrom.IsZero():
		b.where("k.not_after < ?", int64(noExpiry))
	}
	if !q.LastUsedFrom.IsZero() {
		b.where("k.last_used >= ?", q.LastUsedFrom)
	}
	if !q.LastUsedTo.IsZero() {
		b.where("k.last_used < ? AND k.last_used > ?", q.LastUsedTo, time.Time{}) // not the keys that were never used
	}
	if q.Permission != "" {
		b.where(b.holds("k.permissions"), " "+q.Permission+" ")
	}
	if q.Text != "" {
		part := lowered(q.Text)
		b.where("("+b.holds("COALESCE(k.name_folded, k.name)")+" OR "+b.holds("COALESCE(k.id_folded, k.id)")+")", part, part)
	}
	direction := ""
	if q.Descending {
		direction = " DESC"
	}
	return "SELECT " + foundColumns + " FROM " + from +
		" LEFT JOIN {p}workspaces w ON w.id = k.workspace JOIN {p}instance i ON i.id = 1" + b.conditions() +
		" ORDER BY " + column + direction + ", " + id + direction + " LIMIT ?", append(b.args, limit)
}

// cursorValue returns the value of the cursor in the sorted column.
func cursorValue(q *store.KeyQuery) any {
	switch q.Sort {
	case store.ByName:
		return q.After.Name
	case store.ByExpiry:
		return expiry(q.After.Time)
	}
	return q.After.Time
}

// listing collects the conditions of a list.
type listing struct {
	dialect Dialect
	parts   []string
	args    []any
}

func (b *listing) where(condition string, args ...any) {
	b.parts = append(b.parts, condition)
	b.args = append(b.args, args...)
}

func (b *listing) equal(column, value string) {
	if value != "" {
		b.where(column+" = ?", value)
	}
}

// after adds the condition that a row comes after the cursor in the order of a column
// and the id. MySQL does not use an index for a comparison of row values.
func (b *listing) after(column, id string, descending bool, value any, afterID string) {
	sign := ">"
	if descending {
		sign = "<"
	}
	if b.dialect == MySQL {
		b.where("("+column+" "+sign+"= ? AND ("+column+" "+sign+" ? OR "+id+" "+sign+" ?))", value, value, afterID)
		return
	}
	b.where("("+column+", "+id+") "+sign+" (?, ?)", value, afterID)
}

// holds returns the condition that an expression contains an argument, compared byte by
// byte.
func (b *listing) holds(expression string) string {
	return b.dialect.pick("position(? in "+expression+") > 0", "LOCATE(?, "+expression+") > 0", "instr("+expression+", ?) > 0")
}

func (b *listing) conditions() string {
	if len(b.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(b.parts, " AND ")
}
