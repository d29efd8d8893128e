package sqlstore

import (
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// micros is how instants are kept: microseconds since 1970 hold any year that
// people write, and the zero time comes back as the zero time. Finer parts are
// cut off.
func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// never is how a missing expiry is kept: lists show keys without one after all
// others.
const never = math.MaxInt64

func expiry(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return micros(t)
}

// padded is a set with a space before and after each permission, so that a search
// for one finds no part of another.
func padded(s scope.Set) string {
	if s.Len() == 0 {
		return ""
	}
	return " " + s.String() + " "
}

// folded is a text in ASCII lower case, or nil where that is the text itself.
func folded(text string) any {
	if lower := lowered(text); lower != text {
		return lower
	}
	return nil
}

func lowered(text string) string {
	lower := []byte(text)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}

// asJSON is a list as it is kept. What is kept of a struct are the names of its
// fields: one that is renamed needs a migration.
func asJSON[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", errUnreadable
	}
	return string(text), nil
}

// keptSecrets are secrets as they are kept.
func keptSecrets(secrets []store.Secret) (string, error) {
	kept := make([]store.Secret, len(secrets))
	for i, s := range secrets {
		s.Created, s.NotAfter, s.LastUsed = s.Created.UTC(), s.NotAfter.UTC(), s.LastUsed.UTC()
		kept[i] = s
	}
	return asJSON(kept)
}

// secretOf returns the secret with the given id, or nil.
func secretOf(secrets []store.Secret, id string) *store.Secret {
	for i := range secrets {
		if secrets[i].ID == id {
			return &secrets[i]
		}
	}
	return nil
}

// keyColumns are the columns of a key, and keyRow is where they are scanned to.
const keyColumns = `k.id, k.workspace, k.name, k.permissions, k.asked, k.admin, k.secrets, k.resources, k.not_after, k.not_after_text,
	k.disabled, k.maker_kind, k.maker_id, k.depth, k.created, k.updated, k.last_used, k.version, k.epoch`

func keyRow(k *store.Key) []any {
	return []any{
		orZero[string]{&k.ID}, orZero[string]{&k.Workspace}, orZero[string]{&k.Name}, permissions{&k.Permissions}, permissions{&k.Asked}, permissions{&k.Admin},
		fromJSON[store.Secret]{&k.Secrets}, fromJSON[string]{&k.Resources}, at{&k.NotAfter}, orZero[string]{&k.NotAfterText},
		orZero[bool]{&k.Disabled}, orZero[string]{&k.CreatedBy.Kind}, orZero[string]{&k.CreatedBy.ID}, orZero[int]{&k.Depth},
		at{&k.Created}, at{&k.Updated}, at{&k.LastUsed}, orZero[int64]{&k.Version}, orZero[int64]{&k.Epoch},
	}
}

// workspaceColumns are the columns of a workspace, and workspaceRow is where they
// are scanned to.
const workspaceColumns = `w.suspended, w.deleted, w.max_keys, w.require_expiry, w.max_lifetime, w.enforced_from,
	w.epoch, w.updated, w.version, w.held`

func workspaceRow(w *store.Workspace) []any {
	return []any{
		orZero[bool]{&w.Suspended}, orZero[bool]{&w.Deleted}, orZero[int]{&w.Rules.MaxKeys}, orZero[bool]{&w.Rules.RequireExpiry},
		orZero[time.Duration]{&w.Rules.MaxLifetime}, at{&w.Rules.EnforcedFrom},
		orZero[int64]{&w.Epoch}, at{&w.Updated}, orZero[int64]{&w.Version}, orZero[int]{&w.Keys},
	}
}

// instanceColumns are the columns of the instance's settings, and instanceRow is
// where they are scanned to.
const instanceColumns = `i.keys_off, i.max_keys, i.require_expiry, i.max_lifetime, i.enforced_from,
	i.epoch, i.updated, i.version`

func instanceRow(in *store.Instance) []any {
	return []any{
		&in.KeysOff, &in.Rules.MaxKeys, &in.Rules.RequireExpiry, &in.Rules.MaxLifetime, at{&in.Rules.EnforcedFrom},
		&in.Epoch, at{&in.Updated}, &in.Version,
	}
}

