package console

import (
	"encoding/json"
	"net/url"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

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
