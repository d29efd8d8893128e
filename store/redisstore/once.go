package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// A one-time id is kept as "state request space expires value". It is spent,
// or reserved for the change of that request in that space, which leaves a
// receipt there with the change itself.
const (
	spent    = "spent"
	reserved = "reserved"
)

// skew is how long what has an end is kept beyond it, for callers whose clocks
// run behind.
const skew = 10 * time.Minute

// keepUntil is the time to live, in milliseconds, of what ends at the given
// instant: a century at most, which Redis can count.
func keepUntil(end, now time.Time) int64 {
	const century = 100 * 365 * 24 * time.Hour
	return (min(max(end.Sub(now), 0), century) + skew).Milliseconds()
}

func onceValue(state, request string, s space, id *store.OnceID) string {
	expires := id.Expires.UnixMicro()
	return state + " " + request + " " + string(s) + " " + strconv.FormatInt(expires, 10) + " " + escape(id.Value)
}

// onceIDs implements store.OnceIDs.
type onceIDs struct{ db *database }

// Spend implements store.OnceIDs.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fail("spend one-time id", err)
	}
	if err := o.db.spend(ctx, &id, now, onceValue(spent, newRequest(), "-", &id)); err != nil {
		return fail("spend one-time id", err)
	}
	return nil
}

// spend writes the value, whether spent or reserved, unless the id was spent.
func (db *database) spend(ctx context.Context, id *store.OnceID, now time.Time, value string) error {
	key, free := db.layout.once(id.Space, id.ID), ""
	for n := range 2 * patience {
		c := evaluate(db.scripts.once, []string{key}, value, now.UnixMicro(), keepUntil(id.Expires, now), free)
		if err := db.runDurably(ctx, c); err != nil {
			return err
		}
		found := c.text()
		if found == "ok" {
			return nil
		}
		// Past half the patience, the other's change is made impossible.
		made, err := db.settle(ctx, key, found, n >= patience)
		if err != nil {
			return err
		}
		if made {
			return store.ErrExists
		}
		if n < patience {
			if err := pause(ctx, n); err != nil {
				return outageOf(ctx, err)
			}
		}
	}
	return fmt.Errorf("another use of the one-time id is not finished: %w", store.ErrUnavailable)
}

// settle finds out whether the change was made that a value is reserved for,
// and writes down what it found. With fence it does not wait: a change not
// made by now never will be.
func (db *database) settle(ctx context.Context, key, value string, fence bool) (made bool, err error) {
	w := words{text: value}
	state, request, s := w.next(), w.next(), space(w.next())
	if state == spent {
		return true, nil
	}
	expires := w.next()
	receipt := db.layout.receipt(s, request)
	var c *call
	if fence {
		left := command("pttl", key)
		if err := db.run(ctx, left); err != nil {
			return false, err
		}
		c = evaluate(db.scripts.fence, []string{receipt}, max(left.int(), skew.Milliseconds()))
		if err := db.runDurably(ctx, c); err != nil {
			return false, err
		}
	} else {
		c = command("get", receipt)
		if err := db.run(ctx, c); err != nil {
			return false, err
		}
	}
	after := ""
	switch c.text() {
	case "done":
		after, made = spent+" "+request+" "+string(s)+" "+expires+" "+w.text, true
	case "void":
	default:
		return false, nil
	}
	// Where the value has changed by now, its own writer has settled it: a
	// void receipt may then stand for a change whose receipt was cleared.
	if err := db.run(ctx, db.swap(key, value, after)); err != nil {
		return false, err
	}
	return made, nil
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	if err := ctx.Err(); err != nil {
		return store.OnceID{}, fail("find one-time id", err)
	}
	found, err := o.find(ctx, space, id, now)
	if err != nil {
		return store.OnceID{}, fail("find one-time id", err)
	}
	return found, nil
}

func (o *onceIDs) find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	key, before := o.db.layout.once(space, id), ""
	for range patience {
		c := command("get", key)
		if err := o.db.run(ctx, c); err != nil {
			return store.OnceID{}, err
		}
		// Still reserved without a receipt, as a moment ago: not spent. The
		// second look rules out a receipt cleared in between.
		if c.missing() || c.text() == before {
			return store.OnceID{}, store.ErrNotFound
		}
		w := words{text: c.text()}
		w.next()
		w.next()
		w.next()
		expires := w.number()
		if w.failed || expires <= now.UnixMicro() {
			return store.OnceID{}, store.ErrNotFound
		}
		made, err := o.db.settle(ctx, key, c.text(), false)
		if err != nil {
			return store.OnceID{}, err
		}
		if made {
			return store.OnceID{Space: space, ID: id, Value: w.word(), Expires: time.UnixMicro(expires).UTC()}, nil
		}
		before = c.text()
	}
	return store.OnceID{}, store.ErrUnavailable
}
