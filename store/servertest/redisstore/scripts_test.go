package redisstore_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by SHA-1
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// scriptNames returns the names of the driver's scripts, by their texts and by their
// hashes.
func scriptNames(t *testing.T) map[string]string {
	t.Helper()
	const dir = "../../redisstore/scripts/"
	begin, err := os.ReadFile(dir + "change.lua")
	require.NoError(t, err)
	files, err := filepath.Glob(dir + "*.lua")
	require.NoError(t, err)
	names := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, whole := range []string{string(text), string(begin) + string(text)} {
			sum := sha1.Sum([]byte(whole)) //nolint:gosec // as above
			name := strings.TrimSuffix(filepath.Base(file), ".lua")
			names[whole], names[hex.EncodeToString(sum[:])] = name, name
		}
	}
	return names
}

// meter is a hook that adds a read of a section of INFO at the beginning and the end of
// each pipeline.
type meter struct {
	section string
	seen    func(cmds []redis.Cmder, before, after string)
}

func (m *meter) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (m *meter) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (m *meter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		before, after := redis.NewStringCmd(ctx, "info", m.section), redis.NewStringCmd(ctx, "info", m.section)
		err := next(ctx, slices.Concat([]redis.Cmder{before}, cmds, []redis.Cmder{after}))
		if before.Err() == nil && after.Err() == nil {
			m.seen(cmds, before.Val(), after.Val())
		}
		return err
	}
}

// scriptOf returns the name of the script that a command runs, or "".
func scriptOf(names map[string]string, cmd redis.Cmder) string {
	if cmd.Name() != "eval" && cmd.Name() != "evalsha" {
		return ""
	}
	script, _ := cmd.Args()[1].(string)
	return names[script]
}

// visited is the largest number of records that a script of the driver reads.
const visited = 200

// A script makes a bounded number of Redis calls and returns a bounded number of records,
// however large the store is, so that it does not block the server for long.
func TestScriptsAreBounded(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--appendonly", "no")
	started(t, err)
	t.Cleanup(p.Stop)
	names, ran := scriptNames(t), make(map[string]bool)
	var most, longest int
	plain, client := newClient(t, p.Addr()), newClient(t, p.Addr())
	client.AddHook(&meter{"commandstats", func(cmds []redis.Cmder, before, after string) {
		scripts := 0
		for _, cmd := range cmds {
			if name := scriptOf(names, cmd); name != "" {
				ran[name] = true
				scripts++
			}
			if answer, ok := cmd.(*redis.Cmd); ok {
				list, _ := answer.Val().([]any)
				longest = max(longest, len(list))
			}
		}
		// The commands of the pipeline itself and the first INFO do not count.
		most = max(most, (callsIn(t, after)-callsIn(t, before)-len(cmds)-1)/max(1, scripts))
	}})
	const many = 6 * visited
	c := &stock{client: client, s: newDriver(t, plain, redisstore.Config{}).Store(), keys: 2 * many, inOne: many, events: many, few: 3}
	require.NoError(t, c.fill(t.Context(), 0, c.keys))
	c.s = newDriver(t, client, redisstore.Config{}).Store()
	for _, chore := range everyCall {
		t.Run(chore.name, func(t *testing.T) {
			most, longest = 0, 0
			require.NoError(t, chore.run(t.Context(), t, c))
			require.LessOrEqual(t, most, 10*visited, "calls of a script")
			require.LessOrEqual(t, longest, 3*visited, "ids, members and records in an answer")
		})
	}
	delete(ran, "change")
	require.Len(t, ran, len(names)/4-1, "every script ran: %v", ran)
}

// callsIn returns the number of commands in an answer to INFO commandstats.
func callsIn(t *testing.T, info string) (sum int) {
	t.Helper()
	for line := range strings.Lines(info) {
		if _, rest, found := strings.Cut(line, ":calls="); found {
			digits, _, _ := strings.Cut(rest, ",")
			n, err := strconv.Atoi(digits)
			require.NoError(t, err)
			sum += n
		}
	}
	return sum
}
