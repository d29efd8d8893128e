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

// micros returns the stored form of a time: microseconds since 1970, truncated. The
// zero time is read back as the zero time.
func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// noExpiry is the stored form of a missing expiry. It sorts keys without an expiry
// after all others.
const noExpiry = math.MaxInt64

func expiry(t time.Time) int64 {
	if t.IsZero() {
		return noExpiry
	}
	return micros(t)
}

// padded returns a set as text with a space before and after each permission, so that
// a search for one permission does not match part of another.
func padded(s scope.Set) string {
	if s.Len() == 0 {
		return ""
	}
	return " " + s.String() + " "
}

// folded returns the text in ASCII lower case, or nil if that equals the text.
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

// asJSON returns the stored form of a list of texts, numbers or structs of these. It
// contains the names of struct fields or of their tags, so renaming one needs a
// migration.
func asJSON[T any](list []T) string {
	text, _ := withTimes(list) //nolint:errcheck // only a time can be in the wrong form
	return text
}

// withTimes is asJSON for a list with times, which must be in the years 0 to 9999.
func withTimes[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", errUnreadable
	}
	return string(text), nil
}

// storedCredentials returns the stored form of credentials.
func storedCredentials(credentials []store.Credential) (string, error) {
	kept := slices.Clone(credentials)
	for i := range kept {
		c := &kept[i]
		c.Created, c.NotAfter, c.LastUsed = c.Created.UTC(), c.NotAfter.UTC(), c.LastUsed.UTC()
	}
	return withTimes(kept)
}

// keyColumns are the columns of a key. keyRow returns their scan destinations.
const keyColumns = `k.id, k.workspace, k.name, k.permissions, k.requested, k.admin, k.credentials, k.resources, k.not_after, k.not_after_text,
	k.disabled, k.direct, k.creator_kind, k.creator_id, k.depth, k.created, k.updated, k.last_used, k.version, k.epoch`

func keyRow(k *store.Key) []any {
	return []any{
		orZero[string]{&k.ID}, orZero[string]{&k.Workspace}, orZero[string]{&k.Name}, permissions{&k.Permissions}, permissions{&k.RequestedPermissions}, permissions{&k.AdminPermissions},
		fromJSON[store.Credential]{&k.Credentials}, fromJSON[string]{&k.Resources}, at{&k.NotAfter}, orZero[string]{&k.NotAfterText},
		orZero[bool]{&k.Disabled}, orZero[bool]{&k.Direct}, orZero[string]{&k.CreatedBy.Kind}, orZero[string]{&k.CreatedBy.ID}, orZero[int]{&k.Depth},
		at{&k.Created}, at{&k.Updated}, at{&k.LastUsed}, orZero[int64]{&k.Version}, orZero[int64]{&k.Epoch},
	}
}

// workspaceColumns are the columns of a workspace. workspaceRow returns their scan
// destinations.
const workspaceColumns = `w.suspended, w.deleted, w.max_keys, w.require_expiry, w.max_lifetime, w.enforced_from, w.key_requests, w.workspace_requests,
	w.epoch, w.updated, w.version, w.held`

func workspaceRow(w *store.Workspace) []any {
	return []any{
		orZero[bool]{&w.Suspended}, orZero[bool]{&w.Deleted}, orZero[int]{&w.Rules.MaxKeys}, orZero[bool]{&w.Rules.RequireExpiry},
		orZero[time.Duration]{&w.Rules.MaxLifetime}, at{&w.Rules.EnforcedFrom}, orZero[int]{&w.Rules.KeyRequests}, orZero[int]{&w.Rules.WorkspaceRequests},
		orZero[int64]{&w.Epoch}, at{&w.Updated}, orZero[int64]{&w.Version}, orZero[int]{&w.Keys},
	}
}

// instanceColumns are the columns of the instance's settings. instanceRow returns their
// scan destinations.
const instanceColumns = `i.keys_off, i.direct_off, i.max_keys, i.require_expiry, i.max_lifetime, i.enforced_from, i.key_requests, i.workspace_requests,
	i.epoch, i.updated, i.version`

