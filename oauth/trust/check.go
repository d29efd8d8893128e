package trust

import (
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/store"
)

// maxTrustClaims is how many claims a trust may name.
const maxTrustClaims = 16

// Check says what is wrong with a trust that is about to be stored, in sentences for
// people. Nil means that nothing is.
func (l *List) Check(t store.Trust) (problems []string) {
	if l == nil || len(l.entries) == 0 {
		return []string{"This service trusts no issuers."}
	}
	e := l.entry(t.Issuer)
	if e == nil {
		return []string{"There is no such issuer; it must be one of " + strings.Join(l.names(), ", ") + "."}
	}
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if len(t.Claims) == 0 || len(t.Claims) > maxTrustClaims {
		add("Name 1 to %d claims.", maxTrustClaims)
		return problems
	}
	named := make(map[string]bool, len(t.Claims))
	immutable := false
	for _, want := range t.Claims {
		c, ok := e.claim(want.Name)
		switch {
		case !ok:
			add("%s has no claim that is called %.64q; it must be one of %s.", e.Title, want.Name, strings.Join(e.claimNames(), ", "))
			continue
		case named[want.Name]:
			add("The claim %s is named twice.", want.Name)
		case !isText(want.Value):
			add("The value of %s must have 1 to %d printable bytes.", want.Name, maxText)
		}
		named[want.Name] = true
		prefix, wild := c.wildcard(want.Value)
		switch {
		case wild && !strings.Contains(prefix, "*"), !strings.Contains(want.Value, "*"):
		case c.Prefix == 0:
			add("The value of %s may not contain \"*\".", want.Name)
		default:
			add("In the value of %s, \"*\" may only be the whole last segment after / or :, behind at least %d others.", want.Name, c.Prefix)
		}
		immutable = immutable || c.Immutable && !wild
	}
	if e.Shared && !immutable {
		add("%s gives identities to everybody; name one of %s, without \"*\", because names can be taken over by others and ids cannot.",
			e.Title, strings.Join(e.immutable(), ", "))
	}
	one := len(e.OneOf) == 0
	for _, name := range e.OneOf {
		one = one || named[name]
	}
	if !one {
		add("Name at least one of %s.", strings.Join(e.OneOf, ", "))
	}
	return problems
}

func (l *List) names() (names []string) {
	for _, e := range l.entries {
		names = append(names, e.Name)
	}
	return names
}

func (e *entry) claimNames() (names []string) {
	for i := range e.Claims {
		names = append(names, e.Claims[i].Name)
	}
	return names
}

func (e *entry) immutable() (names []string) {
	for i := range e.Claims {
		if e.Claims[i].Immutable {
			names = append(names, e.Claims[i].Name)
		}
	}
	return names
}
