package memstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys.
type keyTable struct{ db *database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	if err := t.create(ctx, k, limit, c); err != nil {
		return fail("create key", err)
	}
	return nil
}

func (t *keyTable) create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.Version = 1
	r := newRow(k)

	db := t.db
	db.write.Lock()
	defer db.write.Unlock()
	if err := db.refused(c); err != nil {
		return err
	}
	if db.deleted(k.Workspace) {
		return store.ErrNotFound
	}
	if db.keys[k.ID] != nil {
		return store.ErrExists
	}
	if _, taken := db.tombstones[k.ID]; taken {
		return store.ErrExists
	}
	if limit != store.NoLimit {
		held := 0
		if ws := db.workspaces[k.Workspace]; ws != nil {
			held = ws.record.Keys
		}
		if held >= limit {
			return store.ErrLimit
		}
	}
	r.epoch = db.raised(0)
	db.shareFor(r, &k)
	db.change(func() {
		r.ws = db.space(k.Workspace)
		db.insert(r)
		db.record(c)
	})
	db.hub.send(store.Notice{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID})
	return nil
}

// Lookup implements store.Keys.
func (t *keyTable) Lookup(ctx context.Context, id string) (found store.Found, err error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	lock := t.db.reader(id)
	lock.RLock()
	r := t.db.keys[id]
	if r != nil {
		found.Workspace = r.ws.record
		found.Instance = t.db.instance
	}
	lock.RUnlock()
	if r == nil {
		return store.Found{}, fail("look up key", store.ErrNotFound)
	}
	r.copyTo(&found.Key)
	return found, nil
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	if err := t.update(ctx, k, c); err != nil {
		return fail("update key", err)
	}
	return nil
}

func (t *keyTable) update(ctx context.Context, k store.Key, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db := t.db
	db.write.Lock()
	defer db.write.Unlock()
	old, err := t.held(k.Workspace, k.ID, c)
	if err != nil {
		return err
	}
	if old.version != k.Version {
		return store.ErrConflict
	}
	k.CreatedBy = store.ActorRef{Kind: old.makerKind, ID: old.makerID}
	r := newRow(k)
	r.ws = old.ws
	r.created, r.lastUsed = old.created, old.lastUsed
	r.version, r.epoch, r.depth = old.version+1, old.epoch, old.depth
	if c.EndTokens {
		r.epoch = db.raised(old.epoch)
	}
	for i := range r.secrets {
		if was := old.secret(r.secrets[i].id); was != nil {
			now := &r.secrets[i]
			now.digest, now.prefix, now.makerKind, now.makerID = was.digest, was.prefix, was.makerKind, was.makerID
			now.created, now.lastUsed = was.created, was.lastUsed
		}
	}
	db.shareFor(r, &k)
	db.change(func() {
		db.replace(old, r)
		db.unshareOf(old)
		db.record(c)
	})
	db.hub.send(store.Notice{Kind: store.NoticeKey, Workspace: r.ws.id, Key: r.id})
	return nil
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	if err := t.remove(ctx, workspace, id, version, at, c); err != nil {
		return fail("delete key", err)
	}
	return nil
}

func (t *keyTable) remove(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db := t.db
	db.write.Lock()
	defer db.write.Unlock()
	r, err := t.held(workspace, id, c)
	if err != nil {
		return err
	}
	if version != 0 && version != r.version {
		return store.ErrConflict
	}
	db.change(func() {
		db.remove(r, micros(at))
		db.forget(r.ws)
		db.record(c)
	})
	db.hub.send(store.Notice{Kind: store.NoticeKey, Workspace: workspace, Key: r.id})
	return nil
}

// held makes the first checks of Update and Delete, in the contract's order.
// The caller holds write.
func (t *keyTable) held(workspace, id string, c store.Change) (*row, error) {
	if err := t.db.refused(c); err != nil {
		return nil, err
	}
	r := t.db.keys[id]
	if r == nil || r.ws.id != workspace {
		return nil, store.ErrNotFound
	}
	return r, nil
}
