package redisstore

import "github.com/latchkey-go/latchkey/store"

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

func OnceKey(space, id string) string { return layout{"p"}.once(space, id) }
