package scope_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/scope"
)

// permissions returns permissions with the given names. One that begins with "admin." or
// ends in ".purge" is an admin permission.
func permissions(names ...string) []scope.Permission {
	var list []scope.Permission
	for _, name := range names {
		p := scope.Permission{Name: name}
		if strings.HasPrefix(name, "admin.") || strings.HasSuffix(name, ".purge") {
			p.Level = scope.Admin
		}
		list = append(list, p)
	}
	return list
}

// projects returns a catalog with admin permissions inside and outside of "admin.".
func projects() *scope.Catalog {
	return scope.MustCatalog(
		scope.Group{Title: "Projects", Permissions: permissions(
			"project", "project.list", "project.read", "project.purge", "project.member.list", "project.member.add", "projects.list")},
		scope.Group{Title: "Others", Permissions: permissions("invoice.list", "Project.list", "admin.list", "admin.user.list", "administration.purge")},
	)
}

func TestNewCatalog(t *testing.T) {
	for _, c := range []struct {
		name   string
		groups []scope.Group
		wants  []string // parts of the error; none: it is valid
	}{
		{"no groups", nil, nil},
		{"an empty group", []scope.Group{{Title: "Empty"}}, nil},
		{"names that differ in case", []scope.Group{{Permissions: permissions("a", "A")}}, nil},
		{"names that are not scope tokens", []scope.Group{{Title: "G", Permissions: permissions("", "a b", "ok", "é")}},
			[]string{`group "G", permission 0 (""): position 0`, `permission 1 ("a b"): position 1`, `permission 3 ("é"): position 0`}},
		{"B21 wildcards", []scope.Group{{Permissions: permissions("project.*", "*", "a*b")}},
			[]string{`"project.*"`, `"*"`, `"a*b"`, "reserved for wildcards"}},
		{"listed twice", []scope.Group{{Permissions: permissions("a", "a")}}, []string{`("a"): it is listed twice`}},
		{"listed in two groups", []scope.Group{{Permissions: permissions("a")}, {Permissions: permissions("b", "a")}},
			[]string{`("a"): it is listed twice`}},
		{"unknown level", []scope.Group{{Permissions: []scope.Permission{{Name: "a", Level: 2}}}},
			[]string{`("a"): level 2 is neither`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			catalog, err := scope.NewCatalog(c.groups...)
			if len(c.wants) == 0 {
				if err != nil || catalog == nil {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err == nil || catalog != nil {
				t.Fatal("no error, or a catalog with it")
			}
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
	t.Run("MustCatalog panics", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		scope.MustCatalog(scope.Group{Permissions: permissions("*")})
	})
}

func TestCatalogReading(t *testing.T) {
	given := []scope.Group{
		{Title: "B", Permissions: []scope.Permission{{Name: "b", Title: "Bees", Description: "All of them."}, {Name: "a", Level: scope.Admin}}},
		{Title: "A", Permissions: permissions("c")},
	}
	catalog := scope.MustCatalog(given...)
	given[0].Title, given[0].Permissions[0].Level = "changed", scope.Admin
	catalog.Groups()[0].Permissions[1].Level = scope.Workspace

	groups := catalog.Groups()
	if len(groups) != 2 || groups[0].Title != "B" || groups[1].Title != "A" {
		t.Fatalf("the groups are %+v", groups)
	}
	want := []scope.Permission{{Name: "b", Title: "Bees", Description: "All of them."}, {Name: "a", Title: "a", Level: scope.Admin}}
	if !slices.Equal(groups[0].Permissions, want) {
		t.Errorf("the first group holds %+v", groups[0].Permissions)
	}
	if got := catalog.All().String(); got != "a b c" {
		t.Errorf("All is %q", got)
	}
	if got := catalog.Admin().String(); got != "a" {
		t.Errorf("Admin is %q", got)
	}
	if p, ok := catalog.Lookup("a"); !ok || p != want[1] {
		t.Errorf("got %+v, %v", p, ok)
	}
	for _, name := range []string{"", "A", "a ", "d"} {
		if p, ok := catalog.Lookup(name); ok {
			t.Errorf("%q is %+v", name, p)
		}
	}
}

func TestCatalogCheck(t *testing.T) {
	catalog := projects()
	for _, c := range []struct {
		name, set string
		unknown   []string
	}{
		{name: "empty"},
		{name: "known", set: "project.list admin.list"},
		{name: "every unknown one is named", set: "zebra project.list apple", unknown: []string{"apple", "zebra"}},
		{name: "B21 case", set: "PROJECT.LIST project.List", unknown: []string{"PROJECT.LIST", "project.List"}},
		{name: "B21 a wildcard is no permission", set: "project.* *", unknown: []string{"*", "project.*"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkUnknown(t, catalog.Check(scope.MustParse(c.set)), c.unknown)
		})
	}
}

func checkUnknown(t *testing.T, err error, names []string) {
	t.Helper()
	if names == nil {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	var unknown *scope.UnknownError
	if !errors.As(err, &unknown) || !slices.Equal(unknown.Names, names) {
		t.Fatalf("got %v, want unknown %q", err, names)
	}
	if want := "scope: unknown permission: " + strings.Join(names, ", "); err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestCatalogExpand(t *testing.T) {
	catalog := projects()
	for _, c := range []struct {
		name, pattern string
		withAdmin     bool
		want          string
		unknown       []string
	}{
		{name: "nothing"},
		{name: "plain names", pattern: "project.list invoice.list", want: "invoice.list project.list"},
		{name: "one segment at the end", pattern: "project.*", want: "project.list project.read"},
		{name: "one segment at the start", pattern: "*.list", want: "Project.list invoice.list project.list projects.list"},
		{name: "one segment in the middle", pattern: "project.*.list", want: "project.member.list"},
		{name: "two segments", pattern: "*.*", want: "Project.list invoice.list project.list project.read projects.list"},
		{name: "a single wildcard is one segment", pattern: "*", want: "project"},
		{name: "wildcards and names together", pattern: "project.member.* project.read", want: "project.member.add project.member.list project.read"},
		{name: "overlap counts once", pattern: "project.* *.list project.list", want: "Project.list invoice.list project.list project.read projects.list"},

		{name: "B21 no admin permission by a wildcard", pattern: "admin.*", unknown: []string{"admin.*"}},
		{name: "B21 organization admin", pattern: "admin.*", withAdmin: true, want: "admin.list"},
		{name: "B21 organization admin, deeper", pattern: "admin.*.* admin.*", withAdmin: true, want: "admin.list admin.user.list"},
		{name: "B21 organization admin, wildcard in front", pattern: "*.list *.*.list *.*",
			withAdmin: true, want: "Project.list invoice.list project.list project.member.list project.read projects.list"},
		{name: "B21 organization admin, elsewhere", pattern: "project.*", withAdmin: true, want: "project.list project.read"},
		{name: "B21 organization admin, a name that only begins with admin", pattern: "administration.*", withAdmin: true, unknown: []string{"administration.*"}},
		{name: "B21 admin in another case", pattern: "ADMIN.* Admin.*", withAdmin: true, unknown: []string{"ADMIN.*", "Admin.*"}},
		{name: "B21 admin with a colon", pattern: "admin:*", withAdmin: true, unknown: []string{"admin:*"}},
		{name: "B21 admin as part of a segment", pattern: "admin* adm*.list", withAdmin: true, unknown: []string{"adm*.list", "admin*"}},
		{name: "an admin permission named in full is returned; the caller checks it", pattern: "admin.list project.purge", want: "admin.list project.purge"},

		{name: "B21 part of a segment", pattern: "project.l* proj*.list", unknown: []string{"proj*.list", "project.l*"}},
		{name: "B21 doubled", pattern: "** project.** **.list", unknown: []string{"**", "**.list", "project.**"}},
		{name: "B21 empty segments", pattern: ".* *. project..* . .", unknown: []string{"*.", ".", ".*", "project..*"}},
		{name: "B21 too many segments", pattern: "*.*.*.*", unknown: []string{"*.*.*.*"}},
		{name: "B21 other wildcards", pattern: "project.? project.[a-z]+ project.%", unknown: []string{"project.%", "project.?", "project.[a-z]+"}},
		{name: "every unknown one is named", pattern: "zebra project.list nothing.*", unknown: []string{"nothing.*", "zebra"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := catalog.Expand(scope.MustParse(c.pattern), c.withAdmin)
			checkUnknown(t, err, c.unknown)
			if got.String() != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !c.withAdmin && strings.Contains(c.pattern, "*") && got.Intersect(catalog.Admin()).Len() > 0 {
				t.Errorf("an admin permission in %q", got)
			}
		})
	}
}

func TestLevel(t *testing.T) {
	for level, want := range map[scope.Level]string{scope.Workspace: "workspace", scope.Admin: "admin", 7: "level 7"} {
		if got := level.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
