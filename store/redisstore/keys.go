package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys.
type keyTable struct{ db *database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	text := encodeKey(&k)
	err := t.db.make(ctx, change{
		space: spaceOf(k.Workspace), script: t.db.scripts.create, id: k.ID, owner: k.Workspace, with: c,
		args: []any{
			limit, text.kept, text.whole(), text.byCreated, text.byName, text.uses,
		},
		tells: []store.Notice{{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID}},
	})
	if err != nil {
		return fail("create key", err)
	}
	return nil
}

// Lookup implements store.Keys.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	found, err := t.lookup(ctx, id)
	if err != nil {
		return store.Found{}, fail("look up key", err)
	}
	return found, nil
}

func (t *keyTable) lookup(ctx context.Context, id string) (store.Found, error) {
	workspace, remembered, err := t.db.place(ctx, id, false)
	if err != nil {
		return store.Found{}, err
	}
	found, err := t.read(ctx, id, workspace)
	if remembered && errors.Is(err, store.ErrNotFound) {
		// It was deleted, purged, and perhaps made anew in another workspace.
		t.db.known.drop(id)
		if workspace, _, err = t.db.place(ctx, id, true); err == nil {
			found, err = t.read(ctx, id, workspace)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		// A pointer to a tombstone is not worth the room.
		t.db.known.drop(id)
	}
	return found, err
}

func (t *keyTable) read(ctx context.Context, id, workspace string) (found store.Found, err error) {
	db, s := t.db, spaceOf(workspace)
	key := evaluate(db.scripts.read, []string{db.layout.keys(s), db.layout.used(s), db.layout.settings(s)}, id)
	above := command("hmget", db.layout.settings(instance), "version", "epoch", "body", "deleted")
	if err := db.run(ctx, append(db.masters(db.layout.keys(s), db.layout.settings(instance)), above, key)...); err != nil {
		return store.Found{}, err
	}
	if key.missing() {
		return store.Found{}, store.ErrNotFound
	}
	parts := key.list()
	if len(parts) != 4 {
		return store.Found{}, errRecord
	}
	record, _ := parts[0].(string)
	uses, _ := parts[1].(string)
	around, _ := parts[2].([]any)
	held, _ := parts[3].(int64)
	if found.Key, err = decodeKey(id, workspace, record, uses); err != nil {
		return store.Found{}, err
	}
	ofWorkspace, err := decodeSettings(around)
	if err != nil {
		return store.Found{}, err
	}
	ofInstance, err := decodeSettings(above.list())
	if err != nil {
		return store.Found{}, err
	}
	found.Workspace, found.Instance = ofWorkspace.workspace(workspace, held), ofInstance.instance()
	return found, nil
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	text := encodeKey(&k)
	args := []any{k.ID, k.Version, flag(c.EndTokens), text.body, text.byName, len(text.secrets)}
	for i := range text.secrets {
		s := &text.secrets[i]
		args = append(args, s.id, s.created, s.rest, s.used)
	}
	err := t.db.make(ctx, change{
		space: spaceOf(k.Workspace), script: t.db.scripts.update, with: c, args: args,
		tells: []store.Notice{{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID}},
	})
	if err != nil {
		return fail("update key", err)
	}
	return nil
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	err := t.db.make(ctx, change{
		space: spaceOf(workspace), script: t.db.scripts.remove, with: c,
		args:  []any{id, version, strconv.FormatInt(at.UnixMicro(), 10)},
		tells: []store.Notice{{Kind: store.NoticeKey, Workspace: workspace, Key: id}},
	})
	if err != nil {
		return fail("delete key", err)
	}
	return nil
}
