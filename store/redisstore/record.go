package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// A record consists of lines, and a line of words, so that scripts can read and change
// it. The functions called ...Fields list the fields of a line in the order of its words,
// for encoding and for decoding.

// A key's record has a line of fields that an update keeps (except version and epoch,
// which scripts set), a line of fields that it replaces, and a line for each credential.

func headFields(k *store.Key) []any {
	return []any{&k.Version, &k.Epoch, &k.Workspace, &k.Created, &k.CreatedBy.Kind, &k.CreatedBy.ID, &k.Depth, &k.LastUsed}
}

func bodyFields(k *store.Key) []any {
	return []any{&k.Disabled, &k.Updated, &k.NotAfter, &k.NotAfterText, &k.Name, &k.Permissions, &k.RequestedPermissions, &k.AdminPermissions, &k.Direct, &k.Resources}
}

// credentialFields returns the id, the expiry, and then the fields that an update keeps.
// Scripts read and write the first four. The list has what only a public key or a trust
// has; see kindWords.
func credentialFields(c *store.Credential, kind *[]string) []any {
	return []any{
		&c.ID, &c.NotAfter, &c.LastUsed, &c.Digest, &c.Created, &c.CreatedBy.Kind, &c.CreatedBy.ID,
		&c.Prefix, &c.Hint, &c.Generated, &c.Name, kind,
	}
}

// The first of the words of a public key or a trust. A secret has no words.
const (
	publicKeyWord = "k"
	trustWord     = "t"
)

// kindWords returns the words of a public key or a trust.
func kindWords(c *store.Credential) (words []string) {
	switch {
	case c.PublicKey != nil:
		return []string{publicKeyWord, c.PublicKey.JWK, flag(c.PublicKey.EndpointAudience), flag(c.PublicKey.LongAssertions)}
	case c.Trust != nil:
		words = []string{trustWord, c.Trust.Issuer}
		for _, claim := range c.Trust.Claims {
			words = append(words, claim.Name, claim.Value)
		}
	}
	return words
}

// setKind reads the words of kindWords.
func setKind(c *store.Credential, words []string) error {
	switch {
	case len(words) == 0:
	case words[0] == publicKeyWord && len(words) == 4:
		c.PublicKey = &store.PublicKey{JWK: words[1]}
		if parse(words[2], &c.PublicKey.EndpointAudience) != nil || parse(words[3], &c.PublicKey.LongAssertions) != nil {
			return errRecord
		}
	case words[0] == trustWord && len(words)%2 == 0:
		c.Trust = &store.Trust{Issuer: words[1]}
		for words = words[2:]; len(words) > 0; words = words[2:] {
			c.Trust.Claims = append(c.Trust.Claims, store.Claim{Name: words[0], Value: words[1]})
		}
	default:
		return errRecord
	}
	return nil
}

// encodeKey returns a key's record: the first line, without version and epoch, and the
// other lines.
func encodeKey(k *store.Key) (head, rest string) {
	rest = encode(bodyFields(k)...)
	for i := range k.Credentials {
		kind := kindWords(&k.Credentials[i])
		rest += "\n" + encode(credentialFields(&k.Credentials[i], &kind)...)
	}
	return encode(headFields(k)[2:]...), rest
}

func decodeKey(id, record string) (store.Key, error) {
	k := store.Key{ID: id}
	lines := strings.Split(record, "\n")
	if len(lines) < 2 {
		return k, errRecord
	}
	err := cmp.Or(decode(lines[0], headFields(&k)...), decode(lines[1], bodyFields(&k)...))
	for i, line := range lines[2:] {
		k.Credentials = append(k.Credentials, store.Credential{})
		var kind []string
		err = cmp.Or(err, decode(line, credentialFields(&k.Credentials[i], &kind)...), setKind(&k.Credentials[i], kind))
	}
	return k, err
}

// Scripts set the first three words of settings. The third tells whether a workspace was
// deleted. In the instance's settings it is always 0, so that one script saves both.

func workspaceFields(w *store.Workspace) []any {
	return append([]any{&w.Version, &w.Epoch, &w.Deleted, &w.Updated, &w.Suspended}, rulesFields(&w.Rules)...)
}

func instanceFields(in *store.Instance) []any {
	return append([]any{&in.Version, &in.Epoch, new(bool), &in.Updated, &in.KeysOff, &in.DirectOff}, rulesFields(&in.Rules)...)
}

func rulesFields(r *store.Rules) []any {
	return []any{&r.MaxKeys, &r.RequireExpiry, (*int64)(&r.MaxLifetime), &r.EnforcedFrom, &r.KeyRequests, &r.WorkspaceRequests}
}

// remindersField is the field of the instance's reminders. Look-ups do not read it.
const remindersField = "r"

func remindersFields(r *store.Reminders) []any {
	fields := []any{&r.Off}
	for i := range r.Before {
		fields = append(fields, (*int64)(&r.Before[i]))
	}
	return fields
}

// settingsField returns the field of a workspace's settings or, if workspace is empty, of
// the instance's.
func settingsField(workspace string) string {
	if workspace == "" {
		return "i"
	}
	return "w" + escape(workspace)
}

func decodeWorkspace(id, text, count string) (store.Workspace, error) {
	w := store.Workspace{ID: id}
	err := cmp.Or(decodeSaved(text, workspaceFields(&w)...), decodeSaved(count, &w.Keys))
	return w, err
}

