package sqlstore

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// micros is how instants are kept: microseconds since 1970 hold any year that
// people write, and the zero time comes back as the zero time. Finer parts are
// cut off.
func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// never is how a key's expiry is kept when there is none: after all others, as
// it is listed.
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

// number is how a yes or no is kept.
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
	Generated bool   `json:"generated"`
	Created   int64  `json:"created"`
	NotAfter  int64  `json:"not_after"`
	LastUsed  int64  `json:"last_used"`
}

func secretRows(secrets []store.Secret) []secretRow {
	rows := make([]secretRow, len(secrets))
	for i, s := range secrets {
		rows[i] = secretRow{
			ID: s.ID, Hint: s.Hint, Digest: s.Digest, Generated: s.Generated,
			Created: micros(s.Created), NotAfter: micros(s.NotAfter), LastUsed: micros(s.LastUsed),
		}
	}
	return rows
}

func readSecrets(text []byte) ([]secretRow, error) {
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

// written is a value as JSON.
func written(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, errUnreadable
	}
	return text, nil
}

// list is a list of texts as JSON.
func list(texts []string) ([]byte, error) {
	if len(texts) == 0 {
		return []byte("[]"), nil
	}
	return written(texts)
}

func readList(text []byte) ([]string, error) {
	if len(text) == 0 || string(text) == "[]" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal(text, &texts); err != nil {
		return nil, errUnreadable
	}
	return texts, nil
}

// padded is a set with a space before and after each permission, so that one
// can be searched for.
func padded(s scope.Set) []byte {
	if s.Len() == 0 {
		return []byte{}
	}
	return []byte(" " + s.String() + " ")
}

func readSet(text []byte) (scope.Set, error) {
	s, err := scope.Parse(strings.Trim(string(text), " "))
	if err != nil {
		return scope.Set{}, errUnreadable
	}
	return s, nil
}

// folded is a text in ASCII lower case, or NULL where that is the text itself.
func folded(text string) any {
	if lower := lowered(text); lower != text {
		return []byte(lower)
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

// keyRow is where a key's columns are scanned to.
type keyRow struct {
	k                                      store.Key
	permissions, asked, secrets, resources []byte
	notAfter, created, updated, lastUsed   int64
}

// columns are the destinations of keyColumns.
func (r *keyRow) columns() []any {
	k := &r.k
	return []any{
		text{&k.ID}, text{&k.Workspace}, text{&k.Name}, &r.permissions, &r.asked, &r.secrets, &r.resources,
		&r.notAfter, text{&k.NotAfterText}, &k.Disabled, text{&k.CreatedBy.Kind}, text{&k.CreatedBy.ID},
		&r.created, &r.updated, &r.lastUsed, &k.Version, &k.Epoch,
	}
}

// key reads what was scanned.
func (r *keyRow) key() (store.Key, error) {
	k := r.k
	var err error
	if k.Permissions, err = readSet(r.permissions); err != nil {
		return store.Key{}, err
	}
	if k.Asked, err = readSet(r.asked); err != nil {
		return store.Key{}, err
	}
	if k.Resources, err = readList(r.resources); err != nil {
		return store.Key{}, err
	}
	rows, err := readSecrets(r.secrets)
	if err != nil {
		return store.Key{}, err
	}
	k.Secrets = make([]store.Secret, len(rows))
	for i, s := range rows {
		k.Secrets[i] = store.Secret{
			ID: s.ID, Hint: s.Hint, Digest: s.Digest, Generated: s.Generated,
			Created: instant(s.Created), NotAfter: instant(s.NotAfter), LastUsed: instant(s.LastUsed),
		}
	}
	k.NotAfter = expires(r.notAfter)
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

// Bounds of what has an index. Longer texts are refused by all dialects alike.
const (
	maxID        = 255
	maxWorkspace = 1024
	maxName      = 1024
)

// checkKey refuses what does not fit into the columns.
func checkKey(k *store.Key) error {
	switch {
	case len(k.ID) > maxID:
		return refuse("a key's id has at most %d bytes", maxID)
	case len(k.Name) > maxName:
		return refuse("a key's name has at most %d bytes", maxName)
	case len(k.NotAfterText) > maxID || len(k.CreatedBy.Kind) > maxID:
		return refuse("a text of the key has more than %d bytes", maxID)
	case len(k.CreatedBy.ID) > maxName:
		return refuse("a maker's id has at most %d bytes", maxName)
	}
	return checkWorkspace(k.Workspace)
}

func checkWorkspace(id string) error {
	if len(id) > maxWorkspace {
		return refuse("a workspace's id has at most %d bytes", maxWorkspace)
	}
	return nil
}
