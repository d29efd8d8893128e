package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys and store.Secrets.
type keyTable struct{ d *Database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	err := checkKey(&k)
	if err == nil {
		notification := store.Notification{Kind: store.NotificationKey, Workspace: k.Workspace, Key: k.ID}
		err = t.d.change(ctx, c, notification, locks{workspace: k.Workspace, added: 1, insert: &k}, func(b *batch, h *lockedState) error {
			w := h.workspaces[k.Workspace]
			if w.deleted {
				return store.ErrNotFound
			}
			if h.inserted == 0 {
				return store.ErrExists
			}
			// Tombstones are read after the insertion, since it may have waited for a
			// deletion. On MySQL only a locking read sees what was committed after the
			// transaction began.
			var deleted sql.NullInt64
			b.add(part{text: `SELECT at FROM {p}tombstones WHERE id = ?{lock}`, args: []any{k.ID}, columns: []string{"at"}, to: []any{&deleted}})
			b.check(func() error {
				if deleted.Valid {
					return store.ErrExists
				}
				if limit != store.NoLimit && w.keys > int64(limit) {
					return store.ErrLimit
				}
				return nil
			})
			b.changeCreators(&k, k.Created, nil, creators(k.CreatedBy.ID, k.Credentials))
			b.changeCredentials(k.ID, nil, credentialIDs(k.Credentials))
			return nil
		})
	}
	return fail(ctx, "create key", err)
}

// insertKey adds a key; added becomes 0 if the id is taken.
func (b *batch) insertKey(k *store.Key, added *int64) error {
	credentials, err := storedCredentials(k.Credentials)
	if err != nil {
		return err
	}
	b.add(part{
		text: `INSERT INTO {p}keys
			(id, workspace, name, name_folded, id_folded, permissions, requested, admin, credentials, resources, not_after, not_after_text,
			disabled, direct, creator_kind, creator_id, depth, created, updated, last_used, version, epoch)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, {clock}) ON CONFLICT DO NOTHING`,
		args: []any{
			k.ID, k.Workspace, k.Name, folded(k.Name), folded(k.ID), k.Permissions, k.RequestedPermissions, k.AdminPermissions, credentials, asJSON(k.Resources), expiry(k.NotAfter), k.NotAfterText,
			k.Disabled, k.Direct, k.CreatedBy.Kind, k.CreatedBy.ID, k.Depth, k.Created, k.Updated, k.LastUsed,
		},
		count: added,
	})
	return nil
}

// creators returns the distinct ids of the creators of a key and of its credentials.
func creators(creator string, credentials []store.Credential) []string {
	ids := []string{creator}
	for i := range credentials {
		ids = append(ids, credentials[i].CreatedBy.ID)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
}

func (b *batch) changeCreators(k *store.Key, created time.Time, before, after []string) {
	for _, creator := range before {
		if !slices.Contains(after, creator) {
			b.exec(`DELETE FROM {p}creators WHERE key_id = ? AND creator = ?`, k.ID, creator)
		}
	}
	for _, creator := range after {
		if !slices.Contains(before, creator) {
			b.exec(`INSERT INTO {p}creators (creator, created, key_id) VALUES (?, ?, ?)`, creator, created, k.ID)
		}
	}
}

// The look-ups always return a row, so that {standby} is always checked.
const (
	lookup = `SELECT {standby}, ` + foundColumns + `
	FROM {p}instance i LEFT JOIN {p}keys k ON k.id = {bytes} LEFT JOIN {p}workspaces w ON w.id = k.workspace WHERE i.id = 1`
	lookupSecret = `SELECT {standby}, ` + foundColumns + `
	FROM {p}instance i LEFT JOIN {p}credentials s ON s.id = {bytes} LEFT JOIN {p}keys k ON k.id = s.key_id
	LEFT JOIN {p}workspaces w ON w.id = k.workspace WHERE i.id = 1`
)

// Lookup implements store.Keys. It is one query.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	return t.find(ctx, "look up key", &t.d.lookup, id)
}

// LookupSecret implements store.Secrets. It is one query.
func (t *keyTable) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return t.find(ctx, "look up secret", &t.d.lookupSecret, secretID)
}

