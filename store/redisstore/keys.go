package redisstore

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys and store.Secrets.
type keyTable struct{ db *Driver }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	if k.Workspace == "" {
		return fail("create key", errNoWorkspace)
	}
	head, rest := encodeKey(&k)
	err := t.db.apply(ctx, change{
		script: t.db.scripts.create, workspace: k.Workspace, with: c, notification: keyNotification(k.Workspace, k.ID),
		args: []any{k.ID, escape(k.Workspace), limit, head, rest, sortable(k.Created) + k.ID, nameMember(k.Name, k.ID), expiryMember(k.NotAfter, k.ID)},
	})
	return fail("create key", err)
}

func keyNotification(workspace, id string) *store.Notification {
	return &store.Notification{Kind: store.NotificationKey, Workspace: workspace, Key: id}
}

// Lookup implements store.Keys.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	found, _, err := t.db.lookup(ctx, id, "", "")
	return found, fail("look up key", err)
}

// LookupSecret implements store.Secrets.
func (t *keyTable) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	found, _, err := t.db.lookup(ctx, "", secretID, "")
	// The key's record decides, not the entry that led to it.
	if err == nil && found.Key.Credential(secretID) == nil {
		found, err = store.Found{}, store.ErrNotFound
	}
	return found, fail("look up secret", err)
}

// lookup reads a key with the settings of its workspace and of the instance, and whether
// the token with the given id was revoked. If secretID is not empty, the key is the one
// that the entry of this credential names, whatever id is.
func (db *Driver) lookup(ctx context.Context, id, secretID, tokenID string) (found store.Found, revoked bool, err error) {
	l := db.layout
	c := evaluate(db.scripts.read, []string{l.keys(), l.settings(), l.counts(), l.revoked(tokenID), l.credentials()}, id, escape(secretID))
	if err := db.send(ctx, c); err != nil {
		return store.Found{}, false, err
	}
	if c.missing() {
		return store.Found{}, false, store.ErrNotFound
	}
	texts := c.texts()
	if len(texts) != 6 {
		return store.Found{}, false, errRecord
	}
	var badKey, badWorkspace, badInstance error
	found.Key, badKey = decodeKey(texts[5], texts[0])
	found.Workspace, badWorkspace = decodeWorkspace(found.Key.Workspace, texts[1], texts[3])
	found.Instance, badInstance = decodeInstance(texts[2])
	if err := cmp.Or(badKey, badWorkspace, badInstance); err != nil {
		return store.Found{}, false, err
	}
	if found.Workspace.Deleted {
		return store.Found{}, false, store.ErrNotFound
	}
	return found, texts[4] != "", nil
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	_, rest := encodeKey(&k)
	err := t.db.apply(ctx, change{
		script: t.db.scripts.update, workspace: k.Workspace, with: c, notification: keyNotification(k.Workspace, k.ID),
		args: []any{k.ID, escape(k.Workspace), k.Version, c.RevokeTokens, rest, nameMember(k.Name, k.ID), expiryMember(k.NotAfter, k.ID)},
	})
	return fail("update key", err)
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	err := t.db.apply(ctx, change{
		script: t.db.scripts.remove, workspace: workspace, with: c, notification: keyNotification(workspace, id),
		args: []any{id, escape(workspace), version, sortable(at)},
	})
	return fail("delete key", err)
}
