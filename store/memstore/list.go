package memstore

import (
	"cmp"
	"context"
	"math"

	"github.com/latchkey-go/latchkey/store"
)

// orders are the indexes by which keys are listed without sorting.
type orders struct{ created, name, expiry index[store.Key] }

func newOrders() orders {
	return orders{
		created: newIndex(func(a, b *store.Key) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		}),
		name: newIndex(func(a, b *store.Key) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		}),
		expiry: newIndex(func(a, b *store.Key) int {
			return cmp.Or(cmp.Compare(expiryOf(a), expiryOf(b)), cmp.Compare(a.ID, b.ID))
		}),
	}
}

// expiryOf returns what keys are ordered by. Never comes last.
func expiryOf(k *store.Key) int64 {
	if k.NotAfter.IsZero() {
		return math.MaxInt64
	}
	return k.NotAfter.UnixMicro()
}

// list adds a key to the indexes of its workspace and of all keys, and its credentials to theirs.
func (db *database) list(k *store.Key) {
	for i := range k.Credentials {
		db.credentials[k.Credentials[i].ID] = k
	}
	for _, o := range []orders{db.orders, db.workspaces[k.Workspace].orders} {
		o.created.tree.ReplaceOrInsert(k)
		o.name.tree.ReplaceOrInsert(k)
		o.expiry.tree.ReplaceOrInsert(k)
	}
}

func (db *database) unlist(k *store.Key) {
	for i := range k.Credentials {
		delete(db.credentials, k.Credentials[i].ID)
	}
	for _, o := range []orders{db.orders, db.workspaces[k.Workspace].orders} {
		o.created.tree.Delete(k)
		o.name.tree.Delete(k)
		o.expiry.tree.Delete(k)
	}
}

// List implements store.Keys.
func (t *keyTable) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	db := t.db
	page, err := q.Page(func(q *store.KeyQuery, most int) ([]store.Key, error) { return db.matching(ctx, q, most) })
	if err != nil {
		return store.KeyPage{}, fail("list keys", err)
	}
	if len(page.Keys) == 0 {
		return page, nil
	}
	page.Workspaces = make(map[string]store.Workspace)
	err = db.read(ctx, "list keys", func() error {
		page.Instance = db.instance.Instance
		for i := range page.Keys {
			id := page.Keys[i].Workspace
			page.Workspaces[id] = db.record(id)
		}
		return nil
	})
	return page, err
}

// matching returns the first keys that match q, at most the given number, in the order of
// an index.
func (db *database) matching(ctx context.Context, q *store.KeyQuery, most int) (keys []store.Key, err error) {
	order := func() index[store.Key] {
		of := db.orders
		if q.Workspace != "" {
			of = orders{}
			if ws := db.workspaces[q.Workspace]; ws != nil {
				of = ws.orders
			}
		}
		switch q.Sort {
		case store.ByName:
			return of.name
		case store.ByExpiry:
			return of.expiry
		}
		return of.created
	}
	var after *store.Key
	if q.After != nil {
		after = &store.Key{ID: q.After.ID, Name: q.After.Name, Created: q.After.Time, NotAfter: q.After.Time}
	}
	err = scan(ctx, db, order, after, q.Descending, func(k *store.Key) bool {
		if q.Matches(k) {
			keys = append(keys, k.Clone())
		}
		return len(keys) < most
	})
	return keys, err
}

// workspaceTable implements store.Workspaces.
type workspaceTable struct{ db *database }

// List implements store.Workspaces.
func (t *workspaceTable) List(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
	cursor := &workspace{Workspace: store.Workspace{ID: after}}
	page, err := store.PageOfWorkspaces(limit, func(most int) (all []store.Workspace, err error) {
		err = scan(ctx, t.db, func() index[workspace] { return t.db.listed }, cursor, false, func(ws *workspace) bool {
			all = append(all, ws.Workspace)
			return len(all) < most
		})
		return all, err
	})
	return page, fail("list workspaces", err)
}
