package console

import (
	"net/http"
	"net/url"
	"strings"
)

// join puts the address of a page together.
func join(root string, segments ...string) string {
	escaped := make([]string, len(segments))
	for i, segment := range segments {
		if isMarked(segment) {
			segment = "~" + segment
		}
		escaped[i] = url.PathEscape(segment)
	}
	return root + strings.Join(escaped, "/")
}

// isMarked reports whether an id has a tilde before it in an address. Escaped or
// not, browsers take "." and ".." for steps in the path (WHATWG URL,
// "double-dot path segment"), and http.ServeMux takes "/" for its end. What
// would look marked is marked as well.
func isMarked(id string) bool {
	switch strings.TrimLeft(id, "~") {
	case ".", "..", "/":
		return true
	}
	return false
}

// inPath is the id of this name in the address.
func (s *call) inPath(name string) string {
	segment := s.r.PathValue(name)
	if id, marked := strings.CutPrefix(segment, "~"); marked && isMarked(id) {
		return id
	}
	return segment
}

func (s *call) workspace() string { return s.inPath("workspace") }
func (s *call) key() string       { return s.inPath("key") }
func (s *call) secret() string    { return s.inPath("secret") }

// root is the relative address of the console's first page.
func (s *call) root() string {
	if up := strings.Count(s.r.URL.EscapedPath(), "/") - 1; up > 0 {
		return strings.Repeat("../", up)
	}
	return "./"
}

// redirect sends the browser to another page of the console. The address is
// relative (RFC 9110, section 10.2.2), and so right under any prefix.
func (s *call) redirect(query string, segments ...string) error {
	to := join(s.root(), segments...)
	if query != "" {
		to += "?" + query
	}
	s.w.Header().Set("Location", to)
	s.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// then is redirect after what succeeded.
func (s *call) then(err error, query string, segments ...string) error {
	if err != nil {
		return err
	}
	return s.redirect(query, segments...)
}
