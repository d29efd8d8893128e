package redisstore

import (
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// The seam for fuzzing what is kept as text.

var (
	Escape   = escape
	Unescape = unescape
)

func RoundTripKey(k store.Key) (store.Key, error) {
	text := encodeKey(&k)
	return decodeKey(k.ID, k.Workspace, "request 0 0\nbirth "+text.kept+"\n"+text.whole(), text.uses)
}

func RoundTripEvent(e store.Event) (store.Event, error) { return decodeEvent(encodeEvent(&e)) }

func DecodeKey(record, uses string) (store.Key, error) {
	return decodeKey("id", "workspace", record, uses)
}

func DecodeEvent(text string) (store.Event, error) { return decodeEvent(text) }

func Tag(workspace string) string { return layout{"p"}.keys(spaceOf(workspace)) }

// Names tells of the names of keys under a prefix what they are of; text is
// what comes from outside.
func Names(prefix, text string) map[string]string {
	l := layout{prefix}
	names := map[string]string{
		l.ring(): "ring", l.stream(): "stream", l.registry(0): "registry", l.usage(0, "days"): "usage", l.open()[0]: "open", l.open()[1]: "began",
		l.pointer(text): "pointer of " + text, l.limit(text): "limit of " + text,
		l.revoked(text): "revocation of " + text, l.event(text): "event of " + text, l.beside(l.pointer(text), "never"): "never of " + text,
	}
	for i, name := range l.all(spaceOf(text), "r") {
		names[name] = fmt.Sprint("part ", i, " of ", text)
	}
	for i := range len(text) + 1 {
		names[l.once(text[:i], text[i:])] = fmt.Sprintf("one-time id %q of %q", text[i:], text[:i])
	}
	return names
}
