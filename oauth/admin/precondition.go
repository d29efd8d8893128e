package admin

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// setETag sets the ETag, which is made from the record's version. What logins
// write, such as the last use, does not change it.
func (c *call) setETag(version int64) { c.w.Header().Set("ETag", etag(version)) }

// noVersion is a version that no record has.
const noVersion = -1

// readCondition reads the version in If-Match, which the record must have. "*"
// means any version.
//
// A weak ETag is accepted as well, unlike in RFC 9110, section 13.1.1: a proxy
// that compresses an answer makes its ETag weak, and an ETag here stands for the
// record and not for its encoding. Any other text, also a list of ETags, matches
// no record. If the route takes no condition (see conditional), an ETag is
// refused: ignoring it could make a change that the caller does not want.
//
// Replacing a whole record needs the header (RFC 6585, section 3): without it, one
// administrator could overwrite the change of another. "*" allows that.
func (c *call) readCondition() error {
	lines := c.r.Header.Values("If-Match")
	named := strings.Trim(strings.Join(lines, ","), " \t") // RFC 9110, section 5.3
	switch {
	case c.route.method == http.MethodPut && len(lines) == 0:
		return &refusal{Kind: answer.PreconditionRequired}
	case c.route.method == http.MethodGet || len(lines) == 0 || named == "*":
		return nil
	case !c.route.conditional():
		return &refusal{Kind: answer.Changed, Detail: "This request takes no If-Match. Leave the header out."}
	}
	version, ok := parseETag(named)
	if !ok {
		return &refusal{Kind: answer.Changed, Detail: "If-Match must hold one ETag of this service, unchanged."}
	}
	if version == 0 && c.key() != "" { // no key has version 0, which would mean no condition
		version = noVersion
	}
	c.hasVersion, c.version = true, version
	return nil
}

// versionToReplace returns the version that the record must have to be replaced: the
// version in If-Match or, for "*", the current one.
func (c *call) versionToReplace(current int64) int64 {
	if c.hasVersion {
		return c.version
	}
	return current
}

// parseETag returns the version in an ETag of this handler.
func parseETag(tag string) (version int64, ok bool) {
	tag = strings.TrimPrefix(tag, "W/")
	version, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64)
	return version, err == nil && version >= 0 && tag == etag(version)
}