func decodeInstance(text string) (store.Instance, error) {
	var in store.Instance
	err := decodeSaved(text, instanceFields(&in)...)
	return in, err
}

// decodeSettings reads the instance's record and its reminders.
func decodeSettings(texts []string) (in store.InstanceSettings, err error) {
	if len(texts) != 2 {
		return in, errRecord
	}
	if n := strings.Count(texts[1], " "); n > 0 {
		in.Reminders.Before = make([]time.Duration, min(n, store.MaxReminders))
	}
	err = cmp.Or(decodeSaved(texts[0], instanceFields(&in.Instance)...), decodeSaved(texts[1], remindersFields(&in.Reminders)...))
	return in, err
}

// An event's record is one line. Each change is three words of the list at its end.

func eventFields(e *store.Event, changes *[]string) []any {
	return []any{&e.Time, &e.Actor.Kind, &e.Actor.ID, &e.Action, &e.Workspace, &e.Key, &e.Note, &e.ActorName, &e.Address, &e.KeyName, changes}
}

func encodeEvent(e *store.Event) string {
	var changes []string
	for _, c := range e.Changes {
		changes = append(changes, c.Field, c.Old, c.New)
	}
	return encode(eventFields(e, &changes)...)
}

func decodeEvent(id, text string) (store.Event, error) {
	e := store.Event{ID: id}
	var changes []string
	err := decode(text, eventFields(&e, &changes)...)
	for ; len(changes) >= 3; changes = changes[3:] {
		e.Changes = append(e.Changes, store.FieldChange{Field: changes[0], Old: changes[1], New: changes[2]})
	}
	if len(changes) > 0 {
		err = errRecord
	}
	return e, err
}

// encode returns a line of the fields, which are pointers. Texts are escaped. Times are
// 16 digits that sort by time; the zero time is empty. A list of texts must come last,
// and takes one word for each text.
func encode(fields ...any) string {
	words := make([]string, 0, len(fields))
	for _, field := range fields {
		switch f := field.(type) {
		case *string:
			words = append(words, escape(*f))
		case *[]string:
			for _, text := range *f {
				words = append(words, escape(text))
			}
		case *scope.Set:
			words = append(words, escape(f.String()))
		case *bool:
			words = append(words, flag(*f))
		case *int:
			words = append(words, strconv.Itoa(*f))
		case *int64:
			words = append(words, strconv.FormatInt(*f, 10))
		case *uint64:
			words = append(words, strconv.FormatUint(*f, 10))
		case *time.Time:
			words = append(words, instant(*f))
		}
	}
	return strings.Join(words, " ")
}

var errRecord = errors.New("a record cannot be read: another program may have written it; give each program a Config.Prefix of its own")

// decodeSaved is like decode, but an empty line, which means that nothing was saved,
// leaves the fields as they are.
func decodeSaved(line string, fields ...any) error {
	if line == "" {
		return nil
	}
	return decode(line, fields...)
}

// decode reads a line that encode wrote for the same fields.
func decode(line string, fields ...any) error {
	words, last := strings.Count(line, " ")+1, len(fields)-1
	if list, ok := fields[last].(*[]string); ok {
		fields = fields[:last]
		if n := words - last; n > 0 {
			*list = make([]string, n)
		}
		for i := range *list {
			fields = append(fields, &(*list)[i])
		}
	}
	if words != len(fields) {
		return errRecord
	}
	for _, field := range fields {
		var word string
		word, line, _ = strings.Cut(line, " ")
		if parse(word, field) != nil {
			return errRecord
		}
	}
	return nil
}

func parse(word string, field any) (err error) {
	switch f := field.(type) {
	case *string:
		*f, err = url.PathUnescape(word)
	case *scope.Set:
		if word, err = url.PathUnescape(word); err == nil {
			*f, err = scope.Parse(word)
		}
	case *bool:
		*f, err = strconv.ParseBool(word)
	case *int:
		*f, err = strconv.Atoi(word)
	case *int64:
		*f, err = strconv.ParseInt(word, 10, 64)
	case *uint64:
		*f, err = strconv.ParseUint(word, 10, 64)
	case *time.Time:
		if word != "" {
			var n uint64
			n, err = strconv.ParseUint(word, 16, 64)
			*f = time.UnixMicro(int64(n ^ 1<<63)).UTC() //nolint:gosec // sortable made it from an int64
		}
	}
	return err
}

// instant returns the stored form of a time, truncated to microseconds.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return sortable(t)
}

// sortable returns a time as 16 hexadecimal digits, which sort by time.
func sortable(t time.Time) string {
	return fmt.Sprintf("%016x", uint64(t.UnixMicro())^1<<63)
}

// nameMember returns a member that sorts by name and then by id. The separator sorts
// below all bytes that could continue a name.
func nameMember(name, id string) string {
	return strings.ReplaceAll(name, "\x00", "\x00\xff") + "\x00\x01" + id
}

// expiryMember returns a member that sorts by expiry, keys that never expire last, and
// then by id.
func expiryMember(notAfter time.Time, id string) string {
	if notAfter.IsZero() {
		return "ffffffffffffffff" + id
	}
	return sortable(notAfter) + id
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
