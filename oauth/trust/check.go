package trust

import (
	"fmt"
	"maps"
	"slices"
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
	switch {
	case e == nil:
		return []string{"There is no such issuer; it must be one of " + strings.Join(slices.Sorted(maps.Keys(l.byName)), ", ") + "."}
	case len(t.Claims) == 0 || len(t.Claims) > maxTrustClaims:
		return []string{fmt.Sprintf("Name 1 to %d claims.", maxTrustClaims)}
	}
	addIf := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	named := make(map[string]bool, len(t.Claims))
	immutable := false
	for _, want := range t.Claims {
		c := e.claim(want.Name)
		if c == nil {
			addIf(true, "%s has no claim that is called %.64q; it must be one of %s.", e.Title, want.Name, e.claimNames(false))
			continue
		}
		addIf(named[want.Name], "The claim %s is named twice.", want.Name)
		addIf(!isText(want.Value), "The value of %s must have 1 to %d printable bytes.", want.Name, maxText)
		prefix, wild := c.wildcard(want.Value)
		stars := strings.Contains(want.Value, "*")
		addIf(stars && c.Prefix == 0, `The value of %s may not contain "*".`, want.Name)
		addIf(stars && c.Prefix > 0 && (!wild || strings.Contains(prefix, "*")),
			`In the value of %s, "*" may only be the whole last segment after / or :, behind at least %d others.`, want.Name, c.Prefix)
		named[want.Name] = true
		immutable = immutable || c.Immutable && !wild
	}
	addIf(e.Shared && !immutable, `%s gives identities to everybody; name one of %s, without "*", because names can be taken over by others and ids cannot.`,
		e.Title, e.claimNames(true))
	addIf(len(e.OneOf) > 0 && !slices.ContainsFunc(e.OneOf, func(name string) bool { return named[name] }),
		"Name at least one of %s.", strings.Join(e.OneOf, ", "))
	return problems
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
