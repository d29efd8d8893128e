package redisstore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// A key is kept as lines of words, so that scripts can read and change it:
//
//	request version epoch
//	birth created maker's kind maker's id depth
//	disabled updated not after not after as text name
//	permissions
//	those asked for
//	resources
//	secret created hint digest generated not after prefix maker's kind maker's id
//	                                               (one line a secret)
//
// Words are escaped, instants are microseconds since 1970 or empty for the
// zero time; created has 16 digits that sort as instants do. When a key and its
// secrets were used is kept apart, as "key's [secret secret's]...".

// keyText is a key as scripts take it.
type keyText struct {
	kept      string // the second line without its birth
	body      string // the third to the sixth line
	secrets   []secretText
	byCreated string
	byName    string
	uses      string
}

type secretText struct{ id, created, rest, used string }

func encodeKey(k *store.Key) keyText {
	var b strings.Builder
	b.WriteString(flag(k.Disabled))
	for _, word := range []string{micros(k.Updated), micros(k.NotAfter), escape(k.NotAfterText), escape(k.Name)} {
		b.WriteByte(' ')
		b.WriteString(word)
	}
	b.WriteByte('\n')
	b.WriteString(k.Permissions.String())
	b.WriteByte('\n')
	b.WriteString(k.Asked.String())
	b.WriteByte('\n')
	for _, r := range k.Resources {
		b.WriteByte(' ')
		b.WriteString(escape(r))
	}
	created := sortable(k.Created)
	text := keyText{
		kept:      created + " " + escape(k.CreatedBy.Kind) + " " + escape(k.CreatedBy.ID) + " " + strconv.Itoa(k.Depth),
		body:      b.String(),
		byCreated: created + k.ID,
		byName:    namePlace(k.Name, k.ID),
		uses:      micros(k.LastUsed),
		secrets:   make([]secretText, len(k.Secrets)),
	}
	used := !k.LastUsed.IsZero()
	for i := range k.Secrets {
		s := &k.Secrets[i]
		text.secrets[i] = secretText{
			id: escape(s.ID), created: micros(s.Created), used: micros(s.LastUsed),
			rest: escape(s.Hint) + " " + escape(s.Digest) + " " + flag(s.Generated) + " " + micros(s.NotAfter) + " " +
				escape(s.Prefix) + " " + escape(s.CreatedBy.Kind) + " " + escape(s.CreatedBy.ID),
		}
		if !s.LastUsed.IsZero() {
			used = true
			text.uses += " " + text.secrets[i].id + " " + text.secrets[i].used
		}
	}
	if !used {
		text.uses = ""
	}
	return text
}

// whole is the body with its secrets.
func (t *keyText) whole() string {
	var b strings.Builder
	b.WriteString(t.body)
	for i := range t.secrets {
		s := &t.secrets[i]
		b.WriteString("\n" + s.id + " " + s.created + " " + s.rest)
	}
	return b.String()
}

var errRecord = errors.New("a record cannot be read")

// decodeKey reads a record and its uses.
func decodeKey(id, workspace, record, uses string) (store.Key, error) {
	k := store.Key{ID: id, Workspace: workspace}
	var d words
	line, rest := cut(record, '\n')
	d.text = line
	d.next() // the request
	k.Version, k.Epoch = d.number(), d.number()
	d.text, rest = cut(rest, '\n')
	d.next() // the birth
	k.Created = d.sorted()
	k.CreatedBy = store.ActorRef{Kind: d.word(), ID: d.word()}
	k.Depth = int(d.number())
	d.text, rest = cut(rest, '\n')
	k.Disabled = d.next() == "1"
	k.Updated, k.NotAfter, k.NotAfterText, k.Name = d.instant(), d.instant(), d.word(), d.word()
	line, rest = cut(rest, '\n')
	var bad error
	if k.Permissions, bad = scope.Parse(line); bad != nil {
		d.failed = true
	}
	line, rest = cut(rest, '\n')
	if k.Asked, bad = scope.Parse(line); bad != nil {
		d.failed = true
	}
	line, rest = cut(rest, '\n')
	if n := strings.Count(line, " "); n > 0 {
		k.Resources = make([]string, n)
		d.text = line[1:]
		for i := range k.Resources {
			k.Resources[i] = d.word()
		}
	}
	if rest != "" {
		k.Secrets = make([]store.Secret, 0, strings.Count(rest, "\n")+1)
	}
	for rest != "" {
		d.text, rest = cut(rest, '\n')
		k.Secrets = append(k.Secrets, store.Secret{
			ID: d.word(), Created: d.instant(), Hint: d.word(), Digest: d.word(), Generated: d.next() == "1", NotAfter: d.instant(),
			Prefix: d.word(), CreatedBy: store.ActorRef{Kind: d.word(), ID: d.word()},
		})
	}
	d.text = uses
	k.LastUsed = d.instant()
	for d.text != "" {
		secret, at := d.word(), d.instant()
		for i := range k.Secrets {
			if k.Secrets[i].ID == secret {
				k.Secrets[i].LastUsed = at
			}
		}
	}
	if d.failed {
		return store.Key{}, errRecord
	}
	return k, nil
}

