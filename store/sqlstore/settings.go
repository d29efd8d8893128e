package sqlstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// rulesRow is where the columns of rules are scanned to.
type rulesRow struct {
	maxKeys, maxLifetime, enforcedFrom int64
	requireExpiry                      bool
}

func (r *rulesRow) columns() []any {
	return []any{whole{&r.maxKeys}, flag{&r.requireExpiry}, whole{&r.maxLifetime}, whole{&r.enforcedFrom}}
}

func (r *rulesRow) rules() store.Rules {
	return store.Rules{
		MaxKeys: int(r.maxKeys), RequireExpiry: r.requireExpiry,
		MaxLifetime: time.Duration(r.maxLifetime), EnforcedFrom: instant(r.enforcedFrom),
	}
}

func rulesValues(r store.Rules) []any {
	return []any{int64(r.MaxKeys), number(r.RequireExpiry), int64(r.MaxLifetime), micros(r.EnforcedFrom)}
}

// instanceRow is where instanceColumns are scanned to.
type instanceRow struct {
	in      store.Instance
	rules   rulesRow
	updated int64
}

func (r *instanceRow) columns() []any {
	columns := append([]any{&r.in.KeysOff}, r.rules.columns()...)
	return append(columns, &r.in.RemindersOff, (*reminderTimes)(&r.in.RemindBefore), &r.in.Epoch, &r.updated, &r.in.Version)
}

func (r *instanceRow) instance() store.Instance {
	in := r.in
	in.Rules, in.Updated = r.rules.rules(), instant(r.updated)
	return in
}

// reminderTimes are kept as a text of nanoseconds with spaces between, without
// the zeros at the end.
type reminderTimes [store.MaxReminders]time.Duration

func (r *reminderTimes) text() string {
	last := len(r)
	for last > 0 && r[last-1] == 0 {
		last--
	}
	words := make([]string, last)
	for i := range words {
		words[i] = strconv.FormatInt(int64(r[i]), 10)
	}
	return strings.Join(words, " ")
}

// Scan implements sql.Scanner.
func (r *reminderTimes) Scan(from any) error {
	var text string
	switch from := from.(type) {
	case string:
		text = from
	case []byte:
		text = string(from)
	default:
		return errReminders
	}
	*r = reminderTimes{}
	for i := 0; text != ""; i++ {
		word, rest, _ := strings.Cut(text, " ")
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || i == len(r) {
			return errReminders
		}
		r[i], text = time.Duration(n), rest
	}
	return nil
}

var errReminders = errors.New("the times of reminders cannot be read")

// workspaceRow is where workspaceColumns are scanned to: NULL each if there is
// no row.
type workspaceRow struct {
	w       store.Workspace
	rules   rulesRow
	updated int64
	held    int64
}

func (r *workspaceRow) columns() []any {
	columns := append([]any{flag{&r.w.Suspended}, flag{&r.w.Deleted}}, r.rules.columns()...)
	return append(columns, whole{&r.w.Epoch}, whole{&r.updated}, whole{&r.w.Version}, whole{&r.held})
}

func (r *workspaceRow) workspace(id string) store.Workspace {
	if r.w == (store.Workspace{}) && r.held == 0 && r.updated == 0 { // there is no row
		return store.Workspace{ID: id}
	}
	w := r.w
	w.ID, w.Rules, w.Updated, w.Keys = id, r.rules.rules(), instant(r.updated), int(r.held)
	return w
}

// settings implements store.Settings.
type settings struct{ d *Database }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (store.Instance, error) {
	var row instanceRow
	err := s.d.read(ctx, func(r runner) error {
		return r.row(ctx, s.d.text.instance).Scan(append([]any{new(primary)}, row.columns()...)...)
	})
	if err != nil {
		return store.Instance{}, fail(ctx, "read settings", err)
	}
	return row.instance(), nil
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.Instance, c store.Change) error {
	err := s.d.change(ctx, "", c, func(r runner) error { return s.setInstance(ctx, r, in, c) })
	if err != nil {
		return fail(ctx, "save settings", err)
	}
	return nil
}

