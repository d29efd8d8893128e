package redisstore

import (
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"
)

// layout returns the names of Redis keys. Keys with the same hash tag, the part in
// braces, are in one slot (Redis Cluster specification, "Hash tags").
type layout struct {
	prefix   string
	database int // Options.DB
}

// record returns the name of a Redis key of the records, which are all in one slot.
func (l layout) record(what string) string { return l.prefix + ":{" + l.prefix + "}:" + what }

func (l layout) keys() string     { return l.record("keys") }
func (l layout) settings() string { return l.record("settings") }
func (l layout) counts() string   { return l.record("counts") }
func (l layout) deleting() string { return l.record("deleting") }
func (l layout) events() string   { return l.record("events") }
func (l layout) stream() string   { return l.record("stream") }
func (l layout) ring() string     { return l.record("ring") }
func (l layout) lists() string    { return l.record("lists") }

// credentials is a hash with the id of the key for the id of each credential. An entry may be out
// of date, so the key's record is asked whether it has the credential.
func (l layout) credentials() string { return l.record("credentials") }

// workspaces is a sorted set of the workspaces that have keys or settings.
func (l layout) workspaces() string { return l.record("workspaces") }

// channel contains the number of the database, since channels are shared by all
// databases of a server.
func (l layout) channel() string {
	if l.database == 0 {
		return l.record("notices")
	}
	return l.record("notices:" + strconv.Itoa(l.database))
}

// order returns the name of a sorted set of keys ("created", "names", "ends") or events
// ("log") of a workspace or, if that is empty, of all workspaces.
func (l layout) order(workspace, what string) string {
	if workspace == "" {
		return l.record(what)
	}
	return l.record("w:" + segment(workspace) + ":" + what)
}

func (l layout) receipt(request string) string { return l.record("done:" + request) }
func (l layout) revoked(id string) string      { return l.record("revoked:" + segment(id)) }

func (l layout) once(space, id string) string {
	return l.record("once:" + segment(space) + " " + segment(id))
}

// changeKeys returns the first keys of change.lua, in its order.
func (l layout) changeKeys(workspace, request, once string) []string {
	return []string{
		l.keys(), l.order("", "created"), l.order("", "names"), l.settings(), l.counts(), l.deleting(), l.record("tombstones"),
		l.events(), l.order("", "log"), l.stream(), l.ring(), l.lists(), l.receipt(request), once,
		l.order(workspace, "created"), l.order(workspace, "names"), l.order("", "ends"), l.order(workspace, "ends"), l.workspaces(), l.credentials(),
	}
}

// The keys of limit and usage are spread over the slots.
func (l layout) limit(id string) string { return l.prefix + ":limit:" + segment(id) }

func (l layout) usage(part int, what string) string {
	return l.prefix + ":{usage " + strconv.Itoa(part) + "}:" + what
}

// parts is the number of slots over which usage counters are spread.
const parts = 16

func partOf(text string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return int(h.Sum32() % parts)
}

// segment encodes text as one part of a name: without braces, which would begin a hash
// tag, and without colons, which would begin the next part.
func segment(text string) string { return strings.ReplaceAll(escape(text), ":", "%3A") }

// escape encodes text as one word, without spaces, line breaks and braces.
func escape(text string) string { return url.PathEscape(text) }
