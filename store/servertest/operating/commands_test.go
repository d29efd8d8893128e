package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCommands runs the commands of the program that the handbook names, but for those of
// the other tests.
func TestCommands(t *testing.T) {
	_, migrating, running := prepare(t)
	printed, err := migrating.command("migrate").CombinedOutput()
	require.NoError(t, err, "%s", printed)
	k := running.firstKey(t)
	r := running.serve(t, freeAddr(t))
	early := k.mustLogin(t, r)
	r.accepts(t, early)

	t.Run("revoke-signing-keys", func(t *testing.T) {
		require.Contains(t, handbook(t), "`./backend revoke-signing-keys`")
		printed, err := running.command("revoke-signing-keys").CombinedOutput()
		require.NoError(t, err, "%s", printed)
		require.Eventually(t, func() bool {
			status, err := call(t.Context(), r, early)
			return err == nil && status == http.StatusUnauthorized
		}, patience, 10*time.Millisecond)
		r.accepts(t, k.mustLogin(t, r))
	})
	t.Run("export", func(t *testing.T) {
		require.Contains(t, handbook(t), "./backend export >latchkey.jsonl")
		lines, err := running.command("export").Output()
		require.NoError(t, err)
		require.NotContains(t, string(lines), k[1], "no secret is exported")
		var found int
		for line := range strings.Lines(string(lines)) {
			var one struct{ Key struct{ ID string } }
			require.NoError(t, json.Unmarshal([]byte(line), &one))
			if one.Key.ID == k[0] {
				found++
			}
		}
		require.Equal(t, 1, found)
	})
	for _, args := range [][]string{{"revoke-token"}, {"first-key", "team-b"}} {
		t.Run("no command "+strings.Join(args, " "), func(t *testing.T) {
			require.Contains(t, running.fails(t, args...), "unknown command")
		})
	}
}
