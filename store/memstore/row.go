package memstore

import (
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// row is a key as it is kept: never changed once readers can see it, so that
// a reader only holds its lock to fetch the pointer. Its strings are parts of
// one text, and its sets are shared with other keys; that is what lets a
// million keys fit.
type row struct {
	ws           *workspace
	id           string
	name         string
	notAfterText string
	makerKind    string
	makerID      string
	permissions  scope.Set
	asked        scope.Set
	admin        scope.Set
	secrets      []secretRow
	resources    []string
	notAfter     int64 // microseconds, like all that follow
	created      int64
	updated      int64
	lastUsed     int64
	version      int64
	epoch        int64
	depth        int
	disabled     bool
}

type secretRow struct {
	id        string
	hint      string
	digest    string
	prefix    string
	makerKind string
	makerID   string
	created   int64
	notAfter  int64
	lastUsed  int64
	generated bool
}

// newRow copies k. The sets are left to the caller, see database.shareFor.
func newRow(k store.Key) *row {
	var text packer
	text.add(k.ID, k.Name, k.NotAfterText, k.CreatedBy.Kind, k.CreatedBy.ID)
	for i := range k.Secrets {
		s := &k.Secrets[i]
		text.add(s.ID, s.Hint, s.Digest, s.Prefix, s.CreatedBy.Kind, s.CreatedBy.ID)
	}
	text.pack()
	r := &row{
		id: text.next(k.ID), name: text.next(k.Name), notAfterText: text.next(k.NotAfterText),
		makerKind: text.next(k.CreatedBy.Kind), makerID: text.next(k.CreatedBy.ID),
		notAfter: micros(k.NotAfter), created: micros(k.Created), updated: micros(k.Updated),
		lastUsed: micros(k.LastUsed), version: k.Version, depth: k.Depth, disabled: k.Disabled,
		secrets:   make([]secretRow, len(k.Secrets)),
		resources: slices.Clone(k.Resources),
	}
	for i, s := range k.Secrets {
		r.secrets[i] = secretRow{
			id: text.next(s.ID), hint: text.next(s.Hint), digest: text.next(s.Digest), prefix: text.next(s.Prefix),
			makerKind: text.next(s.CreatedBy.Kind), makerID: text.next(s.CreatedBy.ID),
			created: micros(s.Created), notAfter: micros(s.NotAfter), lastUsed: micros(s.LastUsed),
			generated: s.Generated,
		}
	}
	return r
}

// key copies the row out.
func (r *row) key() store.Key {
	var k store.Key
	r.copyTo(&k)
	return k
}

func (r *row) copyTo(k *store.Key) {
	*k = store.Key{
		ID: r.id, Workspace: r.ws.id, Name: r.name, Permissions: r.permissions, Asked: r.asked, Admin: r.admin,
		NotAfter: instant(r.notAfter), NotAfterText: r.notAfterText, Disabled: r.disabled,
		CreatedBy: store.ActorRef{Kind: r.makerKind, ID: r.makerID},
		Created:   instant(r.created), Updated: instant(r.updated), LastUsed: instant(r.lastUsed),
		Depth:   r.depth,
		Version: r.version, Epoch: r.epoch, Resources: slices.Clone(r.resources),
		Secrets: make([]store.Secret, len(r.secrets)),
	}
	for i := range r.secrets {
		s := &r.secrets[i]
		k.Secrets[i] = store.Secret{
			ID: s.id, Hint: s.hint, Digest: s.digest, Generated: s.generated, Prefix: s.prefix,
			CreatedBy: store.ActorRef{Kind: s.makerKind, ID: s.makerID},
			Created:   instant(s.created), NotAfter: instant(s.notAfter), LastUsed: instant(s.lastUsed),
		}
	}
}

// secret returns the secret with the given id, or nil.
func (r *row) secret(id string) *secretRow {
	for i := range r.secrets {
		if r.secrets[i].id == id {
			return &r.secrets[i]
		}
	}
	return nil
}

// edited returns a copy for upkeep to change before it is put in place.
func (r *row) edited() *row {
	changed := *r
	changed.secrets = append([]secretRow(nil), r.secrets...)
	return &changed
}

// insert adds a new row. It is called inside change.
func (db *database) insert(r *row) {
	db.keys[r.id] = r
	db.orders.add(r)
	r.ws.record.Keys++
}

// replace puts now in the place of old. It is called inside change.
func (db *database) replace(old, now *row) {
	db.keys[now.id] = now
	if old.name != now.name {
		db.orders.remove(old)
	}
	db.orders.add(now)
}

// remove takes a row away and leaves its tombstone. It is called inside
// change.
func (db *database) remove(r *row, at int64) {
	delete(db.keys, r.id)
	db.orders.remove(r)
	db.unshareOf(r)
	r.ws.record.Keys--
	// A copy of the id, so that the tombstone does not hold on to the row.
	db.tombstones[strings.Clone(r.id)] = at
}

// sharedSet counts the places that hold one set.
type sharedSet struct {
	set   scope.Set
	users int
}

// share returns the kept set that equals s. Writers only.
func (db *database) share(s scope.Set) scope.Set {
	if s.Len() == 0 {
		return scope.Set{}
	}
	shared := db.sets[s.String()]
	if shared == nil {
		shared = &sharedSet{set: s}
		db.sets[s.String()] = shared
	}
	shared.users++
	return shared.set
}

// shareFor puts the kept sets of k into r. Writers only.
func (db *database) shareFor(r *row, k *store.Key) {
	r.permissions, r.asked, r.admin = db.share(k.Permissions), db.share(k.Asked), db.share(k.Admin)
}

func (db *database) unshareOf(r *row) {
	db.unshare(r.permissions)
	db.unshare(r.asked)
	db.unshare(r.admin)
}

// unshare gives up one use of a kept set. Writers only.
func (db *database) unshare(s scope.Set) {
	shared := db.sets[s.String()]
	if shared == nil {
		return
	}
	if shared.users--; shared.users == 0 {
		delete(db.sets, s.String())
	}
}

// packer copies strings into one text: add all, pack, then next all in the
// same order.
type packer struct {
	parts []string
	text  string
	store [24]string // enough for the common case
}

func (p *packer) add(parts ...string) {
	if p.parts == nil {
		p.parts = p.store[:0]
	}
	p.parts = append(p.parts, parts...)
}

func (p *packer) pack() { p.text = strings.Join(p.parts, "") }

func (p *packer) next(part string) string {
	copied := p.text[:len(part)]
	p.text = p.text[len(part):]
	return copied
}