func instanceRow(in *store.Instance) []any {
	return []any{
		&in.KeysOff, &in.DirectOff, &in.Rules.MaxKeys, &in.Rules.RequireExpiry, &in.Rules.MaxLifetime, at{&in.Rules.EnforcedFrom},
		&in.Rules.KeyRequests, &in.Rules.WorkspaceRequests,
		&in.Epoch, at{&in.Updated}, &in.Version,
	}
}

// foundColumns are the columns of a store.Found. foundRow returns their scan
// destinations.
const foundColumns = keyColumns + `, ` + workspaceColumns + `, ` + instanceColumns

func foundRow(f *store.Found) []any {
	return slices.Concat(keyRow(&f.Key), workspaceRow(&f.Workspace), instanceRow(&f.Instance))
}

// orZero scans a column and turns NULL into the zero value. A column is NULL if an outer
// join found no row, or if a SQLite driver returns an empty text as NULL.
type orZero[T any] struct{ to *T }

// Scan implements sql.Scanner.
func (o orZero[T]) Scan(value any) error {
	if v, is := value.(T); is { // avoids reflection for most columns
		*o.to = v
		return nil
	}
	var n sql.Null[T]
	err := n.Scan(value)
	*o.to = n.V
	return err
}

// at scans a time and turns NULL and noExpiry into the zero time.
type at struct{ to *time.Time }

// Scan implements sql.Scanner.
func (a at) Scan(value any) error {
	micros := int64(noExpiry)
	if value != nil {
		if err := (orZero[int64]{&micros}).Scan(value); err != nil {
			return err
		}
	}
	*a.to = time.Time{}
	if micros != noExpiry {
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

// fromJSON scans a list that asJSON encoded. An empty list becomes nil.
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

// primary scans {standby}. It returns errStandby for a server that may lag behind the
// one that takes writes, and errAutocommit for a MySQL session in which autocommit is
// off.
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

// Bounds of texts, in bytes. They are the same for all dialects.
const (
	maxID        = 255
	maxWorkspace = 1024
	maxName      = 1024
	maxJWK       = 4 << 10
	maxText      = 1 << 20
)

// storable reports whether a text can be stored. The restriction is PostgreSQL's; it
// holds for all dialects.
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// checkLimit returns the error for a size that no page has.
func checkLimit(limit int) error {
	if _, err := store.PageSize(limit); err != nil {
		return refuse("%v", err)
	}
	return nil
}

func checkText(what, text string, most int) error {
	if len(text) > most {
		return refuse("%s must have at most %d bytes", what, most)
	}
	if !storable(text) {
		return refuse("%s must be UTF-8 without a zero byte", what)
	}
	return nil
}

// checkKey returns an error if a field does not fit into its column.
func checkKey(k *store.Key) error {
	err := errors.Join(
		checkText("a key's id", k.ID, maxID), checkText("a key's name", k.Name, maxName), checkWorkspace(k.Workspace),
		checkText("a key's expiry as text", k.NotAfterText, maxID), checkCreator(k.CreatedBy))
	for i := range k.Credentials {
		err = errors.Join(err, checkCredential(&k.Credentials[i]))
	}
	for _, resource := range k.Resources {
		err = errors.Join(err, checkText("a resource", resource, maxText))
	}
	return err
}

func checkCredential(c *store.Credential) error {
	err := errors.Join(
		checkText("a credential's id", c.ID, maxID), checkText("a credential's name", c.Name, maxName), checkText("a secret's hint", c.Hint, maxText),
		checkText("a secret's digest", c.Digest, maxText), checkText("a secret's prefix", c.Prefix, maxText), checkCreator(c.CreatedBy))
	if c.PublicKey != nil {
		err = errors.Join(err, checkText("a public key", c.PublicKey.JWK, maxJWK))
	}
	if c.Trust != nil {
		err = errors.Join(err, checkText("the name of an issuer", c.Trust.Issuer, maxID))
		for _, claim := range c.Trust.Claims {
			err = errors.Join(err, checkText("the name of a claim", claim.Name, maxID), checkText("a claim", claim.Value, maxName))
		}
	}
	return err
}

func checkCreator(creator store.ActorRef) error {
	return errors.Join(checkText("a creator's kind", creator.Kind, maxID), checkText("a creator's id", creator.ID, maxName))
}

func checkWorkspace(id string) error { return checkText("a workspace's id", id, maxWorkspace) }
