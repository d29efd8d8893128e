package redisstore

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// A key is kept as lines of words, so that scripts can read and change it:
//
//	version epoch workspace created maker's kind maker's id depth
//	disabled updated expiry expiry as text name
//	permissions
//	those asked for
//	those granted as admin permissions
//	resources
//	last use
//	secret created digest prefix maker's kind maker's id last use hint generated expiry
//	                                                              (one line a secret)
//
// Words are escaped. Instants are microseconds since 1970 as 16 hexadecimal digits
// that sort as time does, and empty for the zero time.

// encodeKey returns a key's record: the first line without version and epoch, and
// the others.
func encodeKey(k *store.Key) (head, rest string) {
	var b strings.Builder
	b.WriteString(line(flag(k.Disabled), instant(k.Updated), instant(k.NotAfter), escape(k.NotAfterText), escape(k.Name)))
	b.WriteString("\n" + k.Permissions.String() + "\n" + k.Asked.String() + "\n" + k.Admin.String() + "\n")
	for _, r := range k.Resources {
		b.WriteString(" " + escape(r))
	}
	b.WriteString("\n" + instant(k.LastUsed))
	for i := range k.Secrets {
		s := &k.Secrets[i]
		b.WriteString("\n" + line(escape(s.ID), instant(s.Created), escape(s.Digest), escape(s.Prefix), escape(s.CreatedBy.Kind),
			escape(s.CreatedBy.ID), instant(s.LastUsed), escape(s.Hint), flag(s.Generated), instant(s.NotAfter)))
	}
	return line(escape(k.Workspace), sortable(k.Created), escape(k.CreatedBy.Kind), escape(k.CreatedBy.ID), strconv.Itoa(k.Depth)), b.String()
}

var errRecord = errors.New("a record cannot be read")

func decodeKey(id, record string) (store.Key, error) {
	k := store.Key{ID: id}
	var d words
	rest := d.line(record)
	k.Version, k.Epoch, k.Workspace, k.Created = d.number(), d.number(), d.word(), d.instant()
	k.CreatedBy = store.ActorRef{Kind: d.word(), ID: d.word()}
	k.Depth = int(d.number())
	rest = d.line(rest)
	k.Disabled, k.Updated, k.NotAfter, k.NotAfterText, k.Name = d.flag(), d.instant(), d.instant(), d.word(), d.word()
	rest = d.line(rest)
	k.Permissions = d.scope()
	rest = d.line(rest)
	k.Asked = d.scope()
	rest = d.line(rest)
	k.Admin = d.scope()
	rest = d.line(rest)
	if n := strings.Count(d.text, " "); n > 0 {
		k.Resources = make([]string, n)
		d.text = d.text[1:]
		for i := range k.Resources {
			k.Resources[i] = d.word()
		}
	}
	rest = d.line(rest)
	k.LastUsed = d.instant()
	if rest != "" {
		k.Secrets = make([]store.Secret, 0, strings.Count(rest, "\n")+1)
	}
	for rest != "" {
		rest = d.line(rest)
		k.Secrets = append(k.Secrets, store.Secret{
			ID: d.word(), Created: d.instant(), Digest: d.word(), Prefix: d.word(), CreatedBy: store.ActorRef{Kind: d.word(), ID: d.word()},
			LastUsed: d.instant(), Hint: d.word(), Generated: d.flag(), NotAfter: d.instant(),
		})
	}
	if d.failed {
		return store.Key{}, errRecord
	}
	return k, nil
}

// Settings are words, of which scripts set the first three:
//
//	version epoch deleted updated on max keys require expiry max lifetime enforced from
//
// "on" is Suspended or KeysOff. The instance's go on with whether reminders are
// off, and their times.

func encodeSettings(updated time.Time, on bool, r *store.Rules) string {
	return line(instant(updated), flag(on), strconv.Itoa(r.MaxKeys), flag(r.RequireExpiry),
		strconv.FormatInt(int64(r.MaxLifetime), 10), instant(r.EnforcedFrom))
}

func encodeInstance(in *store.Instance) string {
	words := []string{encodeSettings(in.Updated, in.KeysOff, &in.Rules), flag(in.RemindersOff)}
	for _, before := range in.RemindBefore {
		words = append(words, strconv.FormatInt(int64(before), 10))
	}
	return line(words...)
}

