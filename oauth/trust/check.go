package trust

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

const (
	maxName   = 32
	maxClaims = 16
	// Bounds in bytes. maxAll is for all names and values of a trust, so that a key is no
	// large record.
	maxClaimName = 64
	maxText      = 512
	maxAll       = 1024
)

// Malformed says in a sentence what keeps a trust from being valid whatever issuers are
// listed, or returns "".
func Malformed(t store.Trust) string {
	if !isName(t.Issuer) {
		return fmt.Sprintf("The name of an issuer has 1 to %d characters of a-z 0-9 -.", maxName)
	}
	if len(t.Claims) == 0 || len(t.Claims) > maxClaims {
		return fmt.Sprintf("Name 1 to %d claims.", maxClaims)
	}
	size := 0
	for i, c := range t.Claims {
		size += len(c.Name) + len(c.Value)
		switch {
		case !isText(c.Name, maxClaimName):
			return fmt.Sprintf("The name of a claim must have 1 to %d printable bytes.", maxClaimName)
		case !isText(c.Value, maxText):
			return fmt.Sprintf("The value of %s must have 1 to %d printable bytes.", c.Name, maxText)
		case slices.ContainsFunc(t.Claims[:i], func(other store.Claim) bool { return other.Name == c.Name }):
			return fmt.Sprintf("The claim %s is named twice.", c.Name)
		}
	}
	if size > maxAll {
		return fmt.Sprintf("The names and values of the claims must have at most %d bytes together.", maxAll)
	}
	return ""
}

func isName(text string) bool {
	return text != "" && len(text) <= maxName && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isText reports whether a text has 1 to most bytes of UTF-8, all printable.
func isText(text string, most int) bool {
	return text != "" && len(text) <= most && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Check says what is wrong with a trust that is about to be stored, in sentences for
// people. Nil means that nothing is.
func (l *List) Check(t store.Trust) (problems []string) {
	e := l.entry(t.Issuer)
	switch {
	case len(l.all()) == 0:
		return []string{"This service trusts no issuers."}
	case e == nil:
		var names []string
		for _, e := range l.all() {
			names = append(names, e.Name)
		}
		return []string{"There is no such issuer; it must be one of " + strings.Join(names, ", ") + "."}
	}
	return e.check(&t)
}

// check is Check for the entry that a trust names. It also runs at each login, because the
// entry may have changed since the trust was stored, and a backup may have been edited.
func (e *entry) check(t *store.Trust) (problems []string) {
	if problem := Malformed(*t); problem != "" {
		return []string{problem}
	}
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	immutable, oneOf := false, false
	for _, want := range t.Claims {
		c := e.claim(want.Name)
		if c == nil {
			add("%s has no claim that is called %q; it must be one of %s.", e.Title, want.Name, e.claimNames(false))
			continue
		}
		wild := strings.Contains(want.Value, "*")
		switch {
		case wild && c.Prefix < 1:
			add(`The value of %s may not contain "*".`, want.Name)
		case wild && !c.allowsWildcard(want.Value):
			add(`In the value of %s, "*" may only be the whole last segment after / or :, behind at least %d others.`, want.Name, c.Prefix)
		}
		immutable = immutable || c.Immutable && !wild
		oneOf = oneOf || slices.Contains(e.OneOf, want.Name)
	}
	if e.Shared && !immutable {
		add(`%s gives identities to everybody; name one of %s, without "*", because names can be taken over by others and ids cannot.`,
			e.Title, e.claimNames(true))
	}
	if len(e.OneOf) > 0 && !oneOf {
		add("Name at least one of %s.", strings.Join(e.OneOf, ", "))
	}
	return problems
}

// claim returns the claim that trusts call name, or nil.
func (e *entry) claim(name string) *Claim {
	for i := range e.Claims {
		if e.Claims[i].Name == name {
			return &e.Claims[i]
		}
	}
	return nil
}

// claimNames returns the names of the claims, or of those that are immutable.
func (e *entry) claimNames(immutable bool) string {
	var names []string
	for i := range e.Claims {
		if e.Claims[i].Immutable || !immutable {
			names = append(names, e.Claims[i].Name)
		}
	}
	return strings.Join(names, ", ")
}

// allowsWildcard reports whether the only "*" of a value is its whole last segment, behind
// enough others. Empty segments do not count.
func (c *Claim) allowsWildcard(value string) bool {
	before, last := strings.CutSuffix(value, "*")
	segments := strings.FieldsFunc(before, func(r rune) bool { return r == '/' || r == ':' })
	return last && !strings.Contains(before, "*") && strings.TrimRight(before, "/:") != before && len(segments) >= c.Prefix
}

// match checks a trust, and the claims of a token that it names or must name.
func (e *entry) match(t *store.Trust, claims strictjson.Object) error {
	passed := 2
	if problems := e.check(t); problems != nil {
		return &refusal{"the trust is not valid for this entry: " + problems[0], passed}
	}
	for i := range e.Claims {
		c := &e.Claims[i]
		named := slices.IndexFunc(t.Claims, func(want store.Claim) bool { return want.Name == c.Name })
		if named < 0 && c.Unless == nil {
			continue
		}
		value, err := text(claims, c.Path)
		switch {
		case named < 0 && (err != nil || slices.Contains(c.Unless, value)): // what cannot be compared is refused
			return &refusal{fmt.Sprintf("its claim %q has a value that only a trust with this claim accepts", c.Name), passed}
		case named < 0:
			continue
		case err != nil || !accepts(t.Claims[named].Value, value):
			return &refusal{fmt.Sprintf("its claim %q differs", c.Name), passed}
		}
		passed++
	}
	return nil
}

// text returns the text at a path. It is empty if nothing is there. Another JSON type is an
// error.
func text(claims strictjson.Object, path []string) (string, error) {
	value, found := claims.Get(path[0])
	switch {
	case !found:
		return "", nil
	case len(path) == 1:
		return strictjson.String(value)
	}
	inner, err := strictjson.Members(value, nil)
	if err != nil {
		return "", err
	}
	return text(inner, path[1:])
}

// accepts reports whether a trust that wants a value, which check has passed, accepts a token's.
func accepts(want, value string) bool {
	if prefix, wild := strings.CutSuffix(want, "*"); wild {
		return len(value) > len(prefix) && strings.HasPrefix(value, prefix)
	}
	return value == want
}
