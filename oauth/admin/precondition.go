package admin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

// setETag names the version of the record in the answer. What logins write,
// such as the last use, does not move it.
func (c *call) setETag(version int64) {
	c.w.Header().Set("ETag", `"`+strconv.FormatInt(version, 10)+`"`)
}

// readCondition reads the versions that the caller names in If-Match; the record must
// have one of them. "*" names none.
//
// A weak ETag names its version as well. That deviates from RFC 9110, section
// 13.1.1: a proxy that compresses an answer makes its ETag weak, and an ETag here
// stands for the record, not for its encoding. A tag that this handler did not
// write names no version. A condition on what has no ETag is refused: none can hold,
// and one that was passed over would be a change that the caller did not want.
func (c *call) readCondition() error {
	lines := c.r.Header.Values("If-Match")
	list := strings.Join(lines, ",") // RFC 9110, section 5.3
	if len(lines) == 0 || strings.Trim(list, " \t") == "*" {
		return nil
	}
	if !c.route.conditional() {
		return &refusal{Kind: answer.Changed, Detail: "What this changes has no ETag. Leave If-Match out."}
	}
	c.conditional = true
	for list != "" {
		tag, rest, ok := cutETag(list)
		if !ok {
			return &refusal{Kind: answer.Changed, Detail: "If-Match must hold ETags as this service wrote them."}
		}
		version, err := strconv.ParseInt(tag, 10, 64)
		if err == nil && version >= 0 && strconv.FormatInt(version, 10) == tag {
			c.versions = append(c.versions, version)
		}
		list = rest
	}
	return nil
}

// cutETag cuts the first entity-tag (RFC 9110, section 8.8.3) and the comma after
// it off a list. An empty element, which a list may have (section 5.6.1), is the
// empty tag.
func cutETag(list string) (tag, rest string, ok bool) {
	const blank = " \t"
	list = strings.TrimLeft(list, blank)
	if quoted, opens := strings.CutPrefix(strings.TrimPrefix(list, "W/"), `"`); opens {
		if tag, list, ok = strings.Cut(quoted, `"`); !ok {
			return "", "", false
		}
		list = strings.TrimLeft(list, blank)
	}
	switch {
	case list == "":
		return tag, "", true
	case list[0] == ',':
		return tag, list[1:], true
	}
	return "", "", false
}

// noVersion is a version that no record has.
const noVersion = -1

// choose returns the version on which a change is conditional: the one that the
// caller named or, of several, the one that the record has now. The write compares
// it again.
func (c *call) choose(current func() (int64, error)) (int64, error) {
	switch len(c.versions) {
	case 0:
		return noVersion, nil
	case 1:
		return c.versions[0], nil
	}
	now, err := current()
	if err != nil || !slices.Contains(c.versions, now) {
		return noVersion, err
	}
	return now, nil
}

// chooseKey sets the version of the key on which its change is conditional.
func (c *call) chooseKey() (err error) {
	c.version, err = c.choose(func() (int64, error) {
		key, err := c.h.keys.Get(c.r.Context(), c.actor, c.key())
		return key.Version, err
	})
	if c.version == 0 { // would be no condition, and no key has it
		c.version = noVersion
	}
	return err
}

// mustMatch is choose where a change replaces the whole record: without a
// condition one of two administrators would undo what the other did (RFC 6585,
// section 3). "*" asks for just that: the version is then the current one.
func (c *call) mustMatch(current func() (int64, error)) (int64, error) {
	switch {
	case len(c.r.Header.Values("If-Match")) == 0:
		return 0, &refusal{Kind: answer.PreconditionRequired}
	case !c.conditional:
		return current()
	}
	return c.choose(current)
}
