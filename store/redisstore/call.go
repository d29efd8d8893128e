package redisstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
)

// call is one script or one plain command to be sent.
type call struct {
	script *script // or nil for a plain command
	keys   []string
	args   []any // of a plain command: all of it
	master bool  // it only asks whether the server takes writes
	cmd    *redis.Cmd
}

func evaluate(s *script, keys []string, args ...any) *call {
	return &call{script: s, keys: keys, args: args}
}

func command(args ...any) *call { return &call{args: args} }

// masters go with reads that decide, one in the slot of each of the given keys:
// they delete what never is there, which a server refuses that was demoted, or
// that its replicas have left (min-replicas-to-write). What such a server says
// may be long out of date. Outside a Cluster one server holds all slots.
//
// They go before scripts: the client sends a pipeline anew whose first command
// was refused with TRYAGAIN, along with what it already follows by an ASK.
func (db *database) masters(keys ...string) []*call {
	if _, ok := db.client.(*redis.ClusterClient); !ok {
		keys = keys[:1]
	}
	calls := make([]*call, len(keys))
	for i, key := range keys {
		calls[i] = &call{args: []any{"del", db.layout.beside(key, "never")}, master: true}
	}
	return calls
}

// failed is the call's failure. A server that takes no writes because its memory
// or disk is full still answers reads.
func (c *call) failed() error {
	err := c.cmd.Err()
	if err == nil || c.missing() {
		return nil
	}
	if c.master && (redis.HasErrorPrefix(err, "OOM") || redis.HasErrorPrefix(err, "MISCONF")) {
		return nil
	}
	return err
}

// send adds the call to a pipeline, by its script's hash or with its text.
func (c *call) send(ctx context.Context, p redis.Pipeliner, text bool) {
	if c.script == nil {
		c.cmd = p.Do(ctx, c.args...)
		return
	}
	all := make([]any, 0, 3+len(c.keys)+len(c.args))
	if text {
		all = append(all, "eval", c.script.text)
	} else {
		all = append(all, "evalsha", c.script.hash)
	}
	all = append(all, len(c.keys))
	for _, key := range c.keys {
		all = append(all, key)
	}
	c.cmd = p.Do(ctx, append(all, c.args...)...)
}

// unknown reports whether the server had forgotten the script and so ran
// nothing.
func (c *call) unknown() bool {
	return c.script != nil && c.cmd.Err() != nil && redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT")
}

// displaced reports whether the server ran nothing because the slot is on its
// way to another (Redis Cluster specification, "ASK redirection" and "Multiple
// keys operations"): until it has moved, what takes several keys of which one
// is not there, as it often is, is refused by both.
func (c *call) displaced() bool {
	err := c.cmd.Err()
	return err != nil && (redis.HasErrorPrefix(err, "TRYAGAIN") || redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "MOVED"))
}

// missing reports whether the answer is nil.
func (c *call) missing() bool { return c.cmd.Err() == redis.Nil } //nolint:errorlint // go-redis returns it bare

func (c *call) text() string {
	text, _ := c.cmd.Val().(string)
	return text
}

func (c *call) int() int64 {
	n, _ := c.cmd.Val().(int64)
	return n
}

func (c *call) list() []any {
	list, _ := c.cmd.Val().([]any)
	return list
}

// run sends the calls at once, in a Cluster to each node its part, and returns
// the first failure. It says nothing of which of the others were carried out.
func (db *database) run(ctx context.Context, calls ...*call) error {
	if len(calls) == 0 {
		return nil
	}
	return db.runOn(ctx, db.client.Pipeline, calls)
}

func (db *database) runOn(ctx context.Context, pipeline func() redis.Pipeliner, calls []*call) error {
	left := calls
	for n := 0; ; n++ {
		exec(ctx, pipeline(), left, false)
		if forgotten := those(left, (*call).unknown); len(forgotten) > 0 {
			exec(ctx, pipeline(), forgotten, true)
		}
		left = those(left, (*call).displaced)
		if len(left) == 0 || n == onItsWay || pause(ctx, n) != nil {
			return db.rerouted(ctx, firstFailure(ctx, calls))
		}
	}
}

