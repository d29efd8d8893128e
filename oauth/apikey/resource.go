package apikey

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/latchkey-go/latchkey/scope"
)

// Resource is a further resource server that tokens can be for (RFC 8707). A key
// requests it at login, and its record must allow it.
type Resource struct {
	// URI is the resource indicator: an absolute URI without fragment. It is
	// compared byte for byte and becomes the token's audience.
	URI string
	// Permissions are those that apply to this resource. A token for it carries no
	// others. Empty: all.
	Permissions scope.Set
}

// checkResources checks the resources that a key is to be allowed. It returns them
// sorted and without duplicates.
func (s *Service) checkResources(bad *InvalidError, uris []string) []string {
	for _, uri := range uris {
		if !slices.ContainsFunc(s.cfg.Resources, func(r Resource) bool { return r.URI == uri }) {
			bad.add("resources", fmt.Sprintf("%.200q is not the URI of a resource in Config.Resources.", uri))
			return nil
		}
	}
	uris = slices.Clone(uris)
	slices.Sort(uris)
	return slices.Compact(uris)
}

// lacks reports whether wanted names a resource that is not in held.
func lacks(held, wanted []string) bool {
	return slices.ContainsFunc(wanted, func(uri string) bool { return !slices.Contains(held, uri) })
}

func resourceProblems(resources []Resource, catalog *scope.Catalog) []error {
	var problems []error
	for i, r := range resources {
		field := fmt.Sprintf("Config.Resources[%d]", i)
		if err := checkIndicator(r.URI); err != nil {
			problems = append(problems, fmt.Errorf("%s.URI: %w", field, err))
		}
		if slices.ContainsFunc(resources[:i], func(o Resource) bool { return o.URI == r.URI }) {
			problems = append(problems, fmt.Errorf("%s.URI: %q is listed twice", field, r.URI))
		}
		if catalog != nil {
			if err := catalog.Check(r.Permissions); err != nil {
				problems = append(problems, fmt.Errorf("%s.Permissions: %w", field, err))
			}
		}
	}
	return problems
}

// checkIndicator returns an error unless text is a resource indicator: an absolute URI
// of printable ASCII without fragment (RFC 8707, section 2).
func checkIndicator(text string) error {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\' {
			return errors.New("it must be printable ASCII without spaces, quotes and backslashes")
		}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || !u.IsAbs() || u.Host == "" && u.Opaque == "":
		return errors.New("it must be an absolute URI")
	case u.User != nil:
		return errors.New("it may not contain user information")
	case slices.Contains([]byte(text), '#'):
		return errors.New("it may have no fragment")
	}
	return nil
}
