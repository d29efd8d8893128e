package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// List implements store.Keys.
func (t *keyTable) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	page, err := t.list(ctx, &q)
	if err != nil {
		return store.KeyPage{}, fail(ctx, "list keys", err)
	}
	return page, nil
}

func (t *keyTable) list(ctx context.Context, q *store.KeyQuery) (store.KeyPage, error) {
	limit, err := store.PageSize(q.Limit)
	if err != nil {
		return store.KeyPage{}, refuse("%v", err)
	}
	if q.Permission != "" && scope.CheckName(q.Permission) != nil ||
		!storable(q.Workspace+q.Text+q.CreatedBy.Kind+q.CreatedBy.ID+q.MadeBy) {
		return store.KeyPage{}, ctx.Err() // no key holds what is no permission, or cannot be kept
	}
	column, err := t.order(ctx, q)
	if err != nil {
		return store.KeyPage{}, err
	}
	// One more than asked for shows whether there is a next page.
	query, args := t.query(q, column, limit+1)
	var page store.KeyPage
	err = t.d.read(ctx, func(r runner) error {
		page, err = t.scan(ctx, r, query, args)
		return err
	})
	if err != nil {
		return store.KeyPage{}, err
	}
	if len(page.Keys) > limit {
		page.Keys = page.Keys[:limit]
		page.Next = q.Sort.Cursor(&page.Keys[limit-1])
	}
	return page, nil
}

func (t *keyTable) scan(ctx context.Context, r runner, query string, args []any) (store.KeyPage, error) {
	rows, err := r.rows(ctx, query, args...)
	if err != nil {
		return store.KeyPage{}, err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	page := store.KeyPage{Workspaces: map[string]store.Workspace{}}
	for rows.Next() {
		var row keyRow
		var w workspaceRow
		var in instanceRow
		if err := rows.Scan(slices.Concat(row.columns(), w.columns(), in.columns())...); err != nil {
			return store.KeyPage{}, err
		}
		k, err := row.key()
		if err != nil {
			return store.KeyPage{}, err
		}
		page.Keys = append(page.Keys, k)
		page.Workspaces[k.Workspace], page.Instance = w.workspace(k.Workspace), in.instance()
	}
	return page, rows.Err()
}

// order returns the column that q is sorted by.
func (t *keyTable) order(ctx context.Context, q *store.KeyQuery) (string, error) {
	var column string
	switch q.Sort {
	case "", store.ByCreated:
		return "k.created", nil
	case store.ByName:
		return "k.name", nil
	case store.ByLastUsed:
		column = "k.last_used"
	case store.ByExpiry:
		column = "k.not_after"
	default:
		return "", refuse("unknown order")
	}
	if q.Workspace == "" {
		return "", refuse("the order %q is for one workspace only", q.Sort)
	}
	var row workspaceRow
	err := t.d.read(ctx, func(r runner) error {
		return r.row(ctx, t.d.text.workspace, t.d.arg(q.Workspace)).Scan(append([]any{new(primary)}, row.columns()...)...)
	})
	if err != nil {
		return "", err
	}
	if row.held > store.MaxSorted {
		return "", refuse("the order %q is for workspaces of at most %d keys", q.Sort, store.MaxSorted)
	}
	return column, nil
}

func (t *keyTable) query(q *store.KeyQuery, column string, limit int) (string, []any) {
	b := &listing{d: t.d}
	from, id := "{p}keys k", "k.id"
	// The table of makers leads to their keys without reading all.
	if maker := cmp.Or(q.MadeBy, q.CreatedBy.ID); maker != "" {
		from = "{p}makers m JOIN {p}keys k ON k.id = m.key_id"
		b.equal("m.maker", maker)
		if column == "k.created" {
			column, id = "m.made", "m.key_id" // in the order of the makers' index
		}
	}
	b.equal("k.workspace", q.Workspace)
	if q.After != nil {
		b.behind(column, id, q.Descending, t.place(q), q.After.ID)
	}
	if q.Disabled != nil {
		b.where("k.disabled = ?", number(*q.Disabled))
	}
	if q.CreatedBy != (store.ActorRef{}) {
		b.where("k.maker_id = ?", t.d.arg(q.CreatedBy.ID))
		b.equal("k.maker_kind", q.CreatedBy.Kind)
	}
	if !q.NotAfterFrom.IsZero() {
		b.where("k.not_after >= ?", micros(q.NotAfterFrom))
	}
	switch {
	case !q.NotAfterTo.IsZero():
		b.where("k.not_after < ?", micros(q.NotAfterTo))
	case !q.NotAfterFrom.IsZero():
		b.where("k.not_after < ?", int64(never))
	}
	if q.Permission != "" {
		b.where(t.d.holds("k.permissions"), t.d.arg(" "+q.Permission+" "))
	}
	if q.Text != "" {
		part := t.d.arg(lowered(q.Text))
		b.where("("+t.d.holds("COALESCE(k.name_folded, k.name)")+" OR "+t.d.holds("COALESCE(k.id_folded, k.id)")+")", part, part)
	}
	direction := ""
	if q.Descending {
		direction = " DESC"
	}
	var text strings.Builder
	text.WriteString("SELECT " + keyColumns + ", " + workspaceColumns + ", " + instanceColumns + " FROM " + from +
		" LEFT JOIN {p}workspaces w ON w.id = k.workspace JOIN {p}instance i ON i.id = 1")
	text.WriteString(b.conditions())
	text.WriteString(" ORDER BY " + column + direction + ", " + id + direction + " LIMIT ?")
	return t.d.dialect.translate(text.String(), t.d.config.Prefix), append(b.args, limit)
}

// holds is the condition that an expression holds an argument, byte by byte.
func (d *Database) holds(expression string) string {
	return d.dialect.pick("position(? in "+expression+") > 0", "LOCATE(?, "+expression+") > 0", "instr("+expression+", ?) > 0")
}

// place is the sorted value of the cursor.
func (t *keyTable) place(q *store.KeyQuery) any {
	switch q.Sort {
	case store.ByName:
		return t.d.arg(q.After.Name)
	case store.ByExpiry:
		return expiry(q.After.Time)
	}
	return micros(q.After.Time)
}

// listing collects the conditions of a list.
type listing struct {
	d     *Database
	parts []string
	args  []any
}

func (b *listing) where(condition string, args ...any) {
	b.parts = append(b.parts, condition)
	b.args = append(b.args, args...)
}

func (b *listing) equal(column, value string) {
	if value != "" {
		b.where(column+" = ?", b.d.arg(value))
	}
}

// behind keeps rows behind a place in the order of a column and the id. MySQL
// finds no range in a comparison of rows.
func (b *listing) behind(column, id string, descending bool, value any, after string) {
	sign := ">"
	if descending {
		sign = "<"
	}
	if b.d.dialect == MySQL {
		b.where("("+column+" "+sign+"= ? AND ("+column+" "+sign+" ? OR "+id+" "+sign+" ?))", value, value, b.d.arg(after))
		return
	}
	b.where("("+column+", "+id+") "+sign+" (?, ?)", value, b.d.arg(after))
}

func (b *listing) conditions() string {
	if len(b.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(b.parts, " AND ")
}