// rerouted passes a failure on, and has the client of a Cluster ask anew who
// holds what. By itself it does so where it is sent elsewhere, which a master
// that died does not do, and once a minute.
func (db *database) rerouted(ctx context.Context, failure error) error {
	if cluster, ok := db.client.(*redis.ClusterClient); ok && failure != nil {
		cluster.ReloadState(ctx)
	}
	return failure
}

// onItsWay is how often a call looks whether its slot has arrived: for about six
// seconds, unless its caller's time ends before.
const onItsWay = 100

func those(calls []*call, are func(*call) bool) []*call {
	var found []*call
	for _, c := range calls {
		if are(c) {
			found = append(found, c)
		}
	}
	return found
}

func exec(ctx context.Context, p redis.Pipeliner, calls []*call, text bool) {
	for _, c := range calls {
		c.send(ctx, p, text)
	}
	_, _ = p.Exec(ctx) //nolint:errcheck // each call has its own error
}

func firstFailure(ctx context.Context, calls []*call) error {
	for _, c := range calls {
		if err := c.failed(); err != nil {
			return outageOf(ctx, err)
		}
	}
	return nil
}

// runDurably sends one call and waits until as many replicas have it as the
// configuration asks for.
func (db *database) runDurably(ctx context.Context, c *call) error {
	if db.wait == WaitNever {
		return db.run(ctx, c)
	}
	for n := range onItsWay {
		displaced, err := db.runAndWait(ctx, c)
		if !displaced {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return outageOf(ctx, err)
		}
	}
	return fmt.Errorf("the slot keeps moving: %w", store.ErrUnavailable)
}

// runAndWait sends the call and WAIT in one pipeline to one node. WAIT speaks of
// the last write of its own connection, which is none where the client had to
// send the call again: a write between both carries what came before it.
func (db *database) runAndWait(ctx context.Context, c *call) (displaced bool, err error) {
	node, err := db.node(ctx, c.keys[0])
	if err != nil {
		return false, outageOf(ctx, err)
	}
	info := command("info", "replication")
	addr := node.Options().Addr
	_, followed := db.followed.Load(addr)
	need := db.wait
	if need == 0 && followed {
		need = 1
	}
	write, wait := db.waiting(c.keys[0], need)
	asked := []*call{c}
	if need > 0 {
		asked = append(asked, write, wait)
	}
	if db.wait == 0 {
		asked = append(asked, info)
	}
	exec(ctx, node.Pipeline(), asked, false)
	if c.unknown() {
		exec(ctx, node.Pipeline(), asked, true)
	}
	if c.displaced() {
		return true, db.rerouted(ctx, outageOf(ctx, c.cmd.Err()))
	}
	if err := db.rerouted(ctx, firstFailure(ctx, []*call{c})); err != nil {
		return false, err
	}
	if db.wait == 0 {
		// A server that keeps INFO from us has none that we know of; Check
		// tells so.
		switch n := replicas(info.text()); {
		case n == 0:
			db.followed.Delete(addr)
			return false, nil
		case !followed:
			// The first replica that this process sees here.
			db.followed.Store(addr, true)
			need = 1
			write, wait = db.waiting(c.keys[0], need)
			exec(ctx, node.Pipeline(), []*call{write, wait}, false)
		}
	}
	if need == 0 {
		return false, nil
	}
	if err := firstFailure(ctx, []*call{wait}); err != nil {
		return false, err
	}
	if wait.int() < int64(need) {
		return false, fmt.Errorf("%d of %d replicas confirmed: %w", wait.int(), need, store.ErrUnavailable)
	}
	return false, nil
}

func (db *database) waiting(key string, replicas int) (write, wait *call) {
	return command("set", db.layout.beside(key, "waited"), "1", "px", skew.Milliseconds()),
		command("wait", replicas, db.waitTimeout.Milliseconds())
}

func (db *database) node(ctx context.Context, key string) (*redis.Client, error) {
	switch c := db.client.(type) {
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	case *redis.Client:
		return c, nil
	}
	return nil, store.ErrUnavailable
}

// replicas counts those in an answer to INFO that have their first copy: one
// that is still getting it can confirm nothing, and cannot take over.
func replicas(info string) int { return strings.Count(info, ",state=online,") }
