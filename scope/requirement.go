package scope

import "strings"

// Requirement says which permissions a route asks for: all of one of its
// alternatives. The zero value is met by every set, the empty one too. It is
// immutable and safe for concurrent use.
type Requirement struct {
	alternatives []Set
}

// AllOf requires every permission of s.
func AllOf(s Set) Requirement { return Requirement{[]Set{s}} }

// AnyOf requires that at least one of rs is met. Without arguments it is met
// by no set.
func AnyOf(rs ...Requirement) Requirement {
	alternatives := make([]Set, 0, len(rs))
	for _, r := range rs {
		if r.alternatives == nil {
			alternatives = append(alternatives, Set{})
		}
		alternatives = append(alternatives, r.alternatives...)
	}
	return Requirement{alternatives}
}

// MetBy reports whether held satisfies the requirement.
func (r Requirement) MetBy(held Set) bool {
	if r.alternatives == nil {
		return true
	}
	for _, alternative := range r.alternatives {
		if held.ContainsAll(alternative) {
			return true
		}
	}
	return false
}

// Only keeps the alternatives that consist of permissions in allowed and ask
// for at least one. What is left is met by fewer sets, possibly by none; of a
// requirement that asks for nothing, nothing is left.
func (r Requirement) Only(allowed Set) Requirement {
	kept := []Set{}
	for _, alternative := range r.alternatives {
		if alternative.Len() > 0 && allowed.ContainsAll(alternative) {
			kept = append(kept, alternative)
		}
	}
	return Requirement{kept}
}

// Names returns every permission that the requirement mentions.
func (r Requirement) Names() Set {
	var names Set
	for _, alternative := range r.alternatives {
		names = names.Union(alternative)
	}
	return names
}

// Hint returns the first alternative, which is what a challenge names as the
// missing scope (RFC 6750, section 3). It is empty where there is none.
func (r Requirement) Hint() Set {
	if len(r.alternatives) == 0 {
		return Set{}
	}
	return r.alternatives[0]
}

// String shows the requirement for people: alternatives joined by " or ",
// "nothing" where no permission is asked for, and "never" where no set will
// do.
func (r Requirement) String() string {
	switch {
	case r.alternatives == nil:
		return "nothing"
	case len(r.alternatives) == 0:
		return "never"
	}
	texts := make([]string, len(r.alternatives))
	for i, alternative := range r.alternatives {
		texts[i] = alternative.String()
		if texts[i] == "" {
			texts[i] = "nothing"
		}
	}
	return strings.Join(texts, " or ")
}
