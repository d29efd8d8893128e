package sqlstore

import (
	"context"
	"database/sql"
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
	return []any{&r.maxKeys, &r.requireExpiry, &r.maxLifetime, &r.enforcedFrom}
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

// workspaceRow is where workspaceColumns are scanned to.
type workspaceRow struct {
	w       store.Workspace
	rules   rulesRow
	updated int64
	held    int64
}

func (r *workspaceRow) columns() []any {
	columns := append([]any{&r.w.Suspended, &r.w.Deleted}, r.rules.columns()...)
	return append(columns, &r.w.Epoch, &r.updated, &r.w.Version, &r.held)
}

func (r *workspaceRow) workspace(id string) store.Workspace {
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
		return r.row(ctx, s.d.text.instance).Scan(row.columns()...)
	})
	if err != nil {
		return store.Instance{}, fail(ctx, "read settings", err)
	}
	return row.instance(), nil
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.Instance, c store.Change) error {
	err := s.d.change(ctx, c, store.Notice{Kind: store.NoticeInstance}, func(r runner) error {
		var version, epoch int64
		if err := r.row(ctx, s.d.text.lockInstance).Scan(&version, &epoch); err != nil {
			return err
		}
		if version != in.Version {
			return store.ErrConflict
		}
		values := append([]any{number(in.KeysOff)}, rulesValues(in.Rules)...)
		values = append(values, number(in.RemindersOff), (*reminderTimes)(&in.RemindBefore).text(), max(epoch, in.Epoch), micros(in.Updated), version+1)
		_, err := r.exec(ctx, s.d.text.setInstance, values...)
		return err
	})
	if err != nil {
		return fail(ctx, "save settings", err)
	}
	return nil
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	var row workspaceRow
	err := s.d.read(ctx, func(r runner) error {
		return r.row(ctx, s.d.text.workspace, []byte(id)).Scan(row.columns()...)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return store.Workspace{ID: id}, nil
	}
	if err != nil {
		return store.Workspace{}, fail(ctx, "read workspace settings", err)
	}
	return row.workspace(id), nil
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	notice := store.Notice{Kind: store.NoticeWorkspace, Workspace: w.ID}
	err := checkWorkspace(w.ID)
	if err == nil {
		err = s.d.change(ctx, c, notice, func(r runner) error { return s.setWorkspace(ctx, r, w) })
	}
	if err != nil {
		return fail(ctx, "save workspace settings", err)
	}
	return nil
}

func (s *settings) setWorkspace(ctx context.Context, r runner, w store.Workspace) error {
	old, err := s.d.lockWorkspace(ctx, r, w.ID)
	if err != nil {
		return err
	}
	if old.w.Deleted {
		return store.ErrNotFound
	}
	if old.w.Version != w.Version {
		return store.ErrConflict
	}
	values := append([]any{number(w.Suspended)}, rulesValues(w.Rules)...)
	values = append(values, max(old.w.Epoch, w.Epoch), micros(w.Updated), w.Version+1, []byte(w.ID))
	_, err = r.exec(ctx, s.d.text.setWorkspace, values...)
	return err
}

// lockWorkspace locks the workspace's row, which it makes if need be.
func (d *Database) lockWorkspace(ctx context.Context, r runner, id string) (*workspaceRow, error) {
	if _, err := r.exec(ctx, d.text.addWorkspace, []byte(id)); err != nil {
		return nil, err
	}
	var row workspaceRow
	if err := r.row(ctx, d.text.lockWorkspace, []byte(id)).Scan(row.columns()...); err != nil {
		return nil, err
	}
	return &row, nil
}

// DeleteWorkspace implements store.Settings. All keys go in one transaction;
// 10,000 take less than a second.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	notice := store.Notice{Kind: store.NoticeWorkspace, Workspace: id}
	err := checkWorkspace(id)
	if err == nil {
		err = s.d.change(ctx, c, notice, func(r runner) error { return s.deleteWorkspace(ctx, r, id, at) })
	}
	if err != nil {
		return fail(ctx, "delete workspace", err)
	}
	return nil
}

func (s *settings) deleteWorkspace(ctx context.Context, r runner, id string, at time.Time) error {
	q := &s.d.text
	old, err := s.d.lockWorkspace(ctx, r, id)
	if err != nil {
		return err
	}
	if old.w.Deleted {
		return store.ErrNotFound
	}
	if s.d.dialect == PostgreSQL {
		_, err = r.exec(ctx, q.buryWorkspace, []byte(id), micros(at))
	} else if _, err = r.exec(ctx, q.buryWorkspace, micros(at), []byte(id)); err == nil {
		_, err = r.exec(ctx, q.deleteKeys, []byte(id))
	}
	if err != nil {
		return err
	}
	_, err = r.exec(ctx, q.endWorkspace, micros(at), []byte(id))
	return err
}
