package scope_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/scope"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"one", "project.list", "project.list"},
		{"sorted", "b c a", "a b c"},
		{"named twice", "a b a a", "a b"},
		{"case matters", "a A", "A a"},
		{"every character that is allowed", allAllowed(), allAllowed()},
		{"a name that is the prefix of another", "ab a abc", "a ab abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := scope.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if s.String() != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func allAllowed() string {
	var b strings.Builder
	for c := byte(0x21); c <= 0x7e; c++ {
		if c != '"' && c != '\\' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		offset     int
		reason     string
	}{
		{"6749-18 two spaces", "a  b", 2, "single space"},
		{"6749-18 leading space", " a", 0, "single space"},
		{"6749-18 trailing space", "a b ", 3, "single space"},
		{"6749-18 only a space", " ", 0, "single space"},
		{"6749-18 only spaces", "   ", 0, "single space"},
		{"6749-18 quote", `a"b`, 1, "not allowed"},
		{"6749-18 backslash", `ab\`, 2, "not allowed"},
		{"6749-18 tab", "a\tb", 1, "not allowed"},
		{"6749-18 line feed", "a b\n", 3, "not allowed"},
		{"6749-18 carriage return", "\ra", 0, "not allowed"},
		{"6749-18 NUL", "a\x00", 1, "not allowed"},
		{"6749-18 DEL", "a\x7f", 1, "not allowed"},
		{"6749-18 first byte above ASCII", "a\x80", 1, "not allowed"},
		{"6749-18 not UTF-8", "a \xff", 2, "not allowed"},
		{"6749-18 no-break space", "a\u00a0b", 1, "not allowed"},
		{"B21 Cyrillic letter that looks Latin", "project.l\u0456st", 9, "not allowed"},
		{"B21 full-width asterisk", "project.\uff0a", 8, "not allowed"},
		{"B21 full-width dot", "admin\uff0ex", 5, "not allowed"},
		{"B21 zero-width space", "admin.\u200bx", 6, "not allowed"},
		{"B21 Kelvin sign, which folds to k", "\u212aey.read", 0, "not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := scope.Parse(c.text)
			var syntax *scope.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, %v, want a *SyntaxError", s, err)
			}
			if s.Len() != 0 {
				t.Errorf("a set of %d with the error", s.Len())
			}
			if syntax.Offset != c.offset || !strings.Contains(syntax.Reason, c.reason) {
				t.Errorf("got %v, want position %d: %s", err, c.offset, c.reason)
			}
		})
	}
	t.Run("the text names the position and not the input", func(t *testing.T) {
		_, err := scope.Parse(`secretive"value`)
		if text := err.Error(); !strings.HasPrefix(text, "position 9: ") || strings.Contains(text, "secretive") {
			t.Errorf("got %q", text)
		}
	})
	t.Run("every other byte is refused", func(t *testing.T) {
		for b := range 256 {
			_, err := scope.Parse("a" + string([]byte{byte(b)}) + "a")
			allowed := b == ' ' || strings.IndexByte(allAllowed(), byte(b)) >= 0
			if (err == nil) != allowed {
				t.Errorf("byte %#x: %v", b, err)
			}
		}
	})
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		want  string
		wrong string // in the error
	}{
		{name: "none", want: ""},
		{name: "some", names: []string{"b", "a", "b"}, want: "a b"},
		{name: "empty name", names: []string{"a", ""}, wrong: "permission 1, counted from 0: position 0: a permission may not be empty"},
		{name: "6749-18 a space inside", names: []string{"a b"}, wrong: "permission 0, counted from 0: position 1: "},
		{name: "the error has the index of the first wrong one", names: []string{"a", "b\x00", "\xff"}, wrong: "permission 1, counted from 0: position 1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := scope.Of(c.names...)
			if c.wrong != "" {
				var syntax *scope.SyntaxError
				if !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("got %v, want %q", err, c.wrong)
				}
				return
			}
			if err != nil || s.String() != c.want {
				t.Errorf("got %q, %v, want %q", s, err, c.want)
			}
		})
	}
	t.Run("the argument is left as it is", func(t *testing.T) {
		names := []string{"b", "a", "b"}
		s, _ := scope.Of(names...)
		names[0] = "z"
		if !slices.Equal(names, []string{"z", "a", "b"}) || s.String() != "a b" {
			t.Errorf("argument %q, set %q", names, s)
		}
	})
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "project.list", "*", "a:b/c?d=e", allAllowed()} {
		if err := scope.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", " ", "a b", `"`, `\`, "a\n", "é"} {
		var syntax *scope.SyntaxError
		if err := scope.CheckName(name); !errors.As(err, &syntax) {
			t.Errorf("%q: got %v, want a *SyntaxError", name, err)
		}
	}
}

func TestSetOperations(t *testing.T) {
	for _, c := range []struct {
		name, a, b                    string
		union, intersect, minus       string
		aContainsB, bContainsA, equal bool
	}{
		{name: "both empty", aContainsB: true, bContainsA: true, equal: true},
		{name: "one empty", a: "a b", union: "a b", minus: "a b", aContainsB: true},
		{name: "other empty", b: "a b", union: "a b", bContainsA: true},
		{name: "equal", a: "a b", b: "b a", union: "a b", intersect: "a b", aContainsB: true, bContainsA: true, equal: true},
		{name: "part", a: "a b c", b: "b", union: "a b c", intersect: "b", minus: "a c", aContainsB: true},
		{name: "first and last", a: "a b c", b: "a c", union: "a b c", intersect: "a c", minus: "b", aContainsB: true},
		{name: "overlap", a: "a b c", b: "b c d", union: "a b c d", intersect: "b c", minus: "a"},
		{name: "nothing in common", a: "a c", b: "b d", union: "a b c d", minus: "a c"},
		{name: "the same length, other names", a: "a b", b: "a c", union: "a b c", intersect: "a", minus: "b"},
		{name: "names that are prefixes of others", a: "a a.b", b: "a.b a.b.c", union: "a a.b a.b.c", intersect: "a.b", minus: "a"},
		{name: "case matters", a: "admin", b: "ADMIN", union: "ADMIN admin", minus: "admin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := scope.MustParse(c.a), scope.MustParse(c.b)
			for _, got := range []struct {
				what string
				set  scope.Set
				want string
			}{
				{"union", a.Union(b), c.union}, {"union, other way", b.Union(a), c.union},
				{"intersect", a.Intersect(b), c.intersect}, {"intersect, other way", b.Intersect(a), c.intersect},
				{"minus", a.Minus(b), c.minus},
			} {
				if got.set.String() != got.want || !got.set.Equal(scope.MustParse(got.want)) {
					t.Errorf("%s: got %q, want %q", got.what, got.set, got.want)
				}
			}
			if a.ContainsAll(b) != c.aContainsB || b.ContainsAll(a) != c.bContainsA || a.Equal(b) != c.equal || b.Equal(a) != c.equal {
				t.Errorf("contains %v and %v, equal %v", a.ContainsAll(b), b.ContainsAll(a), a.Equal(b))
			}
			if a.String() != scope.MustParse(c.a).String() {
				t.Error("an operation changed its set")
			}
		})
	}
}

func TestSetReading(t *testing.T) {
	for _, c := range []struct {
		text  string
		names []string
	}{
		{"", []string{}},
		{"a", []string{"a"}},
		{"c b.d a", []string{"a", "b.d", "c"}},
	} {
		s := scope.MustParse(c.text)
		if got := s.Names(); got == nil || !slices.Equal(got, c.names) {
			t.Errorf("%q: Names is %#v", c.text, got)
		}
		if got := slices.Collect(s.All()); !slices.Equal(got, c.names) {
			t.Errorf("%q: All yields %q", c.text, got)
		}
		for range s.All() {
			break
		}
		if s.Len() != len(c.names) {
			t.Errorf("%q: Len is %d", c.text, s.Len())
		}
		for _, name := range c.names {
			if !s.Has(name) {
				t.Errorf("%q: lacks %q", c.text, name)
			}
		}
		for _, name := range []string{"", "b", "A", "a ", "a c", "z"} {
			if s.Has(name) {
				t.Errorf("%q: has %q", c.text, name)
			}
		}
	}
	t.Run("Names returns a copy", func(t *testing.T) {
		s := scope.MustParse("a b")
		s.Names()[0] = "z"
		if s.String() != "a b" || !s.Has("a") {
			t.Errorf("the set became %q", s)
		}
	})
}

func TestSetJSON(t *testing.T) {
	for _, c := range []struct{ name, text, want, wrong string }{
		{name: "array", text: `["b","a","b"]`, want: `["a","b"]`},
		{name: "empty array", text: `[]`, want: `[]`},
		{name: "wire form", text: `"b a"`, want: `["a","b"]`},
		{name: "empty wire form", text: `""`, want: `[]`},
		{name: "escapes", text: `"\u0061"`, want: `["a"]`},
		{name: "characters that JSON may escape", text: `["<&>"]`, want: `["\u003c\u0026\u003e"]`},
		{name: "null", text: `null`, wrong: "null"},
		{name: "null inside", text: `["a",null]`, wrong: "permission 1, counted from 0: position 0: "},
		{name: "number", text: `7`, wrong: "cannot unmarshal"},
		{name: "number inside", text: `["a",7]`, wrong: "cannot unmarshal"},
		{name: "object", text: `{"a":true}`, wrong: "cannot unmarshal"},
		{name: "6749-18 array with a space inside", text: `["a b"]`, wrong: "permission 0, counted from 0: position 1: "},
		{name: "6749-18 wire form with two spaces", text: `"a  b"`, wrong: "position 2: "},
		{name: "6749-18 half a surrogate pair", text: `["\ud800"]`, wrong: "position 0: "},
		{name: "B21 escaped Cyrillic letter", text: `["project.l\u0456st"]`, wrong: "position 9: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scope.MustParse("old")
			err := json.Unmarshal([]byte(c.text), &s)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("got %v, want %q", err, c.wrong)
				}
				if s.String() != "old" {
					t.Errorf("an error changed the set to %q", s)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text, err := json.Marshal(s); err != nil || string(text) != c.want {
				t.Errorf("got %s, %v, want %s", text, err, c.want)
			}
		})
	}
	t.Run("an absent member is the empty set", func(t *testing.T) {
		var v struct{ Scope scope.Set }
		if err := json.Unmarshal([]byte(`{}`), &v); err != nil || v.Scope.Len() != 0 {
			t.Errorf("got %v, %v", v.Scope, err)
		}
	})
}

func TestSetAllocations(t *testing.T) {
	held, asked := scope.MustParse("a b c d e"), scope.MustParse("b d")
	for name, f := range map[string]func(){
		"Has":                 func() { held.Has("c") },
		"ContainsAll":         func() { held.ContainsAll(asked) },
		"Minus of nothing":    func() { _ = asked.Minus(scope.Set{}) },
		"Intersect with more": func() { _ = asked.Intersect(held) },
		"Union with a part":   func() { _ = held.Union(asked) },
		"String":              func() { _ = held.String() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestMustParsePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	scope.MustParse("a  b")
}