func (t *keyTable) find(ctx context.Context, operation string, q *frequent, id string) (store.Found, error) {
	if !storable(id) {
		return store.Found{}, fail(ctx, operation, cmp.Or(ctx.Err(), store.ErrNotFound))
	}
	var f store.Found
	err := t.d.findFrequent(ctx, q, []any{id}, foundRow(&f)...)
	if err == nil && f.Key.Version == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Found{}, fail(ctx, operation, err)
	}
	f.Workspace.ID = f.Key.Workspace
	return f, nil
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	err := checkKey(&k)
	if err == nil {
		notification := store.Notification{Kind: store.NotificationKey, Workspace: k.Workspace, Key: k.ID}
		err = t.d.change(ctx, c, notification, locks{keyID: k.ID}, func(b *batch, h *lockedState) error {
			old, err := h.present(k.Workspace)
			if err != nil {
				return err
			}
			if old.Version != k.Version {
				return store.ErrConflict
			}
			return b.updateKey(&k, old, c.RevokeTokens)
		})
	}
	return fail(ctx, "update key", err)
}

func (b *batch) updateKey(k *store.Key, old *store.Key, revokeTokens bool) error {
	after := k.Clone()
	after.KeepCredentials(old)
	credentials, err := storedCredentials(after.Credentials)
	if err != nil {
		return err
	}
	b.exec(`UPDATE {p}keys SET name = ?, name_folded = ?, permissions = ?, requested = ?, admin = ?, credentials = ?, resources = ?,
		not_after = ?, not_after_text = ?, disabled = ?, direct = ?, updated = ?, version = version + 1, epoch = {epoch} WHERE id = ?`,
		k.Name, folded(k.Name), k.Permissions, k.RequestedPermissions, k.AdminPermissions, credentials, asJSON(k.Resources),
		expiry(k.NotAfter), k.NotAfterText, k.Disabled, k.Direct, k.Updated, revokeTokens, k.ID)
	b.changeCreators(k, old.Created, creators(old.CreatedBy.ID, old.Credentials), creators(old.CreatedBy.ID, after.Credentials))
	b.changeCredentials(k.ID, credentialIDs(old.Credentials), credentialIDs(after.Credentials))
	return nil
}

// credentialIDs returns the distinct ids of credentials. They are sorted, so that concurrent
// changes lock them in one order.
func credentialIDs(credentials []store.Credential) (ids []string) {
	for i := range credentials {
		ids = append(ids, credentials[i].ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// changeCredentials keeps the table of credentials in step with those of a key.
func (b *batch) changeCredentials(keyID string, before, after []string) {
	for _, id := range before {
		if !slices.Contains(after, id) {
			b.exec(`DELETE FROM {p}credentials WHERE id = ?`, id)
		}
	}
	for _, id := range after {
		if slices.Contains(before, id) {
			continue
		}
		var inserted int64
		b.add(part{text: `INSERT INTO {p}credentials (id, key_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, args: []any{id, keyID}, count: &inserted})
		b.check(func() error {
			if inserted == 0 {
				return store.ErrCredentialExists
			}
			return nil
		})
	}
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	err := checkWorkspace(workspace)
	if err == nil {
		notification := store.Notification{Kind: store.NotificationKey, Workspace: workspace, Key: id}
		err = t.d.change(ctx, c, notification, locks{workspace: workspace, added: -1, keyID: id}, func(b *batch, h *lockedState) error {
			old, err := h.present(workspace)
			if err != nil {
				return err
			}
			if version != 0 && version != old.Version {
				return store.ErrConflict
			}
			b.deleteKeys("id", id, at)
			return nil
		})
	}
	return fail(ctx, "delete key", err)
}

// deleteKeys adds the statements that delete the keys with a value in a column, which are
// locked. They write tombstones before the rows of creators and credentials, as a creation reads
// them before it writes those: both lock in one order.
func (b *batch) deleteKeys(column, value string, at time.Time) {
	keys := ` FROM {p}keys WHERE ` + column + ` = ?`
	b.exec(b.d.dialect.pick(
		`INSERT INTO {p}tombstones (id, at) SELECT id, ?::bigint`+keys,
		`INSERT INTO {p}tombstones (id, at) SELECT id, ?`+keys+` FOR UPDATE`,
		`INSERT INTO {p}tombstones (id, at) SELECT id, ?`+keys), at, value)
	if b.d.dialect == MySQL {
		// With a subquery MariaDB would read and lock whole tables.
		b.exec(`DELETE k, c, s FROM {p}keys k LEFT JOIN {p}creators c ON c.key_id = k.id LEFT JOIN {p}credentials s ON s.key_id = k.id
			WHERE k.`+column+` = ?`, value)
		return
	}
	for _, table := range []string{"creators", "credentials"} {
		b.exec(`DELETE FROM {p}`+table+` WHERE key_id IN (SELECT id`+keys+`)`, value)
	}
	b.exec(`DELETE`+keys, value)
}
