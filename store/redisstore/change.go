package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// change is a script that begins with change.lua, with its arguments.
type change struct {
	script       *script
	workspace    string // the workspace whose sorted sets the script changes, or ""
	with         store.Change
	notification *store.Notification
	args         []any
	extra        []string // further Redis keys
}

// apply executes a change, and waits until as many replicas have it as the configuration
// requires.
func (db *Driver) apply(ctx context.Context, c change) error {
	write, need := db.call(c), db.cfg.WaitReplicas
	if need == 0 && db.replicated.Load() {
		need = 1
	}
	replicated, err := db.sendChange(ctx, write, need)
	if err == nil && replicated && need == 0 {
		// This process sees a replica for the first time. The change is sent again. It
		// is made only once, but gives WAIT a write to wait for (see change.lua).
		_, err = db.sendChange(ctx, write, 1)
	}
	return err
}

// sendChange sends a change and waits for need replicas. With the default configuration
// it also reports whether the server has replicas; without any, it does not fail.
func (db *Driver) sendChange(ctx context.Context, write *call, need int) (replicated bool, err error) {
	calls := []*call{write}
	wait, role := command("wait", need, db.cfg.WaitTimeout.Milliseconds()), command("role")
	if need > 0 {
		calls = append(calls, wait)
	}
	if db.cfg.WaitReplicas == 0 {
		role.ignored = []string{"unknown command"} // managed services may hide replicas
		calls = append(calls, role)
	}
	if err := db.send(ctx, calls...); err != nil {
		return false, err
	}
	if err := statusError(write.text()); err != nil {
		return false, err
	}
	if db.cfg.WaitReplicas == 0 {
		replicated = hasReplicas(role)
		db.replicated.Store(replicated)
	}
	if got := int(wait.int()); got < need && (replicated || db.cfg.WaitReplicas > 0) {
		return false, fmt.Errorf("%d of %d replicas confirmed: %w", got, need, store.ErrUnavailable)
	}
	return replicated, nil
}

// hasReplicas reads the answer to ROLE. A master lists the replicas that have completed
// their first synchronization. Other replicas cannot confirm and cannot take over.
func hasReplicas(role *call) bool {
	answer := role.list()
	if len(answer) < 3 {
		return false
	}
	replicas, _ := answer[2].([]any) // on a replica, this is its master's port
	return len(replicas) > 0
}

// inBatches repeats a script that handles up to a batch of records until it handles
// fewer. It returns how many records were handled.
func (db *Driver) inBatches(ctx context.Context, c change) (handled int, err error) {
	for {
		step := db.call(c)
		if err := db.send(ctx, step); err != nil {
			return handled, err
		}
		if handled += int(step.int()); step.int() < batch {
			return handled, nil
		}
	}
}

// call returns the call of a change's script; see change.lua.
func (db *Driver) call(c change) *call {
	l, request := db.layout, rand.Text()
	// A change without a one-time id passes another key in its place.
	once, value, life := l.receipt(request), "", int64(0)
	if id := c.with.Once; id != nil {
		once, value, life = l.once(id.Space, id.ID), sortable(id.Expires)+" "+escape(id.Value), timeToLive(id.Expires, c.with.Now)
	}
	notification := "" // or the text that change.lua publishes after the number
	if n := c.notification; n != nil {
		kind := int(n.Kind)
		notification = encode(&kind, &n.Workspace, &n.Key, &n.Token)
	}
	keys := l.changeKeys(c.workspace, request, once)
	args := []any{l.channel(), notification, request, sortable(c.with.Now), value, life, len(c.with.Preconditions)}
	for _, p := range c.with.Preconditions {
		kind, name := "settings", settingsField(p.Workspace)
		if p.Key != "" {
			kind, name = "key", p.Key
		}
		args = append(args, kind, name, p.Version)
	}
	args = append(args, len(c.with.Events))
	for i := range c.with.Events {
		e := &c.with.Events[i]
		args = append(args, e.ID, sortable(e.Time)+e.ID, encodeEvent(e), l.logKeyIndex(&keys, e.Workspace))
	}
	keys = append(keys, c.extra...)
	return evaluate(c.script, keys, append(args, c.args...)...)
}

// logKeyIndex adds the log of a workspace to a script's keys, and returns its index among
// them, from 1. Without a workspace it returns 0.
func (l layout) logKeyIndex(keys *[]string, workspace string) int {
	if workspace == "" {
		return 0
	}
	*keys = append(*keys, l.order(workspace, "log"))
	return len(*keys)
}

// skew is how long expired data is kept, for callers whose clocks run behind. A caller
// whose clock is an hour behind could spend a one-time id again from ten minutes after
// its expiry.
const skew = 10 * time.Minute

// timeToLive returns how long to keep data that expires at end, in milliseconds: at most
// a century, which Redis can represent. See lifetime in change.lua.
func timeToLive(end, now time.Time) int64 {
	const century = 100 * 365 * 24 * time.Hour
	return (min(max(end.Sub(now), 0), century-skew) + skew).Milliseconds()
}
