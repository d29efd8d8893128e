package console

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// join returns the address of a page.
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

// isMarked reports whether an id gets a tilde before it in an address. Escaped or
// not, browsers resolve "." and ".." in a path (WHATWG URL, "double-dot path
// segment"), and http.ServeMux treats "/" as the end of the path. Ids that look
// like a marked id get a tilde as well, so that no two ids share an address.
func isMarked(id string) bool {
	switch strings.TrimLeft(id, "~") {
	case ".", "..", "/":
		return true
	}
	return false
}

// inPath returns the id in the path, by its name in the pattern. It is a copy, because
// some servers reuse the memory of a request (fasthttp).
func (s *call) inPath(name string) string {
	segment := strings.Clone(s.r.PathValue(name))
	if id, marked := strings.CutPrefix(segment, "~"); marked && isMarked(id) {
		return id
	}
	return segment
}

func (s *call) workspace() string { return s.inPath("workspace") }
func (s *call) key() string       { return s.inPath("key") }
func (s *call) secret() string    { return s.inPath("secret") }

// root is the relative address of the console's first page, with a slash at its
// end. If the browser has that page without the slash, the address names the end of
// the prefix, which only RequestURI has.
func (s *call) root() string {
	up := strings.Count(s.r.URL.EscapedPath(), "/") - 1
	if at, _, _ := strings.Cut(s.r.RequestURI, "?"); up < 0 && !strings.HasSuffix(at, "/") {
		return "./" + path.Base(at) + "/"
	}
	return "./" + strings.Repeat("../", max(up, 0))
}

// redirect sends the browser to another page of the console. The address is
// relative (RFC 9110, section 10.2.2), so that it works under any prefix.
func (s *call) redirect(query string, segments ...string) error {
	to := join(s.root(), segments...)
	if query != "" {
		to += "?" + query
	}
	s.w.Header().Set("Location", to)
	s.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// then redirects if err is nil.
func (s *call) then(err error, query string, segments ...string) error {
	if err != nil {
		return err
	}
	return s.redirect(query, segments...)
}

// pageSize is the number of entries on a page of a list.
const pageSize = 50

// pager holds the queries of the first page, empty on that page, and of the next
// page, empty on the last one. There is no link to the previous page: the browser's
// back button leads there. Filter has the query of the list without its place.
type pager struct {
	First, Next string
	Filter      url.Values
}

// Filtered reports whether the query leaves entries out.
func (p pager) Filtered() bool { return len(without(p.Filter, "sort")) > 0 }

// after returns the cursor after which the page begins, or nil for the first page.
// An invalid cursor leads to the first page.
func (s *call) after() (place *store.KeyCursor) {
	text, ok := request.Open(s.c.cfg.Key, s.r.URL.Query().Get("cursor"), s.list()...)
	if !ok || json.Unmarshal(text, &place) != nil {
		return nil
	}
	return place
}

// pager returns the links of the page after a cursor; next is nil on the last page.
// A cursor is sealed, so that a person cannot make one and learn from it where other
// keys are in the order.
func (s *call) pager(after, next *store.KeyCursor) (p pager) {
	values := without(s.r.URL.Query(), "cursor", "done")
	p.Filter = maps.Clone(values)
	if after != nil {
		p.First = "?" + values.Encode()
	}
	if next != nil {
		text, _ := json.Marshal(next) //nolint:errcheck // strings and times always marshal
		values.Set("cursor", request.Seal(s.c.cfg.Key, text, s.list()...))
		p.Next = "?" + values.Encode()
	}
	return p
}

// list returns the texts that a cursor is bound to.
func (s *call) list() []string { return s.bound("cursor", s.r.Pattern, s.workspace()) }

// without returns the parameters of a query that are not empty, except those named.
func without(values url.Values, names ...string) url.Values {
	kept := maps.Clone(values)
	maps.DeleteFunc(kept, func(name string, _ []string) bool { return slices.Contains(names, name) || values.Get(name) == "" })
	return kept
}
