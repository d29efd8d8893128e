package sqlstore

import (
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// locks are the rows that a change locks before it decides: those that it changes,
// and those of its preconditions. All changes lock in one order: the one-time id, the
// instance's row or a stripe, workspaces by id, keys by id, the number of the notice.
//
// The locks are exclusive: if they were shared, a stream of creations could keep a
// change of settings waiting for ever.
type locks struct {
	change   store.Change
	settings bool // the instance's settings are changed
	// workspace, unless empty, is the one whose row is changed. added is how many
	// keys it gains: 1, 0 or -1.
	workspace string
	added     int64
	keyID     string // unless empty, the key that is changed
	stripe    int    // locked if the change rests on the instance's settings
}

// held is what was found in the rows that are locked.
type held struct {
	locks
	spent      int64 // 1: the change has spent its one-time id
	instance   int64 // version of the instance's settings
	workspaces map[string]*heldWorkspace
	keys       map[string]*heldKey
	key        *heldKey // the one that is changed; also in keys
}

type heldWorkspace struct {
	version, keys int64
	deleted       bool
	packed        int64 // MySQL: what LAST_INSERT_ID returned of the three
}

type heldKey struct {
	version   int64 // 0: there is no such key
	workspace string
	secrets   []byte
	maker     string
	created   int64
}

// lock adds the statements that lock.
func (b *batch) lock(l locks) *held {
	h := &held{locks: l, workspaces: make(map[string]*heldWorkspace), keys: make(map[string]*heldKey)}
	var workspaces, keys []string
	restsOnSettings := false
	for _, p := range l.change.If {
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
	b.spend(h)
	b.lockInstance(h, restsOnSettings)
	slices.Sort(workspaces)
	for _, id := range slices.Compact(workspaces) {
		b.lockWorkspace(h, id)
	}
	slices.Sort(keys)
	for _, id := range slices.Compact(keys) {
		b.lockKey(h, id)
	}
	return h
}

func (b *batch) lockInstance(h *held, restsOnSettings bool) {
	q := &b.d.text
	if h.settings {
		b.add(part{text: q.lockInstance, columns: []string{"version"}, to: []any{whole{&h.instance}}})
		b.add(part{text: q.changeStripes, count: new(int64)})
		return
	}
	if !restsOnSettings {
		return
	}
	b.add(b.returning(part{text: q.lockStripe, args: []any{int64(h.stripe)}, columns: []string{"version"}, to: []any{whole{&h.instance}}}, &h.instance))
}

// returning makes a part of MySQL, which has no RETURNING, return a number by
// LAST_INSERT_ID.
func (b *batch) returning(p part, lastID *int64) part {
	if b.d.dialect == MySQL {
		p.lastID = lastID
	}
	return p
}

func (b *batch) lockWorkspace(h *held, id string) {
	w := &heldWorkspace{}
	h.workspaces[id] = w
	if !storable(id) {
		return // there is none
	}
	added := int64(0)
	if id == h.workspace {
		added = h.added
	}
	b.add(b.returning(part{
		text: b.d.text.lockWorkspace, args: []any{b.d.arg(id), added},
		columns: []string{"version", "deleted", "held"}, to: []any{&w.version, &w.deleted, &w.keys},
	}, &w.packed))
}

// unpack splits the number that MySQL returned of a workspace, as lockWorkspace
// packed it: 0 if the row is new.
func (w *heldWorkspace) unpack(added int64) {
	const half = 1 << 31
	w.keys, w.version, w.deleted = w.packed%half, w.packed/half%half, w.packed/half/half > 0
	if w.packed == 0 {
		w.keys = added
	}
}

func (b *batch) lockKey(h *held, id string) {
	k := &heldKey{}
	h.keys[id] = k
	own := id == h.keyID
	if own {
		h.key = k
	}
	if !storable(id) {
		return // there is none
	}
	if own {
		b.add(part{
			text: b.d.text.lockKey, args: []any{b.d.arg(id)},
			columns: []string{"version", "workspace", "secrets", "maker_id", "created"},
			to:      []any{whole{&k.version}, text{&k.workspace}, &k.secrets, text{&k.maker}, whole{&k.created}},
		})
		return
	}
	b.add(b.returning(part{text: b.d.text.lockKeyVersion, args: []any{b.d.arg(id)}, columns: []string{"version"}, to: []any{whole{&k.version}}}, &k.version))
}

// refused makes the checks that come first in every change, on rows that stay
// locked until it ends.
func (b *batch) refused(h *held) error {
	if h.change.Once != nil && h.spent == 0 {
		return store.ErrExists
	}
	if b.d.dialect == MySQL {
		for _, w := range h.workspaces {
			w.unpack(h.added)
		}
	}
	for _, p := range h.change.If {
		version := h.instance
		switch {
		case p.Key != "":
			if version = h.keys[p.Key].version; version == 0 {
				return store.ErrConflict
			}
		case p.Workspace != "":
			version = h.workspaces[p.Workspace].version
		}
		if version != p.Version {
			return store.ErrConflict
		}
	}
	return nil
}

// present returns the key that is changed. One of another workspace is not
// there.
func (h *held) present(workspace string) (*heldKey, error) {
	if h.key.version == 0 || h.key.workspace != workspace {
		return nil, store.ErrNotFound
	}
	return h.key, nil
}