func (s *settings) setInstance(ctx context.Context, r runner, in store.Instance, c store.Change) error {
	b := s.d.batch()
	h := b.lock(locks{change: c, settings: true})
	if err := b.run(ctx, r); err != nil {
		return err
	}
	if err := b.refused(h); err != nil {
		return err
	}
	if h.instance != in.Version {
		return store.ErrConflict
	}

	b = s.d.batch()
	values := append([]any{number(in.KeysOff)}, rulesValues(in.Rules)...)
	values = append(values, number(in.RemindersOff), s.d.arg((*reminderTimes)(&in.RemindBefore).text()), micros(in.Updated), number(c.EndTokens))
	b.exec(s.d.text.setInstance, values...)
	if err := b.finish(c, store.Notice{Kind: store.NoticeInstance}); err != nil {
		return err
	}
	return b.run(ctx, r)
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	var row workspaceRow
	if !storable(id) {
		if err := ctx.Err(); err != nil {
			return store.Workspace{}, fail(ctx, "read workspace settings", err)
		}
		return row.workspace(id), nil
	}
	err := s.d.read(ctx, func(r runner) error {
		return r.row(ctx, s.d.text.workspace, s.d.arg(id)).Scan(append([]any{new(primary)}, row.columns()...)...)
	})
	if err != nil {
		return store.Workspace{}, fail(ctx, "read workspace settings", err)
	}
	return row.workspace(id), nil
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	err := checkWorkspace(w.ID)
	if err == nil {
		err = s.d.change(ctx, w.ID, c, func(r runner) error { return s.setWorkspace(ctx, r, &w, c) })
	}
	if err != nil {
		return fail(ctx, "save workspace settings", err)
	}
	return nil
}

func (s *settings) setWorkspace(ctx context.Context, r runner, w *store.Workspace, c store.Change) error {
	old, err := s.lock(ctx, r, w.ID, c)
	if err != nil {
		return err
	}
	if old.version != w.Version {
		return store.ErrConflict
	}

	b := s.d.batch()
	values := append([]any{number(w.Suspended)}, rulesValues(w.Rules)...)
	b.exec(s.d.text.setWorkspace, append(values, micros(w.Updated), number(c.EndTokens), s.d.arg(w.ID))...)
	if err := b.finish(c, store.Notice{Kind: store.NoticeWorkspace, Workspace: w.ID}); err != nil {
		return err
	}
	return b.run(ctx, r)
}

// lock locks a workspace's row, which it makes if need be. A deleted workspace
// is not there.
func (s *settings) lock(ctx context.Context, r runner, id string, c store.Change) (*heldWorkspace, error) {
	b := s.d.batch()
	h := b.lock(locks{change: c, workspace: id, stripe: stripeOf(id)})
	if err := b.run(ctx, r); err != nil {
		return nil, err
	}
	if err := b.refused(h); err != nil {
		return nil, err
	}
	if h.workspaces[id].deleted {
		return nil, store.ErrNotFound
	}
	return h.workspaces[id], nil
}

// DeleteWorkspace implements store.Settings. All keys go in one transaction;
// 10,000 take less than a second.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	err := checkWorkspace(id)
	if err == nil {
		err = s.d.change(ctx, id, c, func(r runner) error { return s.deleteWorkspace(ctx, r, id, at, c) })
	}
	if err != nil {
		return fail(ctx, "delete workspace", err)
	}
	return nil
}

func (s *settings) deleteWorkspace(ctx context.Context, r runner, id string, at time.Time, c store.Change) error {
	if _, err := s.lock(ctx, r, id, c); err != nil {
		return err
	}
	q, workspace := &s.d.text, s.d.arg(id)
	b := s.d.batch()
	if s.d.dialect == PostgreSQL {
		b.add(part{name: "deleted", text: q.deleteKeys, args: []any{workspace}})
		b.exec(q.deleteMakersOf)
		b.exec(q.addTombstones, micros(at))
	} else {
		b.exec(q.addTombstones, micros(at), workspace)
		b.exec(q.deleteMakersOf, workspace)
		b.exec(q.deleteKeys, workspace)
	}
	b.exec(q.endWorkspace, micros(at), workspace)
	if err := b.finish(c, store.Notice{Kind: store.NoticeWorkspace, Workspace: id}); err != nil {
		return err
	}
	return b.run(ctx, r)
}
