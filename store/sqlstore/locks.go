package sqlstore

import (
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// locks are the rows that a change locks before it decides, for its own sake
// and for its preconditions. All changes lock in one order: the one-time id, the
// instance, workspaces by id, keys by id, the number of the notice.
//
// The locks are exclusive: of shared ones there could always be another, and a
// change of settings would never get in.
type locks struct {
	change   store.Change
	settings bool // of the instance are changed
	// workspace, unless empty, is the one whose row is changed, and keys is how
	// many keys come in.
	workspace string
	keys      int64
	key       string // unless empty, the key that is changed
	stripe    int
}

// held is what was found in the rows that are locked.
type held struct {
	locks
	spent      int64 // 1: the one-time id is the change's now
	instance   int64 // version
	workspaces map[string]*heldWorkspace
	others     map[string]*heldKey
	key        *heldKey
}

type heldWorkspace struct {
	version, keys int64
	deleted       bool
	word          int64
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
	h := &held{locks: l, workspaces: make(map[string]*heldWorkspace), others: make(map[string]*heldKey)}
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
	if l.key != "" {
		keys = append(keys, l.key)
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
	b.add(b.word(part{text: q.lockStripe, args: []any{int64(h.stripe)}, columns: []string{"version"}, to: []any{whole{&h.instance}}}, &h.instance))
}

// word makes a part of MySQL, which has no RETURNING, return a number by
// LAST_INSERT_ID.
func (b *batch) word(p part, word *int64) part {
	if b.d.dialect == MySQL {
		p.word = word
	}
	return p
}

func (b *batch) lockWorkspace(h *held, id string) {
	w := &heldWorkspace{}
	h.workspaces[id] = w
	if !storable(id) {
		return // there is none
	}
	come := int64(0)
	if id == h.workspace {
		come = h.locks.keys
	}
	b.add(b.word(part{
		text: b.d.text.lockWorkspace, args: []any{b.d.arg(id), come},
		columns: []string{"version", "deleted", "held"}, to: []any{&w.version, &w.deleted, &w.keys},
	}, &w.word))
}

// read takes apart the number that MySQL returned of a workspace: 0 if its row is
// new.
func (w *heldWorkspace) read(come int64) {
	const half = 1 << 31
	w.keys, w.version, w.deleted = w.word%half, w.word/half%half, w.word/half/half > 0
	if w.word == 0 {
		w.keys = come
	}
}

func (b *batch) lockKey(h *held, id string) {
	k := &heldKey{}
	h.others[id] = k
	own := id == h.locks.key
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
	b.add(b.word(part{text: b.d.text.checkKey, args: []any{b.d.arg(id)}, columns: []string{"version"}, to: []any{whole{&k.version}}}, &k.version))
}

// refused makes the checks that come first in every change. The rows stay as
// they are until it ends.
func (b *batch) refused(h *held) error {
	if h.change.Once != nil && h.spent == 0 {
		return store.ErrExists
	}
	if b.d.dialect == MySQL {
		for _, w := range h.workspaces {
			w.read(h.locks.keys)
		}
	}
	for _, p := range h.change.If {
		version := h.instance
		switch {
		case p.Key != "":
			if version = h.others[p.Key].version; version == 0 {
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
