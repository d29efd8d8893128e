package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/scope"
)

// ResourceMetadata returns the handler of the protected resource metadata
// (RFC 9728) of Config.Resource, to which the guards' challenges point. It
// answers 404 if there is no such resource.
func (s *Server) ResourceMetadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Resource == "" {
			http.NotFound(w, r)
			return
		}
		s.resource.serve(w, r, metadataMaxAge)
	})
}

// resourcePath is where the metadata of a resource stands: behind the host,
// before the path (RFC 9728, section 3.1).
func resourcePath(resource string) (origin, path string) {
	u, err := url.Parse(resource)
	if err != nil { // checked before
		return "", ""
	}
	path = "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host, path
}

// describeResource writes the document. Its bearer methods are what package
// bearer takes.
func (s *Server) describeResource() (document, error) {
	body, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"`
	}{s.cfg.Resource, []string{s.cfg.Issuer}, s.cfg.Permissions.All().Names(), []string{"header"}})
	if err != nil {
		return document{}, fmt.Errorf("resource metadata: %w", err)
	}
	return newDocument(append(body, '\n')), nil
}

// audiences are those of all tokens that the server issues.
func (c Config) audiences() []string {
	all := slices.Clone(c.Audience)
	for _, r := range c.Resources {
		all = append(all, r.URI)
	}
	return all
}

// protectedResources names every resource that this server's tokens are for.
func (c Config) protectedResources() []string {
	var all []string
	if c.Resource != "" {
		all = append(all, c.Resource)
	}
	for _, r := range c.Resources {
		all = append(all, r.URI)
	}
	return all
}

// resourceProblems checks what Config says of resources, as far as package
// apikey does not.
func (c Config) resourceProblems() []error {
	var problems []error
	if c.Resource != "" {
		err := checkIssuer(c.Resource, c.InsecureLoopback)
		if err == nil && strings.ContainsFunc(c.Resource, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			err = errors.New("it must be printable ASCII without spaces, quotes and backslashes")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("Config.Resource: %w", err))
		}
	}
	for i, r := range c.Resources {
		if r.URI == c.Resource || slices.Contains(c.Audience, r.URI) {
			problems = append(problems, fmt.Errorf("Config.Resources[%d].URI: %q is the audience of every token already", i, r.URI))
		}
	}
	if c.IntrospectAll != "" && c.Permissions != nil {
		known, ok := c.Permissions.Lookup(c.IntrospectAll)
		if !ok || known.Level != scope.Admin {
			problems = append(problems, fmt.Errorf("Config.IntrospectAll: %q is not a permission of the admin level in Config.Permissions", c.IntrospectAll))
		}
	}
	return problems
}
