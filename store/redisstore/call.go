package redisstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// call is one script or one plain command to be sent.
type call struct {
	script *script // or nil for a plain command
	keys   []string
	args   []any // of a plain command: all of it
	// harmless are the beginnings of errors that say nothing about the other calls
	// of the pipeline.
	harmless []string
	cmd      *redis.Cmd // empty until the call is sent
}

func evaluate(s *script, keys []string, args ...any) *call {
	return &call{script: s, keys: keys, args: args, cmd: new(redis.Cmd)}
}

func command(args ...any) *call { return &call{args: args, cmd: new(redis.Cmd)} }

// failed is the call's failure.
func (c *call) failed() error {
	err := c.cmd.Err()
	if err == nil || c.missing() || slices.ContainsFunc(c.harmless, func(code string) bool { return redis.HasErrorPrefix(err, code) }) {
		return nil
	}
	return err
}

// add adds the call to a pipeline, by its script's hash or with its text.
func (c *call) add(ctx context.Context, p redis.Pipeliner, text bool) {
	switch {
	case c.script == nil:
		c.cmd = p.Do(ctx, c.args...)
	case text:
		c.cmd = c.script.Eval(ctx, p, c.keys, c.args...)
	default:
		c.cmd = c.script.EvalSha(ctx, p, c.keys, c.args...)
	}
}

// unknown reports whether the server had forgotten the script and so ran
// nothing.
func (c *call) unknown() bool {
	return c.script != nil && redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT")
}

// displaced reports whether the server ran nothing because it does not hold the
// slot, or not all of it while it moves (Redis Cluster specification, "ASK redirection"
// and "Multiple keys operations").
func (c *call) displaced() bool {
	return slices.ContainsFunc([]string{"TRYAGAIN", "ASK", "MOVED"}, func(code string) bool {
		return redis.HasErrorPrefix(c.cmd.Err(), code)
	})
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

// list is an answer of several parts. Of a hash, it is fields and values.
func (c *call) list() []any {
	switch answer := c.cmd.Val().(type) {
	case []any:
		return answer
	case map[any]any:
		list := make([]any, 0, 2*len(answer))
		for field, value := range answer {
			list = append(list, field, value)
		}
		return list
	}
	return nil
}

// texts are the answer's parts, "" for those that are missing.
func (c *call) texts() []string {
	list := c.list()
	texts := make([]string, len(list))
	for i := range list {
		texts[i], _ = list[i].(string)
	}
	return texts
}

// send sends calls to the server of the records, in one pipeline, and returns the
// first failure. It adds the deletion of a key that never exists. A server refuses
// that write if it was demoted, or if its replicas have left (min-replicas-to-write):
// then its answers may be out of date, and the calls fail. A server whose memory or disk
// is full refuses it too, but its answers count.
func (db *Driver) send(ctx context.Context, calls ...*call) error {
	check := command("del", db.layout.record("never"))
	check.harmless = []string{"OOM", "MISCONF"}
	return db.sendTo(ctx, db.recordsServer, append(slices.Clip(calls), check))
}

// spread sends calls to the servers that hold their keys.
func (db *Driver) spread(ctx context.Context, calls ...*call) error {
	return db.sendTo(ctx, func(context.Context) (redis.UniversalClient, error) { return db.client, nil }, calls)
}

func (db *Driver) recordsServer(ctx context.Context) (redis.UniversalClient, error) {
	if cluster, ok := db.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, db.layout.keys())
	}
	return db.client, nil
}

// maxDisplaced bounds how often calls are sent again while their slot moves: for about
// six seconds, unless the context ends before.
const maxDisplaced = 100

// sendTo sends calls to the server that find returns. They are sent again if the server
// had forgotten a script or did not hold the slot; so each must be one that can be
// repeated.
func (db *Driver) sendTo(ctx context.Context, find func(context.Context) (redis.UniversalClient, error), calls []*call) error {
	if err := ctx.Err(); err != nil || len(calls) == 0 {
		return err
	}
	for n := 0; ; n++ {
		server, err := find(ctx)
		if err != nil {
			return db.failure(ctx, err, nil)
		}
		exec(ctx, server.Pipeline(), calls, false)
		if slices.ContainsFunc(calls, (*call).unknown) {
			exec(ctx, server.Pipeline(), calls, true)
		}
		i := slices.IndexFunc(calls, func(c *call) bool { return c.failed() != nil })
		if i < 0 {
			return nil
		}
		err = db.failure(ctx, calls[i].failed(), calls[i].script)
		if n == maxDisplaced || !slices.ContainsFunc(calls, (*call).displaced) || pause(ctx, time.Millisecond<<min(n, 6)) != nil {
			return err
		}
	}
}

func exec(ctx context.Context, p redis.Pipeliner, calls []*call, text bool) {
	for _, c := range calls {
		c.add(ctx, p, text)
	}
	_, err := p.Exec(ctx)
	for _, c := range calls {
		// The client gives no command an error where the server refused the
		// connection, as for a wrong password. An answer is never nil.
		if c.cmd.Err() == nil && c.cmd.Val() == nil {
			c.cmd.SetErr(fmt.Errorf("no answer: %w", err))
		}
	}
}

// pause returns the context's error if that ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
