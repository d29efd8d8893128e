package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
)

// maxBody bounds a body. A new key with 8 public keys of RSA 4096 and 16 trusts that name
// all claims of a ready issuer fits. Longer trusts can be added one by one.
const maxBody = 64 << 10

const malformedMember = "A member of the body is malformed."

// body is the JSON object of a request.
type body struct {
	members strictjson.Object
	raw     []byte
	bad     *fieldErrors // those of the call
}

// readBody reads one JSON object whose members must all be known to the route. If
// the route knows no members, the body may be empty.
func (c *call) readBody() error {
	known := c.route.body
	if known == nil {
		return nil
	}
	var buffer bytes.Buffer
	if bad := c.h.host.ReadBody(c.w, c.r, maxBody, &buffer); bad != nil {
		return bad
	}
	c.arrival.Release()
	raw := buffer.Bytes()
	if len(raw) == 0 && len(known) == 0 {
		return nil
	}
	if !c.isJSON(raw) {
		return &refusal{Kind: answer.MediaType}
	}
	members, err := strictjson.Only(raw, known)
	if err != nil {
		var fault *strictjson.Error
		if errors.As(err, &fault) && fault.Name != "" {
			return malformed(malformedMember, field{Field: shown(fault.Name), Reason: sentence(fault.Reason)})
		}
		return malformed("The body must be one JSON object. " + err.Error() + ".")
	}
	c.body = body{members: members, raw: raw, bad: &c.bad}
	return nil
}

// isJSON reports whether the request's media type is JSON. HTML forms cannot send
// this media type, so a page of another origin cannot post one without a CORS
// preflight. A charset has no meaning for JSON (RFC 8259, section 11), but a body
// that is not ASCII and names another charset than UTF-8 is refused.
func (c *call) isJSON(body []byte) bool {
	kind, utf8, ok := request.MediaType(c.r.Header)
	if !ok || c.r.Header.Get("Content-Encoding") != "" || !utf8 && !request.IsASCII(body) {
		return false
	}
	return kind == "application/json" || kind == "application/merge-patch+json" && c.r.Method == http.MethodPatch
}

// shown returns a member's name in a form that an answer may contain.
func shown(name string) string { return answer.Printable(name[:min(len(name), 64)]) }

func sentence(reason string) string {
	return strings.ToUpper(reason[:1]) + reason[1:] + "."
}

// has reports whether the member is present.
func (b *body) has(name string) bool {
	_, ok := b.members.Get(name)
	return ok
}

// isNull reports whether the member is null or absent.
func (b *body) isNull(name string) bool {
	value, ok := b.members.Get(name)
	return !ok || string(value) == "null"
}

// given reads an optional member of a change. If it is absent, it returns nil.
func given[T any](b *body, name string, read func(string) T) *T {
	if !b.has(name) {
		return nil
	}
	value := read(name)
	return &value
}

// require records an error for each member that is missing.
func (b *body) require(names ...string) {
	for _, name := range names {
		if !b.has(name) {
			b.bad.add(name, "It is missing.")
		}
	}
}

// read reads a member of type T. If it is absent, or is null or a value of another type,
// it returns the zero value. The latter two are errors; wrong is their text.
func read[T any](b *body, name, wrong string) (value T) {
	text, ok := b.members.Get(name)
	if ok && (b.isNull(name) || json.Unmarshal(text, &value) != nil) {
		b.bad.add(name, wrong)
		return *new(T)
	}
	return value
}

// text reads a string. If it is absent, it returns "".
func (b *body) text(name string) string { return read[string](b, name, "It must be a string.") }

// flag reads a boolean. If it is absent, it returns false.
func (b *body) flag(name string) bool { return read[bool](b, name, "It must be true or false.") }

// integer reads a whole number. If it is absent, it returns 0. alternative continues the
// text of an error, such as ", or null for no limit".
func (b *body) integer(name string, least, most int64, alternative string) int64 {
	wrong := fmt.Sprintf("It must be a whole number from %d to %d%s.", least, most, alternative)
	n := read[int64](b, name, wrong)
	if n < least || n > most {
		b.bad.add(name, wrong)
		return 0
	}
	return n
}

// maxSeconds is 100 years. The sum of two such durations fits into a time.Duration.
const maxSeconds = 100 * 366 * 24 * 60 * 60

// seconds reads a duration. If it is absent, it returns 0.
func (b *body) seconds(name string) time.Duration {
	return time.Duration(b.integer(name, 0, maxSeconds, "")) * time.Second
}

// limit reads a whole number, or null for no limit. For null or absent it returns 0.
func (b *body) limit(name string, most int64) int64 {
	if b.isNull(name) {
		return 0
	}
	return b.integer(name, 1, most, ", or null for no limit")
}

// list reads an array of strings. If it is absent, it returns nil.
func (b *body) list(name string) []string {
	const wrong = "It must be an array of strings."
	var texts []string
	for _, text := range read[[]*string](b, name, wrong) {
		if text == nil { // null in the array
			b.bad.add(name, wrong)
			return nil
		}
		texts = append(texts, *text)
	}
	return texts
}

// permissions reads an array of permissions. If it is absent, the set is empty.
func (b *body) permissions(name string) scope.Set {
	set, err := scope.Of(b.list(name)...)
	if err != nil {
		b.bad.add(name, "Each must be one permission, or a pattern such as project.*, of printable ASCII characters without spaces, quotes and backslashes.")
	}
	return set
}

// resources reads resource indicators. null removes those of a key, as null
// removes an expiry (RFC 7396).
func (b *body) resources(name string) []string {
	if b.isNull(name) {
		return nil
	}
	return b.list(name)
}

// expiry reads a date, an instant, or null. null or absent means never.
func (b *body) expiry(name string) apikey.Expiry {
	if b.isNull(name) {
		return apikey.Expiry{}
	}
	text := b.text(name)
	expiry, err := apikey.ParseExpiry(text)
	if err != nil || text == "" {
		b.bad.add(name, "It must be a date like 2027-01-31, an instant like 2027-01-31T12:00:00Z, or null for never.")
	}
	return expiry
}

// instant reads an instant, a date or null. A date means its beginning in UTC. For
// null or absent it returns the zero time.
func (b *body) instant(name string) time.Time {
	if b.isNull(name) {
		return time.Time{}
	}
	return b.bad.instant(name, b.text(name), ", or null")
}
