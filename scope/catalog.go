package scope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Level says how far a permission reaches.
type Level uint8

const (
	// Workspace permissions open the key's own workspace only. It is the
	// zero value.
	Workspace Level = iota
	// Admin permissions reach every workspace; only an organization admin
	// may grant one. A permission whose level is raised to Admin is left out of
	// the tokens of keys that hold it already, until an organization admin grants
	// it to them again. In tokens from before, it opens nothing where the new catalog
	// holds.
	Admin
)

// String returns "workspace" or "admin"; for a value that is neither, its
// number.
func (l Level) String() string {
	switch l {
	case Workspace:
		return "workspace"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// Permission describes one permission for people and for the checks.
type Permission struct {
	Name        string // the scope token, such as "project.list"
	Title       string // a few words for a form; the name when empty
	Description string // one sentence: what it allows
	Level       Level  // Workspace unless said otherwise
}

// Group is a titled list of permissions, shown together.
type Group struct {
	Title       string
	Permissions []Permission
}

// Catalog lists the permissions a host knows, in the host's order. It is
// immutable and safe for concurrent use.
type Catalog struct {
	groups []Group
	byName map[string]Permission
	all    Set
	admin  Set
}

// UnknownError names every permission of a request that the catalog lacks.
type UnknownError struct {
	Names []string // sorted
}

// Error implements error.
func (e *UnknownError) Error() string {
	return "scope: unknown permission: " + strings.Join(e.Names, ", ")
}

// NewCatalog checks and copies groups. It joins all problems into one error:
// names that are no scope token, that hold the wildcard '*', or that appear
// twice, and unknown levels. Without groups the catalog knows no permission.
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

// checkNew checks a permission that is to be added.
func (c *Catalog) checkNew(p Permission) error {
	if err := CheckName(p.Name); err != nil {
		return err
	}
	_, twice := c.byName[p.Name]
	switch {
	case strings.Contains(p.Name, "*"):
		return errors.New("'*' is kept for wildcards")
	case p.Level > Admin:
		return fmt.Errorf("%v is neither Workspace nor Admin", p.Level)
	case twice:
		return errors.New("it is listed twice")
	}
	return nil
}

// MustCatalog is NewCatalog for catalogs fixed in source code; it panics on a
// faulty one.
func MustCatalog(groups ...Group) *Catalog {
	c, err := NewCatalog(groups...)
	if err != nil {
		panic(err) //nolint:forbidigo // the doc comment says so: it is for what a programmer wrote
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

// Lookup returns the permission called name.
func (c *Catalog) Lookup(name string) (Permission, bool) {
	p, ok := c.byName[name]
	return p, ok
}

// All returns every permission.
func (c *Catalog) All() Set { return c.all }

// Admin returns the permissions that reach every workspace.
func (c *Catalog) Admin() Set { return c.admin }

// Check returns an *UnknownError naming every permission of s that the
// catalog lacks, or nil.
func (c *Catalog) Check(s Set) error {
	if unknown := s.Minus(c.all); unknown.Len() > 0 {
		return &UnknownError{Names: unknown.Names()}
	}
	return nil
}

// Expand turns what a person asked for into concrete permissions. A pattern
// is a set whose members may hold '*' in place of whole dot-separated
// segments: "project.*" means every permission of two segments that starts
// with "project.", and neither "project" nor "project.member.list". A
// wildcard never yields an admin permission unless its first segment is
// "admin" and withAdmin is true. The result is what the catalog holds now:
// permissions added later do not join it.
//
// Every name and pattern that stands for nothing is named in one
// *UnknownError.
func (c *Catalog) Expand(pattern Set, withAdmin bool) (Set, error) {
	var names, unknown []string
	for want := range pattern.All() {
		found := c.all.Has(want)
		if found {
			names = append(names, want)
		}
		if strings.Contains(want, "*") {
			for name := range c.all.All() {
				open := !c.admin.Has(name) || withAdmin && strings.HasPrefix(want, "admin.")
				if open && matches(want, name) {
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

// matches compares segment by segment; a '*' that is only part of a segment
// matches nothing, since no name holds one.
func matches(pattern, name string) bool {
	return slices.EqualFunc(strings.Split(pattern, "."), strings.Split(name, "."), func(p, n string) bool {
		return p == "*" || p == n
	})
}
