package redisstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// call is a script or a plain command that is sent.
type call struct {
	script *script // or nil for a plain command
	keys   []string
	args   []any // for a plain command, its name and arguments
	// ignored are prefixes of errors that do not fail the pipeline.
	ignored []string
	cmd     *redis.Cmd // empty until the call is sent
}

func evaluate(s *script, keys []string, args ...any) *call {
	return &call{script: s, keys: keys, args: args, cmd: new(redis.Cmd)}
}

func command(args ...any) *call { return &call{args: args, cmd: new(redis.Cmd)} }

// failed returns the call's error. A nil answer and ignored errors are not failures.
func (c *call) failed() error {
	err := c.cmd.Err()
	if err == nil || c.missing() || slices.ContainsFunc(c.ignored, func(code string) bool { return redis.HasErrorPrefix(err, code) }) {
		return nil
	}
	return err
}

// add adds the call to a pipeline. A script is sent with its text if text is true, and
// with its hash otherwise.
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

// scriptMissing reports whether the server does not have the script in its cache, and so
// did not run it.
func (c *call) scriptMissing() bool {
	return c.script != nil && redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT")
}

// redirected reports whether the server did not run the call because it does not serve
// the slot, or has only a part of it while it moves (Redis Cluster specification, "ASK
// redirection" and "Multiple keys operations").
func (c *call) redirected() bool {
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

// list returns an answer of several parts. For a hash these are fields and values.
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

// texts returns the answer's parts as text, with "" for parts that are nil.
func (c *call) texts() []string {
	list := c.list()
	texts := make([]string, len(list))
	for i := range list {
		texts[i], _ = list[i].(string)
	}
	return texts
}

// send sends calls to the server of the records, in one pipeline, and returns the first
// error. It adds a write: the deletion of a key that never exists. A server that was
// demoted, or lacks replicas (min-replicas-to-write), refuses the write. Its answers may
// be out of date, so the calls fail. A server whose memory or disk is full also refuses
// the write, but its answers are used.
func (db *Driver) send(ctx context.Context, calls ...*call) error {
	check := command("del", db.layout.record("never"))
	check.ignored = []string{"OOM", "MISCONF"}
	return db.sendTo(ctx, db.recordsServer, append(slices.Clip(calls), check))
}

// sendByKey sends each call to the server that holds its keys.
func (db *Driver) sendByKey(ctx context.Context, calls ...*call) error {
	return db.sendTo(ctx, func(context.Context) (redis.UniversalClient, error) { return db.client, nil }, calls)
}

func (db *Driver) recordsServer(ctx context.Context) (redis.UniversalClient, error) {
	if cluster, ok := db.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, db.layout.keys())
	}
	return db.client, nil
}

// maxRedirects bounds how often calls are sent again while their slot moves: for about
// six seconds, unless the context ends first.
const maxRedirects = 100

// sendTo sends calls to the server that find returns. All calls are sent again if the
// server does not have a script or does not serve the slot, so they must be idempotent.
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
		if slices.ContainsFunc(calls, (*call).scriptMissing) {
			exec(ctx, server.Pipeline(), calls, true)
		}
		i := slices.IndexFunc(calls, func(c *call) bool { return c.failed() != nil })
		if i < 0 {
			return nil
		}
		err = db.failure(ctx, calls[i].failed(), calls[i].script)
		if n == maxRedirects || !slices.ContainsFunc(calls, (*call).redirected) || pause(ctx, time.Millisecond<<min(n, 6)) != nil {
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
		// If the server refuses the connection, for example because of a wrong password,
		// the client sets no error on the commands. A command with an answer is never nil.
		if c.cmd.Err() == nil && c.cmd.Val() == nil {
			c.cmd.SetErr(fmt.Errorf("no answer: %w", err))
		}
	}
}

// pause waits for d. It returns the context's error if the context ends first.
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
