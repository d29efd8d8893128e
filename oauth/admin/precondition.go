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

// ifMatch returns the versions that the caller names; the record must have one of
// them. named is false if there is no condition or it is "*".
//
// A weak ETag names its version as well. That deviates from RFC 9110, section
// 13.1.1: a proxy that compresses an answer makes its ETag weak, and an ETag here
// stands for the record, not for its encoding. A tag that this handler did not
// write names no version.
func (c *call) ifMatch() (versions []int64, named bool, err error) {
	lines := c.r.Header.Values("If-Match")
	list := strings.Join(lines, ",") // RFC 9110, section 5.3
	if len(lines) == 0 || strings.Trim(list, " \t") == "*" {
		return nil, false, nil
	}
	c.conditional = true
	for list != "" {
		tag, rest, ok := cutETag(list)
		if !ok {
			return nil, false, &refusal{Kind: answer.Changed, Detail: "If-Match must hold ETags as this service wrote them."}
		}
		version, err := strconv.ParseInt(tag, 10, 64)
		if err == nil && version >= 0 && strconv.FormatInt(version, 10) == tag {
			versions = append(versions, version)
		}
		list = rest
	}
	return versions, true, nil
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

// versionOf returns the version on which a change is conditional: the one that the
// caller named or, of several, the one that the record has now. The write compares
// it again.
func versionOf(versions []int64, current func() (int64, error)) (int64, error) {
	switch len(versions) {
	case 0:
		return noVersion, nil
	case 1:
		return versions[0], nil
	}
	now, err := current()
	if err != nil || !slices.Contains(versions, now) {
		return noVersion, err
	}
	return now, nil
}

// keyVersion is ifMatch for a key: 0 is no condition, and no key has it.
func (c *call) keyVersion() (int64, error) {
	versions, named, err := c.ifMatch()
	if err != nil || !named {
		return 0, err
	}
	version, err := versionOf(versions, func() (int64, error) {
		key, err := c.h.keys.Get(c.r.Context(), c.actor, c.key())
		return key.Version, err
	})
	if version == 0 {
		version = noVersion
	}
	return version, err
}

// mustMatch is ifMatch where a change replaces the whole record: without a
// condition one of two administrators would undo what the other did (RFC 6585,
// section 3). "*" asks for just that: the version is then the current one.
func (c *call) mustMatch(current func() (int64, error)) (int64, error) {
	if len(c.r.Header.Values("If-Match")) == 0 {
		return 0, &refusal{Kind: answer.PreconditionRequired}
	}
	versions, named, err := c.ifMatch()
	switch {
	case err != nil:
		return 0, err
	case !named:
		return current()
	}
	return versionOf(versions, current)
}

// mustNotMatch refuses a condition on what has no ETag: none can hold, and one
// that was passed over would be a change that the caller did not want.
func (c *call) mustNotMatch() error {
	if _, named, err := c.ifMatch(); err != nil || named {
		return &refusal{Kind: answer.Changed, Detail: "What this changes has no ETag. Leave If-Match out."}
	}
	return nil
}
