package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// change is one script that begins with change.lua, and what it takes.
type change struct {
	script    *script
	workspace string // whose orders the script changes, or ""
	with      store.Change
	notice    *store.Notice
	args      []any
	extra     []string // further keys
}

// make carries a change out and waits for the replicas that the configuration
// asks for.
func (db *database) make(ctx context.Context, c change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.durably(ctx, db.call(c))
}

// call makes the script of a change, see change.lua.
func (db *database) call(c change) *call {
	l, request := db.layout, newRequest()
	// A change without a one-time id has no key for it; any other stands in.
	once, value, life := l.receipt(request), "", int64(0)
	if id := c.with.Once; id != nil {
		once, value, life = l.once(id.Space, id.ID), sortable(id.Expires)+" "+escape(id.Value), keepUntil(id.Expires, c.with.Now)
	}
	notice := ""
	if c.notice != nil {
		notice = noticeText(c.notice)
	}
	keys := l.changed(c.workspace, request, once)
	args := []any{l.channel(), notice, request, sortable(c.with.Now), value, life, len(c.with.If)}
	for _, p := range c.with.If {
		kind, name := "settings", settingsField(p.Workspace)
		if p.Key != "" {
			kind, name = "key", p.Key
		}
		args = append(args, kind, name, p.Version)
	}
	args = append(args, len(c.with.Events))
	for i := range c.with.Events {
		e := &c.with.Events[i]
		args = append(args, e.ID, sortable(e.Time)+e.ID, encodeEvent(e), l.logNumber(&keys, e.Workspace))
	}
	keys = append(keys, c.extra...)
	return evaluate(c.script, keys, append(args, c.args...)...)
}

// logNumber adds the log of a workspace to a script's keys, and returns its place
// among them, from 1; without a workspace 0.
func (l layout) logNumber(keys *[]string, workspace string) int {
	if workspace == "" {
		return 0
	}
	name := l.log(workspace)
	if i := slices.Index(*keys, name); i >= 0 {
		return i + 1
	}
	*keys = append(*keys, name)
	return len(*keys)
}

// skew is how long what has an end is kept beyond it, for callers whose clocks
// run behind.
const skew = 10 * time.Minute

// keepUntil is how long to keep what ends at the given instant, in milliseconds: a
// century at most, which Redis can count. See lifetime in change.lua.
func keepUntil(end, now time.Time) int64 {
	const century = 100 * 365 * 24 * time.Hour
	return (min(max(end.Sub(now), 0), century-skew) + skew).Milliseconds()
}

// durably sends one call, which writes, and waits until as many replicas have it as
// the configuration asks for.
func (db *database) durably(ctx context.Context, c *call) error {
	server, err := db.recordsServer(ctx)
	if err != nil {
		return db.failure(ctx, err)
	}
	need, addr := max(db.wait, 0), server.Options().Addr
	if _, followed := db.followed.Load(addr); followed {
		need = max(need, 1)
	}
	wait := db.waiting(need)
	info := command("info", "replication")
	info.harmless = anyError // a server that does not tell has no replicas that we know of; Check says so
	calls := []*call{c}
	if need > 0 {
		calls = append(calls, wait)
	}
	if db.wait == 0 {
		calls = append(calls, info)
	}
	if err := db.send(ctx, calls...); err != nil {
		return err
	}
	if err := statusError(c.text()); err != nil {
		return err
	}
	if db.wait == 0 && replicas(info.text()) == 0 {
		db.followed.Delete(addr)
		return nil
	}
	if db.wait == 0 && need == 0 {
		// The first replica that this process sees here. WAIT speaks of the last
		// write of its own connection, so one goes with it.
		db.followed.Store(addr, true)
		need, wait = 1, db.waiting(1)
		if err := db.send(ctx, command("set", db.layout.record("waited"), "1", "px", skew.Milliseconds()), wait); err != nil {
			return err
		}
	}
	if need > 0 && wait.int() < int64(need) {
		return fmt.Errorf("%d of %d replicas confirmed: %w", wait.int(), need, store.ErrUnavailable)
	}
	return nil
}

func (db *database) waiting(replicas int) *call {
	return command("wait", replicas, db.waitTimeout.Milliseconds())
}

// replicas counts those in an answer to INFO that have their first copy: one
// that is still getting it can confirm nothing, and cannot take over.
func replicas(info string) int { return strings.Count(info, ",state=online,") }

// noticeText is a notice as it is published; change.lua puts a number before it.
func noticeText(n *store.Notice) string {
	workspace := escape(n.Workspace)
	if n.Kind == store.NoticeKey && workspace == "" {
		workspace = "?" // rehash.lua knows it
	}
	return strconv.Itoa(int(n.Kind)) + " " + workspace + " " + escape(n.Key) + " " + escape(n.Token)
}
