package admin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// onceLifetime is how long an Idempotency-Key is stored.
const onceLifetime = 24 * time.Hour

const maxIdempotencyKey = 255

// onceID returns the one-time id for the request's Idempotency-Key, or nil if the
// request has none. The id depends on the actor, the workspace or key in the
// path, and the route. Its value is a digest of the body. If a request with this
// Idempotency-Key was carried out before, the error is the refusal of repeated.
func (c *call) onceID(ctx context.Context) (*store.OnceID, error) {
	values := c.r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // the header is optional
	}
	if len(values) > 1 || values[0] == "" || len(values[0]) > maxIdempotencyKey || !request.IsPrintable(values[0]) {
		return nil, malformed("There must be one Idempotency-Key header of 1 to 255 printable ASCII characters.", field{Field: "Idempotency-Key", Reason: "It is malformed."})
	}
	actor := c.actor.Ref()
	once := &store.OnceID{
		Space:   "admin.idempotency",
		ID:      request.Digest("latchkey idempotency", actor.Kind, actor.ID, c.routeName(), c.workspace(), c.key(), values[0]),
		Value:   request.Digest(string(c.body.raw))[:32],
		Expires: c.h.keys.Now().Add(onceLifetime),
	}
	return once, c.repeated(ctx, once)
}

// repeated returns a refusal if a request with this id was carried out before. The secret of
// the first request is not stored: a caller that lost it rotates the key.
func (c *call) repeated(ctx context.Context, once *store.OnceID) error {
	if once == nil {
		return nil
	}
	key, before, err := c.h.keys.FindOnce(ctx, *once)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case before != once.Value:
		return &refusal{Kind: answer.IdempotencyMismatch}
	}
	return &refusal{Kind: answer.AlreadyDone, Key: key}
}

// once returns the handler of a route that takes an Idempotency-Key. If serve fails and a
// concurrent request with the same Idempotency-Key was carried out meanwhile, the error is
// the refusal of repeated, since the other one is then only a consequence.
func once(serve func(*Handler, *call) error) func(*Handler, *call) error {
	return func(h *Handler, c *call) (err error) {
		ctx := c.r.Context()
		if c.once, err = c.onceID(ctx); err != nil {
			return err
		}
		if err = serve(h, c); err == nil {
			return nil
		}
		return cmp.Or(c.repeated(ctx, c.once), err)
	}
}