// foundColumns are all of them, and foundRow is where they are scanned to.
const foundColumns = keyColumns + `, ` + workspaceColumns + `, ` + instanceColumns

func foundRow(f *store.Found) []any {
	return slices.Concat(keyRow(&f.Key), workspaceRow(&f.Workspace), instanceRow(&f.Instance))
}

// orZero scans a column of which NULL is the zero value: there is no row, or the
// driver, one of SQLite, does not tell an empty text from NULL.
type orZero[T any] struct{ to *T }

// Scan implements sql.Scanner.
func (o orZero[T]) Scan(value any) error {
	if v, is := value.(T); is { // which saves the reflection of most columns
		*o.to = v
		return nil
	}
	var n sql.Null[T]
	err := n.Scan(value)
	*o.to = n.V
	return err
}

// at scans an instant, of which NULL and never are the zero time.
type at struct{ to *time.Time }

// Scan implements sql.Scanner.
func (a at) Scan(value any) error {
	micros := int64(never)
	if value != nil {
		if err := (orZero[int64]{&micros}).Scan(value); err != nil {
			return err
		}
	}
	*a.to = time.Time{}
	if micros != never {
		*a.to = instant(micros)
	}
	return nil
}

// permissions scans a set of permissions.
type permissions struct{ to *scope.Set }

// Scan implements sql.Scanner.
func (p permissions) Scan(value any) error {
	var text string
	err := (orZero[string]{&text}).Scan(value)
	if err != nil {
		return err
	}
	if *p.to, err = scope.Parse(strings.Trim(text, " ")); err != nil {
		return errUnreadable
	}
	return nil
}

// fromJSON scans what asJSON made. An empty one is nil.
type fromJSON[T any] struct{ to *[]T }

// Scan implements sql.Scanner.
func (f fromJSON[T]) Scan(value any) error {
	var text []byte
	if err := (orZero[[]byte]{&text}).Scan(value); err != nil {
		return err
	}
	var all []T
	if len(text) > 0 && string(text) != "[]" && json.Unmarshal(text, &all) != nil {
		return errUnreadable
	}
	*f.to = all
	return nil
}

// primary scans {standby}. A server that follows another one may lag behind it, so
// that its answer is refused. So is that of a session of MySQL whose reads stand
// still.
type primary struct{}

// Scan implements sql.Scanner.
func (primary) Scan(value any) error {
	var n sql.Null[int64]
	err := n.Scan(value)
	switch {
	case err != nil:
		return err
	case n.V == 0:
		return nil
	case n.V == 2:
		return errAutocommit
	}
	return errStandby
}

// Bounds of what has an index. Longer texts are refused by all dialects alike.
const (
	maxID        = 255
	maxWorkspace = 1024
	maxName      = 1024
	maxText      = 1 << 20
)

// storable reports whether a text can be kept. PostgreSQL keeps no other; that
// is so in all dialects.
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

func checkText(what, text string, most int) error {
	if len(text) > most {
		return refuse("%s has at most %d bytes", what, most)
	}
	if !storable(text) {
		return refuse("%s must be UTF-8 without a zero byte", what)
	}
	return nil
}

// checkKey refuses what does not fit into the columns.
func checkKey(k *store.Key) error {
	err := errors.Join(
		checkText("a key's id", k.ID, maxID), checkText("a key's name", k.Name, maxName), checkWorkspace(k.Workspace),
		checkText("a key's expiry as text", k.NotAfterText, maxID), checkMaker(k.CreatedBy))
	for _, s := range k.Secrets {
		err = errors.Join(err, checkText("a secret's id", s.ID, maxText), checkText("a secret's hint", s.Hint, maxText),
			checkText("a secret's digest", s.Digest, maxText), checkText("a secret's prefix", s.Prefix, maxText), checkMaker(s.CreatedBy))
	}
	for _, resource := range k.Resources {
		err = errors.Join(err, checkText("a resource", resource, maxText))
	}
	return err
}

func checkMaker(maker store.ActorRef) error {
	return errors.Join(checkText("a maker's kind", maker.Kind, maxID), checkText("a maker's id", maker.ID, maxName))
}

func checkWorkspace(id string) error { return checkText("a workspace's id", id, maxWorkspace) }
