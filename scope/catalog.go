package scope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Level is the reach of a permission.
type Level uint8

const (
	// Workspace permissions apply to the key's own workspace only. It is the zero
	// value.
	Workspace Level = iota
	// Admin permissions apply to every workspace. Only an organization admin may
	// grant one. If the level of a permission is raised to Admin, tokens are issued
	// without it to the keys that already hold it, until an organization admin grants
	// it to them again. A guard with the new catalog ignores it in older tokens.
	Admin
)

// String returns "workspace" or "admin", or the number of another value.
func (l Level) String() string {
	switch l {
	case Workspace:
		return "workspace"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// Permission describes one permission.
type Permission struct {
	Name        string // the scope token, such as "project.list"
	Title       string // a few words for a form; empty means Name
	Description string // one sentence: what it allows
	Level       Level  // the zero value is Workspace
}

// Group is a titled list of permissions that are shown together.
type Group struct {
	Title       string
	Permissions []Permission
}

// Catalog lists the permissions of a host, in the host's order. It is immutable and
// safe for concurrent use.
type Catalog struct {
	groups []Group
	byName map[string]Permission
	all    Set
	admin  Set
}

// UnknownError names the permissions and patterns that are not in the catalog.
type UnknownError struct {
	Names []string // sorted
}

// Error implements error.
func (e *UnknownError) Error() string {
	return "scope: unknown permission: " + strings.Join(e.Names, ", ")
}

// NewCatalog checks groups and returns a catalog with a copy of them. It joins all
// problems into one error: a name that is not a scope token, that contains the
// wildcard '*' or that is listed twice, and an unknown level. Without groups the
// catalog is empty.
func NewCatalog(groups ...Group) (*Catalog, error) {
	c := &Catalog{byName: make(map[string]Permission)}
	var problems []error
	var all, admin []string
	for _, group := range groups {
		group.Permissions = slices.Clone(group.Permissions)
		for i, p := range group.Permissions {
			if err := c.checkNew(p); err != nil {
				problems = append(problems, fmt.Errorf("group %q, permission %d (%q): %w", group.Title, i, p.Name, err))
				continue
			}
			if p.Title == "" {
				group.Permissions[i].Title = p.Name
				p.Title = p.Name
			}
			c.byName[p.Name] = p
			all = append(all, p.Name)
			if p.Level == Admin {
				admin = append(admin, p.Name)
			}
		}
		c.groups = append(c.groups, group)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("scope: catalog: %w", err)
	}
	c.all, c.admin = build(all), build(admin)
	return c, nil
}

// checkNew checks a permission before it is added.
func (c *Catalog) checkNew(p Permission) error {
	if err := CheckName(p.Name); err != nil {
		return err
	}
	_, twice := c.byName[p.Name]
	switch {
	case strings.Contains(p.Name, "*"):
		return errors.New("'*' is reserved for wildcards: choose a name without it")
	case p.Level > Admin:
		return fmt.Errorf("%v is neither Workspace nor Admin: use one of these", p.Level)
	case twice:
		return errors.New("it is listed twice: remove one")
	}
	return nil
}

// MustCatalog is like NewCatalog but panics on an error. It is for catalogs in source
// code.
func MustCatalog(groups ...Group) *Catalog {
	c, err := NewCatalog(groups...)
	if err != nil {
		panic(err) //nolint:forbidigo // the doc comment says so: it is for values in source code
	}
	return c
}

// Groups returns a copy of the groups in the host's order.
func (c *Catalog) Groups() []Group {
	groups := slices.Clone(c.groups)
	for i := range groups {
		groups[i].Permissions = slices.Clone(groups[i].Permissions)
	}
	return groups
}

// Lookup returns the permission with the given name, and whether there is one.
func (c *Catalog) Lookup(name string) (Permission, bool) {
	p, ok := c.byName[name]
	return p, ok
}

// All returns every permission.
func (c *Catalog) All() Set { return c.all }

// Admin returns the permissions of level Admin.
func (c *Catalog) Admin() Set { return c.admin }

// Check returns an *UnknownError that names every permission of s that is not in the
// catalog, or nil.
func (c *Catalog) Check(s Set) error {
	if unknown := s.Minus(c.all); unknown.Len() > 0 {
		return &UnknownError{Names: unknown.Names()}
	}
	return nil
}

// Expand returns the permissions that the names in pattern match. In a name, '*' can
// take the place of a whole segment between dots: "project.*" matches every permission
// of two segments that starts with "project.", but not "project" or
// "project.member.list". A name with a wildcard matches an admin permission only if
// withAdmin is true and the first segment of the name is "admin". An admin permission
// that is named in full is in the result; the caller must check whether it may be
// granted. The result does not change when permissions are added to a later catalog.
//
// If names match nothing, the error is one *UnknownError that lists all of them.
func (c *Catalog) Expand(pattern Set, withAdmin bool) (Set, error) {
	var names, unknown []string
	for want := range pattern.All() {
		found := c.all.Has(want)
		if found {
			names = append(names, want)
		}
		if strings.Contains(want, "*") {
			for name := range c.all.All() {
				allowed := !c.admin.Has(name) || withAdmin && strings.HasPrefix(want, "admin.")
				if allowed && matches(want, name) {
					names = append(names, name)
					found = true
				}
			}
		}
		if !found {
			unknown = append(unknown, want)
		}
	}
	if len(unknown) > 0 {
		return Set{}, &UnknownError{Names: unknown}
	}
	return build(names), nil
}

// matches compares segment by segment. A '*' that is only a part of a segment matches
// nothing, since no name contains one.
func matches(pattern, name string) bool {
	return slices.EqualFunc(strings.Split(pattern, "."), strings.Split(name, "."), func(p, n string) bool {
		return p == "*" || p == n
	})
}
