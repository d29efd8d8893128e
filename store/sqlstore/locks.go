package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// locks are the rows that a change locks before it decides, besides those of its
// preconditions. All changes lock in one order: the one-time id, the instance's row
// or a stripe, workspaces by id, keys by id, the row that numbers notifications.
//
// The locks are exclusive. With shared locks, a stream of creations could block a
// change of settings forever.
type locks struct {
	settings bool // the instance's settings are changed
	// workspace, unless empty, is the workspace whose row is changed. added is the
	// change of its number of keys: 1, 0 or -1.
	workspace string
	added     int64
	keys      bool       // all keys of workspace are deleted
	keyID     string     // unless empty, the key that is changed
	insert    *store.Key // unless nil, the key that is added
}

// lockedState is what was read from the locked rows.
type lockedState struct {
	instance   int64 // version of the instance's settings, if they are changed
	workspaces map[string]*lockedWorkspace
	key        *store.Key // the key that is changed; its Version is 0 if there is none
	inserted   int64      // 0: the id is taken
}

type lockedWorkspace struct {
	version, keys int64
	deleted       bool
}

// lock adds the statements that lock rows, and the checks of the change's one-time id
// and preconditions.
func (b *batch) lock(c *store.Change, stripe int, l locks) *lockedState {
	h := &lockedState{workspaces: make(map[string]*lockedWorkspace)}
	if c.Once != nil {
		b.spend(*c.Once, c.Now)
	}
	if l.settings {
		b.add(part{text: `SELECT version FROM {p}instance WHERE id = 1{lock}`, columns: []string{"version"}, to: []any{orZero[int64]{&h.instance}}})
		// This writes all stripes. MySQL's sql_safe_updates requires the WHERE clause.
		b.add(part{text: `UPDATE {p}stripes SET version = version + 1 WHERE id >= 0`, count: new(int64)})
	}
	for _, row := range l.rows(c.Preconditions) {
		switch {
		case row.Key == "" && row.Workspace == "" && l.settings:
			b.checkUnchanged(row, &h.instance)
		case row.Key == "" && row.Workspace == "":
			b.require("stripes", stripe, row.Version)
		case row.Key == "":
			if h.workspaces[row.Workspace] == nil {
				h.workspaces[row.Workspace] = b.lockWorkspace(row.Workspace, l)
			}
			b.checkUnchanged(row, &h.workspaces[row.Workspace].version)
		case row.Key == l.keyID:
			if h.key == nil {
				h.key = b.lockKey(row.Key)
			}
			b.checkUnchanged(row, &h.key.Version)
		default:
			b.require("keys", row.Key, row.Version)
		}
	}
	return h
}

// lockedRow is a row that a change depends on or, if own is true, changes.
type lockedRow struct {
	store.Precondition
	own bool
}

// rows returns all rows that are locked, in the order in which they are locked.
func (l *locks) rows(preconditions []store.Precondition) []lockedRow {
	var rows []lockedRow
	for _, p := range preconditions {
		rows = append(rows, lockedRow{Precondition: p})
	}
	if l.workspace != "" {
		rows = append(rows, lockedRow{store.Precondition{Workspace: l.workspace}, true})
	}
	if l.keyID != "" {
		rows = append(rows, lockedRow{store.Precondition{Key: l.keyID}, true})
	}
	slices.SortFunc(rows, func(x, y lockedRow) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Workspace, y.Workspace))
	})
	return rows
}

// checkUnchanged adds the check that a row which the change depends on still has its
// version. A missing key has version 0 and fails the check.
func (b *batch) checkUnchanged(row lockedRow, version *int64) {
	b.check(func() error {
		if !row.own && (row.Version != *version || row.Key != "" && *version == 0) {
			return store.ErrConflict
		}
		return nil
	})
}

// require locks a row that a change depends on, and checks that it has the version. On
// MySQL the row is written, since the nodes of a Galera cluster compare the rows that
// transactions wrote, and not those that they only locked.
func (b *batch) require(table string, id any, version int64) {
	if text, isText := id.(string); isText && !storable(text) {
		b.check(func() error { return store.ErrConflict }) // there is no such row
		return
	}
	var found int64
	b.add(part{
		text: b.d.dialect.pick(
			`SELECT 1 FROM {p}`+table+` WHERE id = ? AND version = ? FOR UPDATE`,
			`UPDATE {p}`+table+` SET locks = locks + 1 WHERE id = ? AND version = ?`,
			`UPDATE {p}`+table+` SET version = version WHERE id = ? AND version = ?`),
		args: []any{id, version}, count: &found,
	})
	b.check(func() error {
		if found == 0 {
			return store.ErrConflict
		}
		return nil
	})
}

// lockWorkspace locks the workspace's row, creates it if it is missing, and updates its
// number of keys.
func (b *batch) lockWorkspace(id string, l locks) *lockedWorkspace {
	w := &lockedWorkspace{}
	if !storable(id) {
		return w // there is no such workspace
	}
	added := int64(0)
	if id == l.workspace {
		added = l.added
	}
	const insert = `INSERT INTO {p}workspaces (id, held) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET held = {p}workspaces.held + excluded.held`
	locked := part{text: insert + ` RETURNING version, deleted, held`, args: []any{id, added}, columns: []string{"version", "deleted", "held"}, to: []any{&w.version, &w.deleted, &w.keys}}
	if b.d.dialect == MySQL {
		b.exec(insert+`, locks = locks + 1`, id, added)
		locked.text, locked.args = `SELECT version, deleted, held FROM {p}workspaces WHERE id = ?`, []any{id}
	}
	b.add(locked)
	return w
}

// lockKeys locks the keys of a workspace that are deleted, once its row is locked and no key
// can be added. It is a statement of its own on PostgreSQL, where a statement deletes no
// credential that another transaction commits while it waits. On MySQL deleteKeys locks the keys.
func (r *runner) lockKeys(ctx context.Context, l locks) error {
	if !l.keys || r.d.dialect != PostgreSQL {
		return nil
	}
	_, err := r.exec(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM {p}keys WHERE workspace = ? ORDER BY id FOR UPDATE) k`, l.workspace)
	return err
}

// lockKey locks a key and reads what an update keeps.
func (b *batch) lockKey(id string) *store.Key {
	k := &store.Key{}
	if !storable(id) {
		return k // there is no such key
	}
	b.add(part{
		text:    `SELECT version, workspace, credentials, creator_id, created FROM {p}keys WHERE id = ?{lock}`,
		args:    []any{id},
		columns: []string{"version", "workspace", "credentials", "creator_id", "created"},
		to: []any{
			orZero[int64]{&k.Version}, orZero[string]{&k.Workspace}, fromJSON[store.Credential]{&k.Credentials}, orZero[string]{&k.CreatedBy.ID}, at{&k.Created},
		},
	})
	return k
}

// present returns the key that is changed. A key of another workspace is
// store.ErrNotFound.
func (h *lockedState) present(workspace string) (*store.Key, error) {
	if h.key == nil || h.key.Version == 0 || h.key.Workspace != workspace {
		return nil, store.ErrNotFound
	}
	return h.key, nil
}
