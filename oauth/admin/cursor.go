package admin

import (
	"encoding/json"
	"maps"
	"strconv"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// cursor seals a place, if there is one, for the same actor, list and filter. The place is no
// secret, for the caller just saw the key that it names; but a place of the
// caller's own making would let him ask where others' keys lie.
func (c *call) cursor(p *store.KeyCursor) (*string, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // null in the answer is: the last page
	}
	text, err := json.Marshal(p)
	sealed := request.Seal(c.h.cfg.CursorKey, text, c.list()...)
	return &sealed, err
}

// readPage reads which page of a list is asked for. Other routes know no such
// parameters.
func (c *call) readPage() error {
	if text := c.query.Get("limit"); text != "" {
		var err error
		if c.limit, err = strconv.Atoi(text); err != nil || c.limit < 1 || c.limit > store.MaxPage {
			c.bad.add("limit", "It must be a number from 1 to "+strconv.Itoa(store.MaxPage)+".")
		}
	}
	sealed := c.query.Get("cursor")
	if sealed == "" {
		return c.bad.orNil()
	}
	text, ok := request.Open(c.h.cfg.CursorKey, sealed, c.list()...)
	if !ok || json.Unmarshal(text, &c.after) != nil {
		c.bad.add("cursor", "It is not a cursor of this list, or not one of yours. Begin with the first page.")
	}
	return c.bad.orNil()
}

// list is what a cursor is bound to.
func (c *call) list() []string {
	actor := c.actor.Ref()
	filter := maps.Clone(c.query)
	filter.Del("cursor")
	filter.Del("limit") // pages may differ in size
	return []string{"latchkey cursor", actor.Kind, actor.ID, c.name(), c.workspace(), filter.Encode()}
}
