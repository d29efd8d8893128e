package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
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

// pageSize is how many entries a page of a list has.
const pageSize = 50

// pager are the queries that lead on from a page of a list: to the first page, unless
// it is this one, and to the next, if there is one. The way back is the browser's.
type pager struct{ First, Next string }

// after is the place in a list behind which the page begins, nil for the first page.
// What is no cursor leads to the first page.
func (s *call) after() (place *store.KeyCursor) {
	text, ok := request.Open(s.c.cfg.Key, s.r.URL.Query().Get("cursor"), s.list()...)
	if !ok || json.Unmarshal(text, &place) != nil {
		return nil
	}
	return place
}

// pager leads on from the page behind a place; next is nil on the last page. A cursor
// is sealed: a place of the person's own making would tell where others' keys lie.
func (s *call) pager(after, next *store.KeyCursor) (p pager) {
	values := without(s.r.URL.Query(), "cursor", "done")
	if after != nil {
		p.First = "?" + values.Encode()
	}
	if next != nil {
		text, _ := json.Marshal(next) //nolint:errcheck // two texts and an instant
		values.Set("cursor", request.Seal(s.c.cfg.Key, text, s.list()...))
		p.Next = "?" + values.Encode()
	}
	return p
}

// list is what a cursor is bound to.
func (s *call) list() []string { return s.bound("cursor", s.r.Pattern, s.workspace()) }

// without are the parameters of a query that say something, but for those named.
func without(values url.Values, names ...string) url.Values {
	kept := url.Values{}
	for name, list := range values {
		if len(list) > 0 && list[0] != "" {
			kept.Set(name, list[0])
		}
	}
	for _, name := range names {
		kept.Del(name)
	}
	return kept
}
