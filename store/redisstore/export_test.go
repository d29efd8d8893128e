package redisstore

import (
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// These functions give fuzz tests access to the encoding of records.

func Escape(text string) string { return escape(text) }

func Unescape(word string) string {
	var text string
	_ = decode(word, &text)
	return text
}

func RoundTripKey(k store.Key) (store.Key, error) {
	head, rest := encodeKey(&k)
	return decodeKey(k.ID, "0 0 "+head+"\n"+rest)
}

func RoundTripEvent(e store.Event) (store.Event, error) {
	return decodeEvent(e.ID, encodeEvent(&e))
}

func DecodeKey(record string) (store.Key, error) { return decodeKey("id", record) }

func DecodeEvent(text string) (store.Event, error) { return decodeEvent("id", text) }

func RoundTripInstance(in store.Instance) (store.Instance, error) {
	return decodeInstance(encode(instanceFields(&in)...))
}

func DecodeSettings(text string) (store.Workspace, store.InstanceSettings, error) {
	w, bad := decodeWorkspace("team-a", text, "")
	in, err := decodeSettings([]string{text, text})
	return w, in, errors.Join(bad, err)
}

// Names returns the Redis keys under a prefix, each with a description. text is used
// wherever a key contains a text from a caller.
func Names(prefix, text string) map[string]string {
	l := layout{prefix: prefix}
	names := map[string]string{
		l.channel(): "channel", l.usage(0, "days"): "usage", l.record("never"): "never",
		l.limit(text): "limit of " + text, l.revoked(text): "revocation of " + text, l.order(text, "log"): "log of " + text,
	}
	for i, name := range l.changeKeys(text, "r", l.receipt("r")) {
		names[name] = fmt.Sprint("part ", i)
		if i == 14 || i == 15 || i == 17 { // those of a workspace
			names[name] += " of " + text
		}
	}
	names[l.receipt("r")] = "receipt"
	for i := range len(text) + 1 {
		names[l.once(text[:i], text[i:])] = fmt.Sprintf("one-time id %q of %q", text[i:], text[:i])
	}
	return names
}
