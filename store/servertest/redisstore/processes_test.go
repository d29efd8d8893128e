package redisstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// childOf is the environment variable with which this binary runs itself. Its value is the
// server, the prefix and the number of rounds.
const childOf = "LATCHKEY_TEST_CHILD_OF"

// child spends as many one-time ids and attempts as it can, and prints the numbers.
func child(where string) error {
	var addr, prefix string
	var rounds int
	if _, err := fmt.Sscan(where, &addr, &prefix, &rounds); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer client.Close()
	driver, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	if err != nil {
		return err
	}
	s, ctx := driver.Store(), context.Background()
	// All children begin at the same time.
	if err := client.Incr(ctx, prefix+":ready").Err(); err != nil {
		return err
	}
	if err := client.BLPop(ctx, time.Minute, prefix+":go").Err(); err != nil {
		return err
	}
	spent, passed := 0, 0
	for i := range rounds {
		if s.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: strconv.Itoa(i), Expires: noon.Add(time.Hour)}, noon) == nil {
			spent++
		}
		// The server's clock advances, so that each step allows another attempt.
		const step = 10 * time.Minute
		if _, moved, err := s.Limiter.Advance(ctx, "client", noon, step, time.Duration(rounds)*step/2); err == nil && moved {
			passed++
		}
	}
	fmt.Println(spent, passed)
	return nil
}

func TestProcesses(t *testing.T) {
	rounds := 300
	if soak() {
		rounds = 20_000
	}
	t.Run("B18 one-time ids and attempts of four processes", func(t *testing.T) {
		const processes = 4
		client := sharedClient(t)
		prefix := newPrefix(t, client)
		self, err := os.Executable()
		require.NoError(t, err)
		outputs := make([]strings.Builder, processes)
		var running []*exec.Cmd
		for i := range processes {
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^$")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childOf, client.Options().Addr, prefix, rounds))
			cmd.Stdout, cmd.Stderr = &outputs[i], os.Stderr
			require.NoError(t, cmd.Start())
			running = append(running, cmd)
		}
		require.Eventually(t, func() bool {
			n, err := client.Get(t.Context(), prefix+":ready").Int()
			return err == nil && n == processes
		}, 3*patience, 10*time.Millisecond)
		require.NoError(t, client.RPush(t.Context(), prefix+":go", 1, 2, 3, 4).Err())
		spent, passed := 0, 0
		for i, cmd := range running {
			require.NoError(t, cmd.Wait())
			var one, two int
			_, err := fmt.Sscan(outputs[i].String(), &one, &two)
			require.NoError(t, err)
			t.Logf("process %d spent %d ids and passed %d attempts", i, one, two)
			spent, passed = spent+one, passed+two
		}
		require.Equal(t, rounds, spent, "each id once")
		require.Equal(t, rounds/2, passed, "as many attempts as the window allows")
	})
}
