package admin

import (
	"encoding/json"
	"maps"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// place is a place in any of the lists: a store.KeyCursor with shorter names.
type place struct {
	ID   string    `json:"i"`
	Time time.Time `json:"t,omitzero"`
	Name string    `json:"n,omitempty"`
}

// cursor seals a place, if there is one, for the same actor, list and filter. The place is no
// secret, for the caller just saw the key that it names; but a place of the
// caller's own making would let him ask where others' keys lie.
func (c *call) cursor(p *place) (*string, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // null in the answer is: the last page
	}
	text, err := json.Marshal(p)
	sealed := request.Seal(c.h.cfg.CursorKey, text, c.list()...)
	return &sealed, err
}

// place opens the request's cursor; nil if there is none.
func (c *call) place(bad *fieldErrors) *place {
	sealed := c.query.Get("cursor")
	if sealed == "" {
		return nil
	}
	var p place
	text, ok := request.Open(c.h.cfg.CursorKey, sealed, c.list()...)
	if !ok || json.Unmarshal(text, &p) != nil {
		bad.add("cursor", "It is not a cursor of this list, or not one of yours. Begin with the first page.")
		return nil
	}
	return &p
}

// list is what a cursor is bound to.
func (c *call) list() []string {
	actor := c.actor.Ref()
	filter := maps.Clone(c.query)
	filter.Del("cursor")
	filter.Del("limit") // pages may differ in size
	return []string{"latchkey cursor", actor.Kind, actor.ID, c.name(), c.workspace(), filter.Encode()}
}
