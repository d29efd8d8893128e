package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys.
type keyTable struct{ d *Database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	err := checkKey(&k)
	if err == nil {
		err = t.d.change(ctx, k.Workspace, c, func(r runner) error { return t.create(ctx, r, &k, limit, c) })
	}
	if err != nil {
		return fail(ctx, "create key", err)
	}
	return nil
}

func (t *keyTable) create(ctx context.Context, r runner, k *store.Key, limit int, c store.Change) error {
	b := t.d.batch()
	h := b.lock(locks{change: c, workspace: k.Workspace, added: 1, stripe: stripeOf(k.Workspace)})
	var added int64
	if err := b.insertKey(k, &added); err != nil {
		return err
	}
	if err := b.run(ctx, r); err != nil {
		return err
	}
	if err := b.refused(h); err != nil {
		return err
	}
	w := h.workspaces[k.Workspace]
	if w.deleted {
		return store.ErrNotFound
	}
	if added == 0 {
		return store.ErrExists
	}

	b = t.d.batch()
	// Only now: a deletion that the insertion waited for left a tombstone.
	var deleted sql.NullInt64
	b.add(part{text: t.d.text.tombstone, args: []any{t.d.arg(k.ID)}, columns: []string{"at"}, to: []any{&deleted}})
	for _, maker := range makers(k.CreatedBy.ID, secretRows(k.Secrets)) {
		b.exec(t.d.text.addMaker, t.d.arg(maker), micros(k.Created), t.d.arg(k.ID))
	}
	if err := b.finish(c, store.Notice{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID}); err != nil {
		return err
	}
	if err := b.run(ctx, r); err != nil {
		return err
	}
	if deleted.Valid {
		return store.ErrExists
	}
	if limit != store.NoLimit && w.keys > int64(limit) {
		return store.ErrLimit
	}
	return nil
}

// insertKey adds a key; added becomes 0 if the id is taken.
func (b *batch) insertKey(k *store.Key, added *int64) error {
	secrets, err := encoded(secretRows(k.Secrets))
	if err != nil {
		return err
	}
	resources, err := encodedList(k.Resources)
	if err != nil {
		return err
	}
	d := b.d
	b.add(part{text: d.text.insertKey, count: added, args: []any{
		d.arg(k.ID), d.arg(k.Workspace), d.arg(k.Name), d.folded(k.Name), d.folded(k.ID),
		d.arg(padded(k.Permissions)), d.arg(padded(k.Asked)), d.arg(padded(k.Admin)), d.arg(secrets), d.arg(resources),
		expiry(k.NotAfter), d.arg(k.NotAfterText), number(k.Disabled), d.arg(k.CreatedBy.Kind), d.arg(k.CreatedBy.ID), int64(k.Depth),
		micros(k.Created), micros(k.Updated), micros(k.LastUsed),
	}})
	return nil
}

// makers are the ids of who made the key or one of its secrets, each once.
func makers(maker string, secrets []secretRow) []string {
	var ids []string
	if maker != "" {
		ids = append(ids, maker)
	}
	for i := range secrets {
		if id := secrets[i].MakerID; id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Lookup implements store.Keys. It is one query.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	if !storable(id) {
		return store.Found{}, fail(ctx, "look up key", cmp.Or(ctx.Err(), store.ErrNotFound))
	}
	var k keyRow
	var w workspaceRow
	var in instanceRow
	err := t.d.read(ctx, func(r runner) error {
		to := slices.Concat([]any{new(primary)}, k.columns(), w.columns(), in.columns())
		return r.row(ctx, t.d.text.lookup, t.d.arg(id)).Scan(to...)
	})
	if err == nil && k.k.Version == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Found{}, fail(ctx, "look up key", err)
	}
	key, err := k.key()
	if err != nil {
		return store.Found{}, fail(ctx, "look up key", err)
	}
	return store.Found{Key: key, Workspace: w.workspace(key.Workspace), Instance: in.instance()}, nil
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	err := checkKey(&k)
	if err == nil {
		err = t.d.change(ctx, k.Workspace, c, func(r runner) error { return t.update(ctx, r, &k, c) })
	}
	if err != nil {
		return fail(ctx, "update key", err)
	}
	return nil
}

func (t *keyTable) update(ctx context.Context, r runner, k *store.Key, c store.Change) error {
	d := t.d
	b := d.batch()
	h := b.lock(locks{change: c, keyID: k.ID, stripe: stripeOf(k.Workspace)})
	if err := b.run(ctx, r); err != nil {
		return err
	}
	if err := b.refused(h); err != nil {
		return err
	}
	old, err := h.present(k.Workspace)
	if err != nil {
		return err
	}
	if old.version != k.Version {
		return store.ErrConflict
	}
	before, err := decodedSecrets(old.secrets)
	if err != nil {
		return err
	}
	after := secretRows(k.Secrets)
	for i := range after {
		if was := secretOf(before, after[i].ID); was != nil {
			after[i].Digest, after[i].Prefix, after[i].MakerKind, after[i].MakerID = was.Digest, was.Prefix, was.MakerKind, was.MakerID
			after[i].Created, after[i].LastUsed = was.Created, was.LastUsed
		}
	}
	secrets, err := encoded(after)
	if err != nil {
		return err
	}
	resources, err := encodedList(k.Resources)
	if err != nil {
		return err
	}

	b = d.batch()
	b.exec(d.text.updateKey,
		d.arg(k.Name), d.folded(k.Name), d.arg(padded(k.Permissions)), d.arg(padded(k.Asked)), d.arg(padded(k.Admin)), d.arg(secrets), d.arg(resources),
		expiry(k.NotAfter), d.arg(k.NotAfterText), number(k.Disabled), micros(k.Updated), number(c.EndTokens), d.arg(k.ID))
	b.changeMakers(k.ID, old.created, makers(old.maker, before), makers(old.maker, after))
	if err := b.finish(c, store.Notice{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID}); err != nil {
		return err
	}
	return b.run(ctx, r)
}

func (b *batch) changeMakers(id string, created int64, before, after []string) {
	for _, maker := range before {
		if !slices.Contains(after, maker) {
			b.exec(b.d.text.deleteMaker, b.d.arg(id), b.d.arg(maker))
		}
	}
	for _, maker := range after {
		if !slices.Contains(before, maker) {
			b.exec(b.d.text.addMaker, b.d.arg(maker), created, b.d.arg(id))
		}
	}
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	err := checkWorkspace(workspace)
	if err == nil {
		err = t.d.change(ctx, workspace, c, func(r runner) error { return t.remove(ctx, r, workspace, id, version, at, c) })
	}
	if err != nil {
		return fail(ctx, "delete key", err)
	}
	return nil
}

func (t *keyTable) remove(ctx context.Context, r runner, workspace, id string, version int64, at time.Time, c store.Change) error {
	d := t.d
	b := d.batch()
	h := b.lock(locks{change: c, workspace: workspace, added: -1, keyID: id, stripe: stripeOf(workspace)})
	if err := b.run(ctx, r); err != nil {
		return err
	}
	if err := b.refused(h); err != nil {
		return err
	}
	old, err := h.present(workspace)
	if err != nil {
		return err
	}
	if version != 0 && version != old.version {
		return store.ErrConflict
	}

	b = d.batch()
	b.exec(d.text.deleteKey, d.arg(id))
	b.exec(d.text.deleteMakers, d.arg(id))
	b.exec(d.text.addTombstone, d.arg(id), micros(at))
	if err := b.finish(c, store.Notice{Kind: store.NoticeKey, Workspace: workspace, Key: id}); err != nil {
		return err
	}
	return b.run(ctx, r)
}
