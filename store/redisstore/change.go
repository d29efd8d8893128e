package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
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

// make carries a change out, and waits until as many replicas have it as the
// configuration asks for.
func (db *Driver) make(ctx context.Context, c change) error {
	made, need := db.call(c), db.cfg.WaitReplicas
	if need == 0 && db.followed.Load() {
		need = 1
	}
	followed, err := db.confirm(ctx, made, need)
	if err == nil && followed && need == 0 {
		// The first replica that this process sees. The change goes out again: it is
		// made once, and gives WAIT something to wait for (see change.lua).
		_, err = db.confirm(ctx, made, 1)
	}
	return err
}

// confirm sends a change, and waits for so many replicas. If the configuration does not
// say how many, it reports whether the server has any, and is content if it has not.
func (db *Driver) confirm(ctx context.Context, made *call, need int) (followed bool, err error) {
	calls := []*call{made}
	wait, role := command("wait", need, db.cfg.WaitTimeout.Milliseconds()), command("role")
	if need > 0 {
		calls = append(calls, wait)
	}
	if db.cfg.WaitReplicas == 0 {
		role.harmless = []string{"unknown command"} // managed services may hide replicas
		calls = append(calls, role)
	}
	if err := db.send(ctx, calls...); err != nil {
		return false, err
	}
	if err := statusError(made.text()); err != nil {
		return false, err
	}
	if db.cfg.WaitReplicas == 0 {
		followed = hasReplicas(role)
		db.followed.Store(followed)
	}
	if got := int(wait.int()); got < need && (followed || db.cfg.WaitReplicas > 0) {
		return false, fmt.Errorf("%d of %d replicas confirmed: %w", got, need, store.ErrUnavailable)
	}
	return followed, nil
}

// hasReplicas reads the answer to ROLE. A master lists there the replicas that have their
// first copy: one that is still getting it can confirm nothing, and cannot take over.
func hasReplicas(role *call) bool {
	answer := role.list()
	if len(answer) < 3 {
		return false
	}
	replicas, _ := answer[2].([]any) // of a replica, its master's port
	return len(replicas) > 0
}

// inSteps repeats a script that takes a batch at most until it finds less, and returns
// how many it took.
func (db *Driver) inSteps(ctx context.Context, c change) (taken int, err error) {
	for {
		step := db.call(c)
		if err := db.send(ctx, step); err != nil {
			return taken, err
		}
		if taken += int(step.int()); step.int() < batch {
			return taken, nil
		}
	}
}

// call makes the script of a change, see change.lua.
func (db *Driver) call(c change) *call {
	l, request := db.layout, rand.Text()
	// A change without a one-time id has no key for it; any other stands in.
	once, value, life := l.receipt(request), "", int64(0)
	if id := c.with.Once; id != nil {
		once, value, life = l.once(id.Space, id.ID), sortable(id.Expires)+" "+escape(id.Value), keepUntil(id.Expires, c.with.Now)
	}
	notice := "" // or what change.lua publishes behind a number
	if n := c.notice; n != nil {
		kind := int(n.Kind)
		notice = encode(&kind, &n.Workspace, &n.Key, &n.Token)
	}
	keys := l.changeKeys(c.workspace, request, once)
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
		args = append(args, e.ID, sortable(e.Time)+e.ID, encode(eventFields(e)...), l.logNumber(&keys, e.Workspace))
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
	*keys = append(*keys, l.order(workspace, "log"))
	return len(*keys)
}

// skew is how long what has an end is kept beyond it, for callers whose clocks
// run behind. One whose clock is an hour behind may find a spent one-time id missing, and
// spend it again, from ten minutes after its end.
const skew = 10 * time.Minute

// keepUntil is how long to keep what ends at the given instant, in milliseconds: a
// century at most, which Redis can count. See lifetime in change.lua.
func keepUntil(end, now time.Time) int64 {
	const century = 100 * 365 * 24 * time.Hour
	return (min(max(end.Sub(now), 0), century-skew) + skew).Milliseconds()
}
