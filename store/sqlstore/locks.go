package sqlstore

import (
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// locks are the rows that a change locks before it decides, besides those of its
// preconditions. All changes lock in one order: the one-time id, the instance's row
// or a stripe, workspaces by id, keys by id, the number of the notice.
//
// The locks are exclusive: if they were shared, a stream of creations could keep a
// change of settings waiting for ever.
type locks struct {
	settings bool // the instance's settings are changed
	// workspace, unless empty, is the one whose row is changed. added is how many
	// keys it gains: 1, 0 or -1.
	workspace string
	added     int64
	keyID     string     // unless empty, the key that is changed
	insert    *store.Key // unless nil, the key that is added
}

// held is what was found in the rows that are locked.
type held struct {
	instance   int64 // version of the instance's settings, if they are changed
	workspaces map[string]*heldWorkspace
	key        heldKey
	inserted   int64 // 0: the id is taken
}

type heldWorkspace struct {
	version, keys int64
	deleted       bool
}

// heldKey is the key that is changed.
type heldKey struct {
	version   int64 // 0: there is no such key
	workspace string
	secrets   []store.Secret
	maker     string
	created   time.Time
}

// lock adds the statements that lock, and checks what comes first in every change:
// its one-time id and its preconditions.
func (b *batch) lock(c *store.Change, stripe int, l locks) *held {
	h := &held{workspaces: make(map[string]*heldWorkspace)}
	var workspaces, keys []string
	restsOnSettings := false
	for _, p := range c.If {
		switch {
		case p.Key != "":
			keys = append(keys, p.Key)
		case p.Workspace != "":
			workspaces = append(workspaces, p.Workspace)
		default:
			restsOnSettings = true
		}
	}
	if l.workspace != "" {
		workspaces = append(workspaces, l.workspace)
	}
	if l.keyID != "" {
		keys = append(keys, l.keyID)
	}

	if c.Once != nil {
		b.spend(*c.Once, c.Now)
	}
	if l.settings {
		b.add(part{text: `SELECT version FROM {p}instance WHERE id = 1{lock}`, columns: []string{"version"}, to: []any{orZero[int64]{&h.instance}}})
		// All of them, and said so for MySQL's sql_safe_updates.
		b.add(part{text: `UPDATE {p}stripes SET version = version + 1 WHERE id >= 0`, count: new(int64)})
	} else if restsOnSettings {
		for _, p := range c.If {
			if p.Key == "" && p.Workspace == "" {
				b.require("stripes", stripe, p.Version)
			}
		}
	}
	slices.Sort(workspaces)
	for _, id := range slices.Compact(workspaces) {
		added := int64(0)
		if id == l.workspace {
			added = l.added
		}
		h.workspaces[id] = b.lockWorkspace(id, added)
	}
	slices.Sort(keys)
	for _, id := range slices.Compact(keys) {
		if id == l.keyID {
			b.lockKey(&h.key, id)
			continue
		}
		for _, p := range c.If {
			if p.Key == id {
				b.require("keys", id, p.Version)
			}
		}
	}
	b.check(func() error { return h.keeps(c.If, l) })
	return h
}

// keeps checks the preconditions that are about rows which were read.
func (h *held) keeps(preconditions []store.Precondition, l locks) error {
	for _, p := range preconditions {
		version := p.Version
		switch {
		case p.Key == l.keyID && p.Key != "":
			version = h.key.version
		case p.Key == "" && p.Workspace != "":
			version = h.workspaces[p.Workspace].version
		case p.Key == "" && l.settings:
			version = h.instance
		}
		if version != p.Version || p.Key != "" && version == 0 {
			return store.ErrConflict
		}
	}
	return nil
}

// require locks a row that a change rests on, if it has the version. MySQL writes
// it, since the nodes of a Galera cluster compare what transactions wrote and not
// what they locked.
func (b *batch) require(table string, id any, version int64) {
	if text, isText := id.(string); isText && !storable(text) {
		b.check(func() error { return store.ErrConflict }) // there is none
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

// lockWorkspace makes the row if need be, and counts the keys that come in or go.
func (b *batch) lockWorkspace(id string, added int64) *heldWorkspace {
	w := &heldWorkspace{}
	if !storable(id) {
		return w // there is none
	}
	const insert = `INSERT INTO {p}workspaces (id, held) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET held = {p}workspaces.held + excluded.held`
	columns, to := []string{"version", "deleted", "held"}, []any{&w.version, &w.deleted, &w.keys}
	if b.d.dialect == MySQL {
		b.exec(insert+`, locks = locks + 1`, id, added)
		b.add(part{text: `SELECT version, deleted, held FROM {p}workspaces WHERE id = ?`, args: []any{id}, columns: columns, to: to})
		return w
	}
	b.add(part{text: insert + ` RETURNING version, deleted, held`, args: []any{id, added}, columns: columns, to: to})
	return w
}

func (b *batch) lockKey(k *heldKey, id string) {
	if !storable(id) {
		return // there is none
	}
	b.add(part{
		text:    `SELECT version, workspace, secrets, maker_id, created FROM {p}keys WHERE id = ?{lock}`,
		args:    []any{id},
		columns: []string{"version", "workspace", "secrets", "maker_id", "created"},
		to: []any{
			orZero[int64]{&k.version}, orZero[string]{&k.workspace}, list[store.Secret]{&k.secrets}, orZero[string]{&k.maker}, at{&k.created},
		},
	})
}

// present returns the key that is changed. One of another workspace is not
// there.
func (h *held) present(workspace string) (*heldKey, error) {
	if h.key.version == 0 || h.key.workspace != workspace {
		return nil, store.ErrNotFound
	}
	return &h.key, nil
}
