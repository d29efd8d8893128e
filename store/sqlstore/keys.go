package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyTable implements store.Keys. Writers take locks in one order: the
// one-time id, the workspace, the key, the number of the notice.
type keyTable struct{ d *Database }

// Create implements store.Keys.
func (t *keyTable) Create(ctx context.Context, k store.Key, limit int, c store.Change) error {
	notice := store.Notice{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID}
	err := checkKey(&k)
	if err == nil {
		err = t.d.change(ctx, c, notice, func(r runner) error { return t.create(ctx, r, k, limit) })
	}
	if err != nil {
		return fail(ctx, "create key", err)
	}
	return nil
}

func (t *keyTable) create(ctx context.Context, r runner, k store.Key, limit int) error {
	q := &t.d.text
	deleted, held, err := t.d.claimPlace(ctx, r, k.Workspace)
	if err != nil {
		return err
	}
	if deleted {
		return store.ErrNotFound
	}
	// An epoch that was raised before its key came in counts.
	var markedIn string
	var marked int64
	err = r.row(ctx, q.lockMark, []byte(k.ID)).Scan(text{&markedIn}, &marked)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	epoch := max(k.Epoch, 1)
	if err == nil {
		if markedIn == k.Workspace {
			epoch = max(epoch, marked)
		}
		if _, err := r.exec(ctx, q.deleteMark, []byte(k.ID)); err != nil {
			return err
		}
	}
	if err := t.insert(ctx, r, k, epoch); err != nil {
		return err
	}
	// Only now: a deletion that the insertion waited for left a tombstone.
	err = r.row(ctx, q.tombstone, []byte(k.ID)).Scan(new(int64))
	if err == nil {
		return store.ErrExists
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if limit != store.NoLimit && held > int64(limit) {
		return store.ErrLimit
	}
	return nil
}

func (t *keyTable) insert(ctx context.Context, r runner, k store.Key, epoch int64) error {
	secrets, err := written(secretRows(k.Secrets))
	if err != nil {
		return err
	}
	resources, err := list(k.Resources)
	if err != nil {
		return err
	}
	done, err := r.exec(ctx, t.d.text.insertKey,
		[]byte(k.ID), []byte(k.Workspace), []byte(k.Name), folded(k.Name), folded(k.ID),
		padded(k.Permissions), padded(k.Asked), secrets, resources,
		expiry(k.NotAfter), []byte(k.NotAfterText), number(k.Disabled), []byte(k.CreatedBy.Kind), []byte(k.CreatedBy.ID),
		micros(k.Created), micros(k.Updated), micros(k.LastUsed), epoch)
	if err != nil {
		return err
	}
	added, err := done.RowsAffected()
	if err == nil && added == 0 {
		return store.ErrExists
	}
	return err
}

// claimPlace counts one key more, makes the workspace's row if need be and
// holds its lock. held includes the new key.
func (d *Database) claimPlace(ctx context.Context, r runner, workspace string) (deleted bool, held int64, err error) {
	if d.dialect != MySQL {
		err = r.row(ctx, d.text.claimPlace, []byte(workspace)).Scan(&deleted, &held)
		return deleted, held, err
	}
	if _, err := r.exec(ctx, d.text.claimPlace, []byte(workspace)); err != nil {
		return false, 0, err
	}
	err = r.row(ctx, d.text.readPlace, []byte(workspace)).Scan(&deleted, &held)
	return deleted, held, err
}

// Lookup implements store.Keys.
func (t *keyTable) Lookup(ctx context.Context, id string) (store.Found, error) {
	var k keyRow
	var w workspaceRow
	var in instanceRow
	err := t.d.read(ctx, func(r runner) error {
		return r.row(ctx, t.d.text.lookup, []byte(id)).Scan(append(append(k.columns(), w.columns()...), in.columns()...)...)
	})
	if err != nil {
		return store.Found{}, fail(ctx, "look up key", found(err))
	}
	key, err := k.key()
	if err != nil {
		return store.Found{}, fail(ctx, "look up key", err)
	}
	return store.Found{Key: key, Workspace: w.workspace(key.Workspace), Instance: in.instance()}, nil
}

// Update implements store.Keys.
func (t *keyTable) Update(ctx context.Context, k store.Key, c store.Change) error {
	notice := store.Notice{Kind: store.NoticeKey, Workspace: k.Workspace, Key: k.ID}
	err := checkKey(&k)
	if err == nil {
		err = t.d.change(ctx, c, notice, func(r runner) error { return t.update(ctx, r, k) })
	}
	if err != nil {
		return fail(ctx, "update key", err)
	}
	return nil
}

func (t *keyTable) update(ctx context.Context, r runner, k store.Key) error {
	old, err := t.held(ctx, r, k.Workspace, k.ID)
	if err != nil {
		return err
	}
	if old.k.Version != k.Version {
		return store.ErrConflict
	}
	before, err := readSecrets(old.secrets)
	if err != nil {
		return err
	}
	rows := secretRows(k.Secrets)
	for i := range rows {
		if was := secretOf(before, rows[i].ID); was != nil {
			rows[i].Digest, rows[i].Created, rows[i].LastUsed = was.Digest, was.Created, was.LastUsed
		}
	}
	secrets, err := written(rows)
	if err != nil {
		return err
	}
	resources, err := list(k.Resources)
	if err != nil {
		return err
	}
	_, err = r.exec(ctx, t.d.text.updateKey,
		[]byte(k.Name), folded(k.Name), padded(k.Permissions), padded(k.Asked), secrets, resources,
		expiry(k.NotAfter), []byte(k.NotAfterText), number(k.Disabled), micros(k.Updated),
		old.k.Version+1, max(old.k.Epoch, k.Epoch), []byte(k.ID))
	return err
}

// held locks a key's row. A key of another workspace is not there.
func (t *keyTable) held(ctx context.Context, r runner, workspace, id string) (*keyRow, error) {
	var old keyRow
	if err := r.row(ctx, t.d.text.lockKey, []byte(id)).Scan(old.columns()...); err != nil {
		return nil, found(err)
	}
	if old.k.Workspace != workspace {
		return nil, store.ErrNotFound
	}
	return &old, nil
}

// Delete implements store.Keys.
func (t *keyTable) Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c store.Change) error {
	notice := store.Notice{Kind: store.NoticeKey, Workspace: workspace, Key: id}
	err := t.d.change(ctx, c, notice, func(r runner) error { return t.remove(ctx, r, workspace, id, version, at) })
	if err != nil {
		return fail(ctx, "delete key", err)
	}
	return nil
}

func (t *keyTable) remove(ctx context.Context, r runner, workspace, id string, version int64, at time.Time) error {
	q := &t.d.text
	var deleted bool
	var count int64
	if err := r.row(ctx, q.readPlace, []byte(workspace)).Scan(&deleted, &count); err != nil {
		return found(err)
	}
	old, err := t.held(ctx, r, workspace, id)
	if err != nil {
		return err
	}
	if version != 0 && version != old.k.Version {
		return store.ErrConflict
	}
	if _, err := r.exec(ctx, q.deleteKey, []byte(id)); err != nil {
		return err
	}
	if _, err := r.exec(ctx, q.addTombstone, []byte(id), micros(at), old.k.Epoch+1); err != nil {
		return err
	}
	_, err = r.exec(ctx, q.freePlace, []byte(workspace))
	return err
}