// The settings of a workspace and of the instance share one form, of which the
// first word is the last change: deletespace.lua replaces it.

func encodeSettings(updated time.Time, on bool, r *store.Rules) string {
	return micros(updated) + " " + flag(on) + " " + strconv.Itoa(r.MaxKeys) + " " + flag(r.RequireExpiry) + " " +
		strconv.FormatInt(int64(r.MaxLifetime), 10) + " " + micros(r.EnforcedFrom)
}

// The instance's has two words more: whether reminders are off, and their
// times, with commas between. Records of before have neither.

func encodeInstance(in *store.Instance) string {
	var b strings.Builder
	b.WriteString(encodeSettings(in.Updated, in.KeysOff, &in.Rules))
	b.WriteString(" " + flag(in.RemindersOff) + " ")
	for i, before := range in.RemindBefore {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(int64(before), 10))
	}
	return b.String()
}

// settingsRecord is what HMGET version epoch body deleted brings.
type settingsRecord struct {
	version, epoch int64
	updated        time.Time
	on, deleted    bool
	rules          store.Rules
	remindersOff   bool
	remindBefore   [store.MaxReminders]time.Duration
}

func decodeSettings(list []any) (settingsRecord, error) {
	var r settingsRecord
	if len(list) != 4 {
		return r, errRecord
	}
	var d words
	if text, found := list[0].(string); found {
		d.text = text
		r.version = d.number()
	}
	if text, found := list[1].(string); found {
		d.text = text
		r.epoch = d.number()
	}
	if text, found := list[2].(string); found {
		d.text = text
		r.updated, r.on = d.instant(), d.next() == "1"
		r.rules = store.Rules{
			MaxKeys: int(d.number()), RequireExpiry: d.next() == "1",
			MaxLifetime: time.Duration(d.number()), EnforcedFrom: d.instant(),
		}
		r.remindersOff = d.next() == "1"
		r.remindBefore = d.reminders()
	}
	_, r.deleted = list[3].(string)
	if d.failed {
		return settingsRecord{}, errRecord
	}
	return r, nil
}

func (r *settingsRecord) workspace(id string, keys int64) store.Workspace {
	return store.Workspace{
		ID: id, Suspended: r.on, Deleted: r.deleted, Rules: r.rules, Epoch: r.epoch, Updated: r.updated,
		Version: r.version, Keys: int(keys),
	}
}

func (r *settingsRecord) instance() store.Instance {
	return store.Instance{
		KeysOff: r.on, Rules: r.rules, RemindersOff: r.remindersOff, RemindBefore: r.remindBefore,
		Epoch: r.epoch, Updated: r.updated, Version: r.version,
	}
}

// An event is one line; its id and time are also its place.

func encodeEvent(e *store.Event) string {
	var b strings.Builder
	b.WriteString(micros(e.Time))
	for _, word := range []string{e.ID, e.Actor.Kind, e.Actor.ID, e.Action, e.Workspace, e.Key, e.Note} {
		b.WriteByte(' ')
		b.WriteString(escape(word))
	}
	for _, field := range e.Fields {
		b.WriteByte(' ')
		b.WriteString(escape(field))
	}
	return b.String()
}

func decodeEvent(text string) (store.Event, error) {
	fields := max(0, strings.Count(text, " ")-7)
	d := words{text: text}
	e := store.Event{
		Time: d.instant(), ID: d.word(), Actor: store.ActorRef{Kind: d.word(), ID: d.word()}, Action: d.word(),
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

// words reads a line word by word.
type words struct {
	text   string
	failed bool
}

func cut(text string, at byte) (before, after string) {
	if i := strings.IndexByte(text, at); i >= 0 {
		return text[:i], text[i+1:]
	}
	return text, ""
}

func (w *words) next() string {
	var word string
	word, w.text = cut(w.text, ' ')
	return word
}

func (w *words) word() string { return unescape(w.next()) }

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
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		w.failed = true
	}
	return time.UnixMicro(n).UTC()
}

func (w *words) reminders() (times [store.MaxReminders]time.Duration) {
	rest := w.next()
	for i := 0; rest != ""; i++ {
		var word string
		word, rest = cut(rest, ',')
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || i == len(times) {
			w.failed = true
			return times
		}
		times[i] = time.Duration(n)
	}
	return times
}

func (w *words) sorted() time.Time {
	n, err := strconv.ParseUint(w.next(), 16, 64)
	if err != nil {
		w.failed = true
	}
	return time.UnixMicro(int64(n ^ 1<<63)).UTC() //nolint:gosec // sortable made it from an int64
}

// micros is how instants are kept: finer parts are cut off.
func micros(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
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
