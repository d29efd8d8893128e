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

// join returns the address of the page that has the given path segments below root.
func join(root string, segments ...string) string {
	escaped := make([]string, len(segments))
	for i, segment := range segments {
		if needsTilde(segment) {
			segment = "~" + segment
		}
		escaped[i] = url.PathEscape(segment)
	}
	return root + strings.Join(escaped, "/")
}

// needsTilde reports whether an id needs a tilde before it in an address. Browsers
// resolve "." and ".." in a path, escaped or not (WHATWG URL, "double-dot path
// segment"), and http.ServeMux treats "/" as the end of the path. Ids that look as if
// they already had the tilde get another one, so that no two ids share an address.
func needsTilde(id string) bool {
	switch strings.TrimLeft(id, "~") {
	case ".", "..", "/":
		return true
	}
	return false
}

// pathID returns the id that the path holds for a wildcard of the route's pattern. It
// is a copy, because some servers (fasthttp) reuse the memory of a request.
func (s *call) pathID(name string) string {
	segment := strings.Clone(s.r.PathValue(name))
	if id, found := strings.CutPrefix(segment, "~"); found && needsTilde(id) {
		return id
	}
	return segment
}

func (s *call) workspace() string { return s.pathID("workspace") }
func (s *call) key() string       { return s.pathID("key") }

// root returns the relative address of the console's first page. It ends with a slash.
// If the browser opened the first page without that slash, relative addresses begin at
// the parent of the prefix. Then root begins with the last segment of the prefix, which
// only RequestURI still holds.
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

// redirectUnless returns err, or redirects if err is nil.
func (s *call) redirectUnless(err error, query string, segments ...string) error {
	if err != nil {
		return err
	}
	return s.redirect(query, segments...)
}

// pageSize is the number of entries on a page of a list.
const pageSize = 50

// pager holds the links of a list: the query of its first page (empty on the first page)
// and the query of the next page (empty on the last page). There is no link to the
// previous page: the browser's back button leads there. Filter is the query without the
// cursor.
type pager struct {
	First, Next string
	Filter      url.Values
}

// Filtered reports whether the query leaves entries out.
func (p pager) Filtered() bool { return len(without(p.Filter, "sort")) > 0 }

// after returns the cursor after which the page begins, or nil for the first page.
// An invalid cursor leads to the first page.
func (s *call) after() (place *store.KeyCursor) {
	text, ok := request.Open(s.c.cfg.Key, s.r.URL.Query().Get("cursor"), s.cursorContext()...)
	if !ok || json.Unmarshal(text, &place) != nil {
		return nil
	}
	return place
}

// pager returns the links of the page that begins after a cursor; next is nil on the
// last page. Cursors are signed: a person who could make cursors could find out the
// position that a key has in a list, even if they may not see the key.
func (s *call) pager(after, next *store.KeyCursor) (p pager) {
	values := without(s.r.URL.Query(), "cursor", "done")
	p.Filter = maps.Clone(values)
	if after != nil {
		p.First = "?" + values.Encode()
	}
	if next != nil {
		text, _ := json.Marshal(next) //nolint:errcheck // strings and times always marshal
		values.Set("cursor", request.Seal(s.c.cfg.Key, text, s.cursorContext()...))
		p.Next = "?" + values.Encode()
	}
	return p
}

// cursorContext returns the context that a cursor is signed with: it is valid only for the
// same person, list and workspace.
func (s *call) cursorContext() []string { return s.signedContext("cursor", s.r.Pattern, s.workspace()) }

// without returns the parameters of a query that are not empty, except those named.
func without(values url.Values, names ...string) url.Values {
	kept := maps.Clone(values)
	maps.DeleteFunc(kept, func(name string, _ []string) bool { return slices.Contains(names, name) || values.Get(name) == "" })
	return kept
}
