package admin

import (
	"net/http"
	"strconv"
	"strings"
)

// setETag names the version of the record in the answer. What logins write,
// such as the last use, does not move it.
func (c *call) setETag(version int64) {
	c.w.Header().Set("ETag", `"`+strconv.FormatInt(version, 10)+`"`)
}

// ifMatch returns the version that the caller saw, or false if he named none
// or "*". A validator that this handler did not write matches nothing, as a
// weak one does (RFC 9110, section 13.1.1).
func (c *call) ifMatch() (version int64, named bool, err error) {
	values := c.r.Header.Values("If-Match")
	if len(values) == 0 || len(values) == 1 && strings.TrimSpace(values[0]) == "*" {
		return 0, false, nil
	}
	c.conditional = true
	if len(values) == 1 {
		text, begins := strings.CutPrefix(strings.TrimSpace(values[0]), `"`)
		text, ends := strings.CutSuffix(text, `"`)
		version, err := strconv.ParseInt(text, 10, 64)
		if begins && ends && err == nil && version >= 0 && strconv.FormatInt(version, 10) == text {
			return version, true, nil
		}
	}
	return 0, false, &refusal{
		status: http.StatusPreconditionFailed, code: CodeChanged, title: titleChanged,
		detail: "If-Match must hold one ETag as this service wrote it.",
	}
}

// keyVersion is ifMatch for a key: 0 is no condition, and no key has it.
func (c *call) keyVersion() (int64, error) {
	version, named, err := c.ifMatch()
	if err == nil && named && version == 0 {
		version = -1
	}
	return version, err
}

// mustMatch is ifMatch where a change replaces all there is: without a
// condition one of two administrators would undo what the other did (RFC 6585,
// section 3). "*" is the caller's word that he wants that.
func (c *call) mustMatch() (version int64, named bool, err error) {
	if len(c.r.Header.Values("If-Match")) == 0 {
		return 0, false, &refusal{
			status: http.StatusPreconditionRequired, code: CodePreconditionRequired, title: "If-Match is missing",
			detail: "Replacing settings needs If-Match with the ETag of those that you read.",
		}
	}
	return c.ifMatch()
}

// mustNotMatch refuses a condition on what has no ETag: none can hold, and one
// that was passed over would be a change that the caller did not want.
func (c *call) mustNotMatch() error {
	if _, named, err := c.ifMatch(); err != nil || named {
		return &refusal{
			status: http.StatusPreconditionFailed, code: CodeChanged, title: titleChanged,
			detail: "What this changes has no ETag. Leave If-Match out.",
		}
	}
	return nil
}
