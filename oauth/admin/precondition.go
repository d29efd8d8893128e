package admin

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// setETag names the version of the record in the answer. What logins write,
// such as the last use, does not move it.
func (c *call) setETag(version int64) { c.w.Header().Set("ETag", etag(version)) }

// noVersion is a version that no record has.
const noVersion = -1

// readCondition reads the version that the caller names in If-Match; the record must
// have it. "*" names none.
//
// A weak ETag names its version as well. That deviates from RFC 9110, section
// 13.1.1: a proxy that compresses an answer makes its ETag weak, and an ETag here
// stands for the record, not for its encoding. What this handler did not write, a list
// too, holds for no record. A condition on what has no ETag is refused: none can hold,
// and one that was passed over would be a change that the caller did not want.
//
// Replacing a whole record needs the header: without it one of two administrators
// would undo what the other did (RFC 6585, section 3). "*" asks for just that.
func (c *call) readCondition() error {
	lines := c.r.Header.Values("If-Match")
	named := strings.Trim(strings.Join(lines, ","), " \t") // RFC 9110, section 5.3
	switch {
	case c.route.method == http.MethodPut && len(lines) == 0:
		return &refusal{Kind: answer.PreconditionRequired}
	case c.route.method == http.MethodGet || len(lines) == 0 || named == "*":
		return nil
	case !c.route.conditional():
		return &refusal{Kind: answer.Changed, Detail: "What this changes has no ETag. Leave If-Match out."}
	}
	version, ok := parseETag(named)
	if !ok {
		return &refusal{Kind: answer.Changed, Detail: "If-Match must hold one ETag as this service wrote it."}
	}
	if version == 0 && c.key() != "" { // would be no condition, and no key has it
		version = noVersion
	}
	c.conditional, c.version = true, version
	return nil
}

// versionOver is the version on which replacing a record is conditional: the one that
// the caller named or else, for "*", the current one.
func (c *call) versionOver(current int64) int64 {
	if c.conditional {
		return c.version
	}
	return current
}

// parseETag returns the version that an ETag of this handler names.
func parseETag(tag string) (version int64, ok bool) {
	tag = strings.TrimPrefix(tag, "W/")
	version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	return version, err == nil && version >= 0 && tag == etag(version)
}