// settingsField is the field of a workspace's settings or, if that is empty, of
// the instance's.
func settingsField(workspace string) string {
	if workspace == "" {
		return "i"
	}
	return "w" + escape(workspace)
}

func decodeWorkspace(id, text, count string) (store.Workspace, error) {
	w, d := store.Workspace{ID: id}, words{text: text}
	if text != "" {
		w.Version, w.Epoch, w.Deleted, w.Updated, w.Suspended = d.number(), d.number(), d.flag(), d.instant(), d.flag()
		w.Rules = d.rules()
	}
	if d.failed || d.text != "" {
		return store.Workspace{}, errRecord
	}
	if d.text = count; count != "" {
		w.Keys = int(d.number())
	}
	if d.failed {
		return store.Workspace{}, errRecord
	}
	return w, nil
}

func decodeInstance(text string) (store.Instance, error) {
	var in store.Instance
	if text == "" {
		return in, nil
	}
	d := words{text: text}
	in.Version, in.Epoch, _, in.Updated, in.KeysOff = d.number(), d.number(), d.flag(), d.instant(), d.flag()
	in.Rules, in.RemindersOff = d.rules(), d.flag()
	for i := range in.RemindBefore {
		in.RemindBefore[i] = time.Duration(d.number())
	}
	if d.failed || d.text != "" {
		return store.Instance{}, errRecord
	}
	return in, nil
}

// An event is one line.

func encodeEvent(e *store.Event) string {
	words := []string{
		instant(e.Time), escape(e.Actor.Kind), escape(e.Actor.ID), escape(e.Action), escape(e.Workspace), escape(e.Key),
		escape(e.Note),
	}
	for _, field := range e.Fields {
		words = append(words, escape(field))
	}
	return line(words...)
}

func decodeEvent(id, text string) (store.Event, error) {
	fields := max(0, strings.Count(text, " ")-6)
	d := words{text: text}
	e := store.Event{
		ID: id, Time: d.instant(), Actor: store.ActorRef{Kind: d.word(), ID: d.word()}, Action: d.word(),
		Workspace: d.word(), Key: d.word(), Note: d.word(),
	}
	if fields > 0 {
		e.Fields = make([]string, fields)
		for i := range e.Fields {
			e.Fields[i] = d.word()
		}
	}
	if d.failed {
		return store.Event{}, errRecord
	}
	return e, nil
}

func line(words ...string) string { return strings.Join(words, " ") }

// words reads a line word by word.
type words struct {
	text   string
	failed bool
}

// line goes to the first line of a text and returns the rest.
func (w *words) line(text string) (rest string) {
	w.text, rest, _ = strings.Cut(text, "\n")
	return rest
}

func (w *words) next() string {
	var word string
	word, w.text, _ = strings.Cut(w.text, " ")
	return word
}

func (w *words) word() string {
	word, err := url.PathUnescape(w.next())
	if err != nil {
		w.failed = true
	}
	return word
}

func (w *words) flag() bool { return w.next() == "1" }

func (w *words) number() int64 {
	n, err := strconv.ParseInt(w.next(), 10, 64)
	if err != nil {
		w.failed = true
	}
	return n
}

func (w *words) instant() time.Time {
	word := w.next()
	if word == "" {
		return time.Time{}
	}
	n, err := strconv.ParseUint(word, 16, 64)
	if err != nil {
		w.failed = true
	}
	return time.UnixMicro(int64(n ^ 1<<63)).UTC() //nolint:gosec // sortable made it from an int64
}

// scope reads the rest of the line.
func (w *words) scope() scope.Set {
	set, err := scope.Parse(w.text)
	if err != nil {
		w.failed = true
	}
	return set
}

func (w *words) rules() store.Rules {
	return store.Rules{
		MaxKeys: int(w.number()), RequireExpiry: w.flag(), MaxLifetime: time.Duration(w.number()), EnforcedFrom: w.instant(),
	}
}

// instant is how instants are kept: parts finer than a microsecond are cut off.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return sortable(t)
}

// sortable is an instant as 16 digits whose byte order is that of time.
func sortable(t time.Time) string {
	return fmt.Sprintf("%016x", uint64(t.UnixMicro())^1<<63)
}

// namePlace sorts by name and then by id: whatever ends a name sorts below
// all that could continue it.
func namePlace(name, id string) string {
	return strings.ReplaceAll(name, "\x00", "\x00\xff") + "\x00\x01" + id
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
