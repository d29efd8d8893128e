package scope_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/scope"
)

func allOf(text string) scope.Requirement { return scope.AllOf(scope.MustParse(text)) }

func TestRequirement(t *testing.T) {
	for _, c := range []struct {
		name        string
		requirement scope.Requirement
		met, unmet  []string
		text        string
		names, hint string
	}{
		{name: "zero value", met: []string{"", "a"}, text: "nothing"},
		{name: "all of none", requirement: allOf(""), met: []string{"", "a"}, text: "nothing"},
		{name: "one", requirement: allOf("a"), met: []string{"a", "a b"}, unmet: []string{"", "b", "A", "a.b"},
			text: "a", names: "a", hint: "a"},
		{name: "all", requirement: allOf("a b"), met: []string{"a b", "a b c"}, unmet: []string{"", "a", "b", "a c"},
			text: "a b", names: "a b", hint: "a b"},
		{name: "any of none", requirement: scope.AnyOf(), unmet: []string{"", "a"}, text: "never"},
		{name: "any", requirement: scope.AnyOf(allOf("b"), allOf("a c")), met: []string{"b", "a c", "a b"}, unmet: []string{"", "a", "c"},
			text: "b or a c", names: "a b c", hint: "b"},
		{name: "any, one of which asks for nothing", requirement: scope.AnyOf(allOf("a"), scope.Requirement{}),
			met: []string{"", "a"}, text: "a or nothing", names: "a", hint: "a"},
		{name: "any, one of which is never met", requirement: scope.AnyOf(scope.AnyOf(), allOf("a")),
			met: []string{"a"}, unmet: []string{"", "b"}, text: "a", names: "a", hint: "a"},
		{name: "nested", requirement: scope.AnyOf(scope.AnyOf(allOf("a"), allOf("b")), allOf("c d")),
			met: []string{"a", "b", "c d"}, unmet: []string{"", "c", "d"}, text: "a or b or c d", names: "a b c d", hint: "a"},
		{name: "B21 a held wildcard opens nothing", requirement: allOf("project.list"), unmet: []string{"*", "project.*", "*.list"},
			text: "project.list", names: "project.list", hint: "project.list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, held := range c.met {
				if !c.requirement.MetBy(scope.MustParse(held)) {
					t.Errorf("not met by %q", held)
				}
			}
			for _, held := range c.unmet {
				if c.requirement.MetBy(scope.MustParse(held)) {
					t.Errorf("met by %q", held)
				}
			}
			if got := c.requirement.String(); got != c.text {
				t.Errorf("reads %q, want %q", got, c.text)
			}
			if got := c.requirement.Names().String(); got != c.names {
				t.Errorf("mentions %q, want %q", got, c.names)
			}
			if got := c.requirement.Hint().String(); got != c.hint {
				t.Errorf("hints at %q, want %q", got, c.hint)
			}
		})
	}
}

func TestRequirementOnly(t *testing.T) {
	for _, c := range []struct {
		name        string
		requirement scope.Requirement
		allowed     string
		want        string
	}{
		{"kept", allOf("a"), "a b", "a"},
		{"dropped", allOf("c"), "a b", "never"},
		{"dropped for a part", allOf("a c"), "a b", "never"},
		{"one of two", scope.AnyOf(allOf("a"), allOf("c")), "a b", "a"},
		{"what asks for nothing", allOf(""), "a b", "never"},
		{"zero value", scope.Requirement{}, "a b", "never"},
		{"an alternative that asks for nothing", scope.AnyOf(scope.Requirement{}, allOf("a")), "a b", "a"},
		{"never met before", scope.AnyOf(), "a b", "never"},
		{"nothing allowed", allOf("a"), "", "never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.requirement.Only(scope.MustParse(c.allowed))
			if got.String() != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.want == "never" && got.MetBy(scope.MustParse("a b c")) {
				t.Error("met by a set")
			}
		})
	}
	t.Run("the requirement itself stays", func(t *testing.T) {
		r := scope.AnyOf(allOf("a"), allOf("c"))
		r.Only(scope.MustParse("c"))
		if r.String() != "a or c" {
			t.Errorf("it became %q", r)
		}
	})
}
