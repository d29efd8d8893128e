package memstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys and store.Secrets.
type keyTable struct{ db *database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	db := t.db
	return db.change(ctx, "create key", c, keyNotification(k.Workspace, k.ID), func() error {
		record := db.record(k.Workspace)
		_, deleted := db.tombstones[k.ID]
		switch {
		case record.Deleted:
			return store.ErrNotFound
		case deleted || db.keys[k.ID] != nil:
			return store.ErrExists
		case limit != store.NoLimit && record.Keys >= limit:
			return store.ErrLimit
		case db.credentialsTaken(&k, nil):
			return store.ErrCredentialExists
		}
		k = copyKey(k)
		k.Version, k.Epoch = 1, db.nextEpoch(0)
		ws := db.addWorkspace(k.Workspace)
		k.Workspace = ws.ID // all keys share one string
		ws.Keys++
		db.keys[k.ID] = &k
		db.list(&k)
		return nil
	})
}

func keyNotification(workspace, id string) store.Notification {
	return store.Notification{Kind: store.NotificationKey, Workspace: workspace, Key: id}
}

// Lookup implements store.Keys.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	return t.find(ctx, "look up key", t.db.keys, id)
}

// LookupSecret implements store.Secrets.
func (t *keyTable) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return t.find(ctx, "look up secret", t.db.credentials, secretID)
}

func (t *keyTable) find(ctx context.Context, operation string, in map[string]*store.Key, id string) (found store.Found, err error) {
	err = t.db.read(ctx, operation, func() error {
		k := in[id]
		if k == nil {
			return store.ErrNotFound
		}
		found = store.Found{Key: k.Clone(), Workspace: t.db.record(k.Workspace), Instance: t.db.instance.Instance}
		return nil
	})
	return found, err
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	db := t.db
	return db.change(ctx, "update key", c, keyNotification(k.Workspace, k.ID), func() error {
		old, err := db.find(k.Workspace, k.ID)
		if err != nil {
			return err
		}
		if old.Version != k.Version {
			return store.ErrConflict
		}
		if db.credentialsTaken(&k, old) {
			return store.ErrCredentialExists
		}
		k = copyKey(k)
		k.Workspace, k.Created, k.CreatedBy, k.Depth, k.LastUsed = old.Workspace, old.Created, old.CreatedBy, old.Depth, old.LastUsed
		k.Version, k.Epoch = old.Version+1, old.Epoch
		if c.RevokeTokens {
			k.Epoch = db.nextEpoch(old.Epoch)
		}
		k.KeepCredentials(old)
		db.unlist(old)
		*old = k
		db.list(old)
		return nil
	})
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	db := t.db
	return db.change(ctx, "delete key", c, keyNotification(workspace, id), func() error {
		k, err := db.find(workspace, id)
		if err != nil {
			return err
		}
		if version != 0 && version != k.Version {
			return store.ErrConflict
		}
		db.remove(k, at)
		// Remove the record if it equals that of a new workspace.
		if ws := db.workspaces[workspace]; ws.Keys == 0 && ws.Version == 0 && ws.Epoch == 0 {
			db.listed.tree.Delete(ws)
			delete(db.workspaces, workspace)
		}
		return nil
	})
}

// find returns the key if it belongs to the workspace, else ErrNotFound.
func (db *database) find(workspace, id string) (*store.Key, error) {
	if k := db.keys[id]; k != nil && k.Workspace == workspace {
		return k, nil
	}
	return nil, store.ErrNotFound
}

// remove removes a key and adds its tombstone.
func (db *database) remove(k *store.Key, at time.Time) {
	delete(db.keys, k.ID)
	db.unlist(k)
	db.workspaces[k.Workspace].Keys--
	db.tombstones[k.ID] = toMicro(at)
}

// credentialsTaken reports whether a key other than old has one of the credentials of k.
func (db *database) credentialsTaken(k, old *store.Key) bool {
	return slices.ContainsFunc(k.Credentials, func(c store.Credential) bool {
		owner := db.credentials[c.ID]
		return owner != nil && owner != old
	})
}

// copyKey copies a key to store it. It copies the strings, too: they may be substrings
// of a request, which would otherwise stay in memory.
func copyKey(k store.Key) store.Key {
	k = k.Clone()
	k.NotAfter, k.Created, k.Updated, k.LastUsed = toMicro(k.NotAfter), toMicro(k.Created), toMicro(k.Updated), toMicro(k.LastUsed)
	texts := []*string{&k.ID, &k.Name, &k.NotAfterText, &k.CreatedBy.Kind, &k.CreatedBy.ID}
	for i := range k.Credentials {
		c := &k.Credentials[i]
		c.Created, c.NotAfter, c.LastUsed = toMicro(c.Created), toMicro(c.NotAfter), toMicro(c.LastUsed)
		texts = append(texts, &c.ID, &c.Name, &c.Hint, &c.Digest, &c.Prefix, &c.CreatedBy.Kind, &c.CreatedBy.ID)
		if c.Trust != nil {
			texts = append(texts, &c.Trust.Issuer)
			for n := range c.Trust.Claims {
				texts = append(texts, &c.Trust.Claims[n].Name, &c.Trust.Claims[n].Value)
			}
		}
	}
	for _, text := range texts {
		*text = strings.Clone(*text)
	}
	return k
}
