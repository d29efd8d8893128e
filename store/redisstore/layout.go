package redisstore

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// layout names the keys. Whatever lies in one slot shares a hash tag, the part
// in braces (Redis Cluster specification, "Hash tags").
type layout struct{ prefix string }

// space is a set of records in one slot: a workspace, or what belongs to none.
type space string

// instance is the space of the instance's own settings and events.
const instance space = "i"

// spaceOf is the space of a workspace. Braces would end the hash tag.
func spaceOf(workspace string) space { return space("w:" + escape(workspace)) }

// workspace is the one whose space it is.
func (s space) workspace() string { return unescape(strings.TrimPrefix(string(s), "w:")) }

// trailOf is the space of the events of a workspace, or of none.
func trailOf(workspace string) space {
	if workspace == "" {
		return instance
	}
	return spaceOf(workspace)
}

func (l layout) in(s space, what string) string { return l.prefix + ":{" + string(s) + "}:" + what }

func (l layout) keys(s space) string     { return l.in(s, "keys") }
func (l layout) used(s space) string     { return l.in(s, "used") }
func (l layout) tombs(s space) string    { return l.in(s, "tombs") }
func (l layout) settings(s space) string { return l.in(s, "settings") }
func (l layout) trail(s space) string    { return l.in(s, "trail") }
func (l layout) events(s space) string   { return l.in(s, "events") }

// order is the index by which keys are listed.
func (l layout) order(s space, byName bool) string {
	if byName {
		return l.in(s, "names")
	}
	return l.in(s, "created")
}

// receipt is where a change notes that it was made.
func (l layout) receipt(s space, request string) string { return l.in(s, "receipt:"+request) }

// elsewhere is the set of other spaces that hold events of this workspace.
func (l layout) elsewhere(s space) string { return l.in(s, "elsewhere") }

// all are the keys that the scripts of a space take, in their order.
func (l layout) all(s space, request string) []string {
	return []string{
		l.keys(s), l.used(s), l.order(s, false), l.order(s, true), l.tombs(s), l.settings(s),
		l.trail(s), l.events(s), l.receipt(s, request),
	}
}

// beside names what lies in the slot of the given key.
func (l layout) beside(key, what string) string {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if n := strings.IndexByte(key[i:], '}'); n > 0 {
			return l.prefix + ":" + key[i:i+n+1] + ":" + what
		}
	}
	return l.prefix + ":{" + key + "}:" + what
}

func (l layout) ring() string    { return l.in(instance, "ring") }
func (l layout) stream() string  { return l.in(instance, "stream") }
func (l layout) channel() string { return l.prefix + ":notices" }

// open are the changes that are under way: by when they are next to be told of
// in their writer's place, and by when they began.
func (l layout) open() []string { return []string{l.in(instance, "open"), l.in(instance, "began")} }

// The following have a slot each: what comes from outside is escaped, and with
// it the braces that would make a hash tag, and the colons that would make a
// name of a store whose prefix is longer.

func (l layout) pointer(id string) string { return l.prefix + ":id:" + segment(id) }
func (l layout) limit(id string) string   { return l.prefix + ":limit:" + segment(id) }
func (l layout) revoked(id string) string { return l.prefix + ":revoked:" + segment(id) }
func (l layout) event(id string) string   { return l.prefix + ":event:" + segment(id) }

func (l layout) once(space, id string) string {
	return l.prefix + ":once:" + segment(space) + " " + segment(id)
}

func segment(text string) string { return strings.ReplaceAll(escape(text), ":", "%3a") }

// parts is over how many slots spread what is neither of one workspace nor
// found by one name.
const parts = 16

func partOf(text string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return int(h.Sum32() % parts)
}

// registry is one part of the set of all workspaces' spaces.
func (l layout) registry(part int) string { return l.prefix + ":spaces:" + strconv.Itoa(part) }

func (l layout) usage(part int, what string) string {
	return l.in(space("u"+strconv.Itoa(part)), what)
}

// escape makes text into one word: no space, no line, no brace.
func escape(text string) string {
	special := 0
	for i := range len(text) {
		if isSpecial(text[i]) {
			special++
		}
	}
	if special == 0 {
		return text
	}
	const digits = "0123456789abcdef"
	b := make([]byte, 0, len(text)+2*special)
	for i := range len(text) {
		c := text[i]
		if isSpecial(c) {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

func isSpecial(c byte) bool { return c <= ' ' || c == '%' || c == '{' || c == '}' || c == 0x7f }

// unescape undoes escape; what escape did not write stays as it is.
func unescape(text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, text[i])
	}
	return string(b)
}
