package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash"
	"maps"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// place is a place in any of the lists.
type place struct {
	ID   string    `json:"i"`
	Time time.Time `json:"t,omitzero"`
	Name string    `json:"n,omitempty"`
}

const cursorMAC = 16

// cursor seals a place for the same actor, list and filter. The place is no
// secret, for the caller just saw the key that it names; but a place of the
// caller's own making would let him ask where others' keys lie.
func (c *call) cursor(p place) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.cursorMAC(text), text...)), nil
}

// place opens the request's cursor; nil if there is none.
func (c *call) place(bad *fieldErrors) *place {
	text := c.query.Get("cursor")
	if text == "" {
		return nil
	}
	var p place
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < cursorMAC ||
		base64.RawURLEncoding.EncodeToString(sealed) != text || // it passes over line breaks and spare bits
		!hmac.Equal(sealed[:cursorMAC], c.cursorMAC(sealed[cursorMAC:])) ||
		json.Unmarshal(sealed[cursorMAC:], &p) != nil {
		bad.add("cursor", "It is not a cursor of this list, or not one of yours. Begin with the first page.")
		return nil
	}
	return &p
}

func (c *call) cursorMAC(text []byte) []byte {
	mac := hmac.New(sha256.New, c.h.cfg.CursorKey)
	actor := c.actor.Ref()
	filter := maps.Clone(c.query)
	filter.Del("cursor")
	filter.Del("limit") // pages may differ in size
	writeAll(mac, "latchkey cursor", actor.Kind, actor.ID, c.name(), c.workspace(), filter.Encode(), string(text))
	return mac.Sum(nil)[:cursorMAC]
}

// writeAll writes texts so that no two lists of texts are written alike.
func writeAll(to hash.Hash, texts ...string) {
	var length [8]byte
	for _, text := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		_, _ = to.Write(length[:]) // a hash takes everything
		_, _ = to.Write([]byte(text))
	}
}

// keyCursor and keyPlace move between the store's cursor of keys and the
// caller's.
func (c *call) keyCursor(next *store.KeyCursor) (*string, error) {
	if next == nil {
		return nil, nil //nolint:nilnil // null in the answer is: the last page
	}
	text, err := c.cursor(place{ID: next.ID, Time: next.Time, Name: next.Name})
	return &text, err
}

func (c *call) keyPlace(bad *fieldErrors) *store.KeyCursor {
	p := c.place(bad)
	if p == nil {
		return nil
	}
	return &store.KeyCursor{ID: p.ID, Time: p.Time, Name: p.Name}
}
