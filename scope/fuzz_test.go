package scope_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/scope"
)

// FuzzParse checks that Parse accepts exactly the grammar of RFC 6749, section 3.3,
// and that its sets hold the given words, print in one canonical form, and can be read
// back from text and JSON.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "a", "b a", "a a", "a  b", " a", "a ", "a\"b", "a\\b", "a\x00", "\xff", "project.* admin.x", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scope.Parse(text)
		words := strings.Split(text, " ")
		wellFormed := text == "" || !slices.ContainsFunc(words, func(word string) bool {
			return word == "" || strings.ContainsFunc(word, func(r rune) bool {
				return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
			})
		})
		if (err == nil) != wellFormed {
			t.Fatalf("well formed: %v, but %v", wellFormed, err)
		}
		if err != nil {
			var syntax *scope.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset >= len(text) {
				t.Fatalf("the error names no position of the input: %v", err)
			}
			if s.Len() != 0 {
				t.Fatal("a set with an error")
			}
			return
		}
		if text != "" {
			slices.Sort(words)
			if words = slices.Compact(words); !slices.Equal(s.Names(), words) {
				t.Fatalf("the set holds %q, want %q", s.Names(), words)
			}
		}
		if s.String() != strings.Join(s.Names(), " ") {
			t.Fatalf("%q is not the canonical form of %q", s, s.Names())
		}
		again, err := scope.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Fatalf("%q became %q, %v", s, again, err)
		}
		var fromJSON scope.Set
		out, err := json.Marshal(s)
		if err != nil || json.Unmarshal(out, &fromJSON) != nil || !fromJSON.Equal(s) {
			t.Fatalf("JSON: %q became %q, %v", s, fromJSON, err)
		}
		if !s.Minus(again).Equal(scope.Set{}) || !s.Union(again).Equal(s) || !s.Intersect(again).Equal(s) {
			t.Fatal("an equal set does not count as equal")
		}
	})
}

// FuzzSetJSON checks that a set read from JSON prints as an array that reads back as
// the same set, and that every member is a scope token.
func FuzzSetJSON(f *testing.F) {
	for _, seed := range []string{`[]`, `["a"]`, `["b","a","b"]`, `"b a"`, `""`, `null`, ` null `, `[null]`, `7`, `["a b"]`, `["\u0061"]`, `["\ud800"]`, `{}`, ` [ ] `, `[["a"]]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scope.MustParse("old")
		if err := s.UnmarshalJSON(text); err != nil {
			if s.String() != "old" {
				t.Fatalf("an error changed the set to %q", s)
			}
			return
		}
		if strings.TrimSpace(string(text)) == "null" {
			t.Fatal("null was accepted")
		}
		for name := range s.All() {
			if err := scope.CheckName(name); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again scope.Set
		if err := json.Unmarshal(out, &again); err != nil || !again.Equal(s) {
			t.Fatalf("%s became %q, %v", out, again, err)
		}
	})
}

// FuzzExpand checks that a pattern yields only permissions of the catalog, and an
// admin permission only if it is named in full, or by "admin." with withAdmin.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"*", "project.*", "admin.*", "admin.list", "*.*.*", "a.*.", "**"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	catalog := projects()
	f.Fuzz(func(t *testing.T, text string, withAdmin bool) {
		pattern, err := scope.Parse(text)
		if err != nil {
			return
		}
		got, err := catalog.Expand(pattern, withAdmin)
		if err != nil {
			var unknown *scope.UnknownError
			if !errors.As(err, &unknown) || got.Len() > 0 || !slices.IsSorted(unknown.Names) {
				t.Fatalf("got %q, %v", got, err)
			}
			for _, name := range unknown.Names {
				if !pattern.Has(name) || catalog.All().Has(name) {
					t.Fatalf("%q is reported as unknown, but is in the catalog or not in %q", name, pattern)
				}
			}
			return
		}
		if err := catalog.Check(got); err != nil {
			t.Fatal(err)
		}
		for name := range got.Intersect(catalog.Admin()).Minus(pattern).All() {
			if !withAdmin || !strings.HasPrefix(name, "admin.") {
				t.Fatalf("%q yields the admin permission %q", pattern, name)
			}
		}
	})
}
