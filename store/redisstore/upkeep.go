package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// upkeep implements store.Upkeep.
type upkeep struct{ db *database }

// stretch is how many records one call handles, so that others come in
// between.
const stretch = 500

// Touch implements store.Upkeep.
func (u *upkeep) Touch(ctx context.Context, uses []store.Use) error {
	if err := ctx.Err(); err != nil {
		return fail("record uses", err)
	}
	if err := u.touch(ctx, uses); err != nil {
		return fail("record uses", err)
	}
	return nil
}

func (u *upkeep) touch(ctx context.Context, uses []store.Use) error {
	for len(uses) > 0 {
		n := min(len(uses), stretch)
		places, err := u.db.places(ctx, uses[:n])
		if err != nil {
			return err
		}
		bySpace := make(map[string]*call)
		var calls []*call
		for _, use := range uses[:n] {
			workspace, found := places[use.Key]
			if !found {
				continue
			}
			c := bySpace[workspace]
			if c == nil {
				c = evaluate(u.db.scripts.touch, u.db.layout.all(spaceOf(workspace), ""), "", "", 0)
				bySpace[workspace] = c
				calls = append(calls, c)
			}
			c.args = append(c.args, use.Key, escape(use.Secret), use.At.UnixMicro())
		}
		if err := u.db.run(ctx, calls...); err != nil {
			return err
		}
		uses = uses[n:]
	}
	return nil
}

// places finds the workspaces of many keys in one trip.
func (db *database) places(ctx context.Context, uses []store.Use) (map[string]string, error) {
	places := make(map[string]string, len(uses))
	asked := make(map[string]*call)
	var calls []*call
	for _, use := range uses {
		if workspace, ok := db.known.get(use.Key); ok {
			places[use.Key] = workspace
		} else if asked[use.Key] == nil {
			c := command("get", db.layout.pointer(use.Key))
			asked[use.Key] = c
			calls = append(calls, c)
		}
	}
	if err := db.run(ctx, calls...); err != nil {
		return nil, err
	}
	for id, c := range asked {
		if !c.missing() {
			_, places[id] = splitPointer(c.text())
		}
	}
	return places, nil
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	if err := ctx.Err(); err != nil {
		return fail("replace digest", err)
	}
	if err := u.rehash(ctx, keyID, secretID, from, to); err != nil {
		return fail("replace digest", err)
	}
	return nil
}

func (u *upkeep) rehash(ctx context.Context, keyID, secretID, from, to string) error {
	workspace, remembered, err := u.db.place(ctx, keyID, false)
	if err != nil {
		return err
	}
	try := func() error {
		c := evaluate(u.db.scripts.rehash, u.db.layout.all(spaceOf(workspace), ""), "", "", 0,
			keyID, escape(secretID), escape(from), escape(to))
		return u.db.simple(ctx, c, store.Notice{Kind: store.NoticeKey, Workspace: workspace, Key: keyID})
	}
	err = try()
	if remembered && errors.Is(err, store.ErrNotFound) {
		u.db.known.drop(keyID)
		if workspace, _, err = u.db.place(ctx, keyID, true); err == nil {
			err = try()
		}
	}
	return err
}

// Purge implements store.Upkeep.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("purge deleted keys", err)
	}
	spaces, err := u.db.spaces(ctx)
	if err != nil {
		return 0, fail("purge deleted keys", err)
	}
	purged := 0
	for _, s := range spaces {
		n, err := u.purge(ctx, s, before)
		purged += n
		if err != nil {
			return purged, fail("purge deleted keys", err)
		}
	}
	return purged, nil
}

func (u *upkeep) purge(ctx context.Context, s space, before time.Time) (purged int, err error) {
	cursor := "0"
	for {
		scan := command("hscan", u.db.layout.tombs(s), cursor, "count", stretch)
		if err := u.db.run(ctx, scan); err != nil {
			return purged, err
		}
		answer := scan.list()
		if len(answer) != 2 {
			return purged, errRecord
		}
		c := evaluate(u.db.scripts.purge, u.db.layout.all(s, ""), "", "", 0, before.UnixMicro())
		tombs, _ := answer[1].([]any)
		for i := 0; i < len(tombs); i += 2 {
			c.args = append(c.args, tombs[i])
		}
		if len(tombs) > 0 {
			n, err := u.purgeThese(ctx, s, c)
			purged += n
			if err != nil {
				return purged, err
			}
		}
		if cursor, _ = answer[0].(string); cursor == "0" || cursor == "" {
			return purged, nil
		}
	}
}

// purgeThese removes tombstones, and then the pointers to them: in the other
// order a key made in between would lose its pointer.
func (u *upkeep) purgeThese(ctx context.Context, s space, c *call) (int, error) {
	if err := u.db.run(ctx, c); err != nil {
		return 0, err
	}
	gone := c.list()
	calls := make([]*call, 0, len(gone)/2)
	for i := 0; i+1 < len(gone); i += 2 {
		id, _ := gone[i].(string)
		birth, _ := gone[i+1].(string)
		u.db.known.drop(id)
		calls = append(calls, u.db.swap(u.db.layout.pointer(id), pointerValue(lasting, birth, s.workspace()), ""))
	}
	return len(calls), u.db.run(ctx, calls...)
}

// Clock implements store.Upkeep.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	c := evaluate(u.db.scripts.clock, []string{u.db.layout.stream()})
	if err := u.db.run(ctx, c); err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	var parts [2]int64
	for i, part := range c.list() {
		text, _ := part.(string)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || i == len(parts) {
			return time.Time{}, fail("read the clock", errRecord)
		}
		parts[i] = n
	}
	return time.Unix(parts[0], parts[1]*1000).UTC(), nil
}

// spaces lists the spaces of all workspaces.
func (db *database) spaces(ctx context.Context) ([]space, error) {
	calls := make([]*call, parts)
	for i := range calls {
		calls[i] = command("smembers", db.layout.registry(i))
	}
	if err := db.run(ctx, calls...); err != nil {
		return nil, err
	}
	var spaces []space
	for _, c := range calls {
		for _, member := range c.list() {
			if s, ok := member.(string); ok {
				spaces = append(spaces, space(s))
			}
		}
	}
	return spaces, nil
}
