package console

import (
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// pageSize is how many entries a page of a list has.
const pageSize = 50

// place is a place in any of the lists, behind which a page begins: a
// store.KeyCursor with shorter names.
type place struct {
	ID   string    `json:"i"`
	Time time.Time `json:"t,omitzero"`
	Name string    `json:"n,omitempty"`
}

// way is how a page of a list was come to: the places behind which the pages
// after the first began, up to this one. Lists are read forward only, and so
// the way is what leads back.
type way struct {
	Places []place `json:"p"`
	Lost   int     `json:"l,omitempty"` // places that had no room
}

// maxCursor bounds a cursor, for addresses of more than 8 kB are refused by
// many proxies. There is room for the way through dozens of pages.
const maxCursor = 6 << 10

// here is the place behind which the page begins, or nil on the first.
func (w way) here() *place {
	if len(w.Places) == 0 {
		return nil
	}
	return &w.Places[len(w.Places)-1]
}

// cursor seals a way for this person and list: a place of his own making would
// let him ask where others' keys lie.
func (s *call) cursor(w way) string {
	for {
		text, err := json.Marshal(w)
		if err != nil {
			return ""
		}
		sealed := request.Seal(s.c.cfg.Key, text, s.list()...)
		if len(sealed) <= maxCursor || len(w.Places) == 1 {
			return sealed
		}
		w = way{w.Places[1:], w.Lost + 1}
	}
}

// way opens a cursor; what is none leads to the first page.
func (s *call) way(cursor string) (w way) {
	text, ok := request.Open(s.c.cfg.Key, cursor, s.list()...)
	if !ok || json.Unmarshal(text, &w) != nil {
		return way{}
	}
	return w
}

// list is what a cursor is bound to.
func (s *call) list() []string { return s.bound("cursor", s.r.Pattern, s.workspace()) }

// pager are the ways on from a page of a list: queries, empty where there is
// none.
type pager struct {
	First, Previous, Next string
	Number                int // of this page
}

// pager leads on from the page that w leads to; next is nil on the last.
func (s *call) pager(w way, next *place) pager {
	p := pager{Number: w.Lost + len(w.Places) + 1}
	at := func(to way) string {
		values := without(s.r.URL.Query(), "cursor", "done")
		if len(to.Places) > 0 {
			values.Set("cursor", s.cursor(to))
		}
		return "?" + values.Encode()
	}
	if n := len(w.Places); n > 0 {
		p.First = at(way{})
		if n > 1 || w.Lost == 0 {
			p.Previous = at(way{w.Places[:n-1], w.Lost})
		}
	}
	if next != nil {
		p.Next = at(way{append(slices.Clone(w.Places), *next), w.Lost})
	}
	return p
}

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
