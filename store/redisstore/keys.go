package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys.
type keyTable struct{ db *database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	if k.Workspace == "" {
		return fail("create key", errNoWorkspace)
	}
	head, rest := encodeKey(&k)
	err := t.db.make(ctx, change{
		script: t.db.scripts.create, workspace: k.Workspace, with: c, notice: keyNotice(k.Workspace, k.ID),
		args: []any{k.ID, escape(k.Workspace), limit, head, rest, sortable(k.Created) + k.ID, namePlace(k.Name, k.ID)},
	})
	return fail("create key", err)
}

func keyNotice(workspace, id string) *store.Notice {
	return &store.Notice{Kind: store.NoticeKey, Workspace: workspace, Key: id}
}

// Lookup implements store.Keys.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	found, _, err := t.db.lookup(ctx, id, "")
	return found, fail("look up key", err)
}

// lookup reads a key with the settings around it, and whether the token with
// the given id was revoked.
func (db *database) lookup(ctx context.Context, id, tokenID string) (found store.Found, revoked bool, err error) {
	l := db.layout
	c := evaluate(db.scripts.read, []string{l.keys(), l.settings(), l.counts(), l.revoked(tokenID)}, id)
	if err := db.send(ctx, c); err != nil {
		return store.Found{}, false, err
	}
	if c.missing() {
		return store.Found{}, false, store.ErrNotFound
	}
	list, texts := c.list(), c.texts()
	if len(texts) != 5 {
		return store.Found{}, false, errRecord
	}
	if found, err = decodeFound(id, texts[0], texts[1], texts[3], texts[2]); err != nil {
		return store.Found{}, false, err
	}
	if found.Workspace.Deleted {
		return store.Found{}, false, store.ErrNotFound
	}
	ended, _ := list[4].(int64)
	return found, ended > 0, nil
}

func decodeFound(id, record, workspace, count, instance string) (found store.Found, err error) {
	if found.Key, err = decodeKey(id, record); err != nil {
		return store.Found{}, err
	}
	if found.Workspace, err = decodeWorkspace(found.Key.Workspace, workspace, count); err != nil {
		return store.Found{}, err
	}
	found.Instance, err = decodeInstance(instance)
	return found, err
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	_, rest := encodeKey(&k)
	err := t.db.make(ctx, change{
		script: t.db.scripts.update, workspace: k.Workspace, with: c, notice: keyNotice(k.Workspace, k.ID),
		args: []any{k.ID, escape(k.Workspace), k.Version, flag(c.EndTokens), rest, namePlace(k.Name, k.ID)},
	})
	return fail("update key", err)
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	err := t.db.make(ctx, change{
		script: t.db.scripts.remove, workspace: workspace, with: c, notice: keyNotice(workspace, id),
		args: []any{id, escape(workspace), version, sortable(at)},
	})
	return fail("delete key", err)
}
