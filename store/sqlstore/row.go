package sqlstore

import (
	"database/sql"
	"encoding/json"
	"errors"
	"math"
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

func expires(micros int64) time.Time {
	if micros == never {
		return time.Time{}
	}
	return instant(micros)
}

// number is how a bool is kept.
func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// secretRow is a secret as it is kept.
type secretRow struct {
	ID        string `json:"id"`
	Hint      string `json:"hint"`
	Digest    string `json:"digest"`
	Prefix    string `json:"prefix"`
	MakerKind string `json:"maker_kind"`
	MakerID   string `json:"maker_id"`
	Generated bool   `json:"generated"`
	Created   int64  `json:"created"`
	NotAfter  int64  `json:"not_after"`
	LastUsed  int64  `json:"last_used"`
}

func secretRows(secrets []store.Secret) []secretRow {
	rows := make([]secretRow, len(secrets))
	for i, s := range secrets {
		rows[i] = secretRow{
			ID: s.ID, Hint: s.Hint, Digest: s.Digest, Prefix: s.Prefix,
			MakerKind: s.CreatedBy.Kind, MakerID: s.CreatedBy.ID, Generated: s.Generated,
			Created: micros(s.Created), NotAfter: micros(s.NotAfter), LastUsed: micros(s.LastUsed),
		}
	}
	return rows
}

func decodedSecrets(text []byte) ([]secretRow, error) {
	var rows []secretRow
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, errUnreadable
	}
	return rows, nil
}

// secretOf returns the secret with the given id, or nil.
func secretOf(rows []secretRow, id string) *secretRow {
	for i := range rows {
		if rows[i].ID == id {
			return &rows[i]
		}
	}
	return nil
}

// encoded returns a value as JSON.
func encoded(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", errUnreadable
	}
	return string(text), nil
}

// encodedList returns texts as JSON.
func encodedList(texts []string) (string, error) {
	if len(texts) == 0 {
		return "[]", nil
	}
	return encoded(texts)
}

func decodedList(text []byte) ([]string, error) {
	if len(text) == 0 || string(text) == "[]" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal(text, &texts); err != nil {
		return nil, errUnreadable
	}
	return texts, nil
}

// padded is a set with a space before and after each permission, so that a search
// for one finds no part of another.
func padded(s scope.Set) string {
	if s.Len() == 0 {
		return ""
	}
	return " " + s.String() + " "
}

func decodedSet(text []byte) (scope.Set, error) {
	s, err := scope.Parse(strings.Trim(string(text), " "))
	if err != nil {
		return scope.Set{}, errUnreadable
	}
	return s, nil
}

// arg is a text as an argument: the columns are text on PostgreSQL, and bytes
// elsewhere.
func (d *Database) arg(text string) any {
	if d.dialect == PostgreSQL {
		return text
	}
	return []byte(text)
}

// folded is a text in ASCII lower case, or NULL where that is the text itself.
func (d *Database) folded(text string) any {
	if lower := lowered(text); lower != text {
		return d.arg(lower)
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

// keyRow is where a key's columns are scanned to: NULL each if there is no key.
type keyRow struct {
	k                                             store.Key
	permissions, asked, admin, secrets, resources []byte
	notAfter, created, updated, lastUsed          int64
	depth                                         int64
}

// columns are the destinations of keyColumns.
func (r *keyRow) columns() []any {
	k := &r.k
	return []any{
		text{&k.ID}, text{&k.Workspace}, text{&k.Name}, &r.permissions, &r.asked, &r.admin, &r.secrets, &r.resources,
		whole{&r.notAfter}, text{&k.NotAfterText}, flag{&k.Disabled}, text{&k.CreatedBy.Kind}, text{&k.CreatedBy.ID}, whole{&r.depth},
		whole{&r.created}, whole{&r.updated}, whole{&r.lastUsed}, whole{&k.Version}, whole{&k.Epoch},
	}
}

// key reads what was scanned.
func (r *keyRow) key() (store.Key, error) {
	k := r.k
	var err error
	if k.Permissions, err = decodedSet(r.permissions); err != nil {
		return store.Key{}, err
	}
	if k.Asked, err = decodedSet(r.asked); err != nil {
		return store.Key{}, err
	}
	if k.Admin, err = decodedSet(r.admin); err != nil {
		return store.Key{}, err
	}
	if k.Resources, err = decodedList(r.resources); err != nil {
		return store.Key{}, err
	}
	rows, err := decodedSecrets(r.secrets)
	if err != nil {
		return store.Key{}, err
	}
	k.Secrets = make([]store.Secret, len(rows))
	for i, s := range rows {
		k.Secrets[i] = store.Secret{
			ID: s.ID, Hint: s.Hint, Digest: s.Digest, Prefix: s.Prefix,
			CreatedBy: store.ActorRef{Kind: s.MakerKind, ID: s.MakerID}, Generated: s.Generated,
			Created: instant(s.Created), NotAfter: instant(s.NotAfter), LastUsed: instant(s.LastUsed),
		}
	}
	k.Depth, k.NotAfter = int(r.depth), expires(r.notAfter)
	k.Created, k.Updated, k.LastUsed = instant(r.created), instant(r.updated), instant(r.lastUsed)
	return k, nil
}

// text scans bytes into a string. An empty text may come as NULL: SQLite
// drivers do not tell them apart.
type text struct{ to *string }

// Scan implements sql.Scanner.
func (t text) Scan(value any) error {
	switch v := value.(type) {
	case []byte:
		*t.to = string(v)
	case string:
		*t.to = v
	case nil:
		*t.to = ""
	default:
		return errUnreadable
	}
	return nil
}

// whole scans a number, of which NULL is 0. It avoids the reflection of
// sql.NullInt64 where it can, since a look-up scans many numbers.
type whole struct{ to *int64 }

// Scan implements sql.Scanner.
func (w whole) Scan(value any) error {
	switch v := value.(type) {
	case int64:
		*w.to = v
		return nil
	case nil:
		*w.to = 0
		return nil
	}
	var n sql.NullInt64
	err := n.Scan(value)
	*w.to = n.Int64
	return err
}

// flag scans a bool, of which NULL is false.
type flag struct{ to *bool }

// Scan implements sql.Scanner.
func (f flag) Scan(value any) error {
	switch v := value.(type) {
	case int64:
		*f.to = v != 0
		return nil
	case bool:
		*f.to = v
		return nil
	case nil:
		*f.to = false
		return nil
	}
	var n sql.NullBool
	err := n.Scan(value)
	*f.to = n.Bool
	return err
}

// primary scans the column {standby}. A server that follows another one may lag
// behind it, so that its answer is refused with errStandby.
type primary struct{}

// Scan implements sql.Scanner.
func (*primary) Scan(value any) error {
	var standby bool
	if err := (flag{&standby}).Scan(value); err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	return nil
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
