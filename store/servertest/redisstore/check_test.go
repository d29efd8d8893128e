package redisstore_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, err)
	t.Cleanup(p.Stop)
	client := newClient(t, p.Addr())
	var log bytes.Buffer
	d := newDriver(t, client, redisstore.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	set := func(pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			require.NoError(t, client.ConfigSet(t.Context(), pairs[i], pairs[i+1]).Err())
		}
	}
	for _, try := range []struct {
		name  string
		pairs []string
		want  []string
	}{
		{"no problem", []string{"maxmemory-policy", "noeviction", "appendonly", "yes", "appendfsync", "always"}, nil},
		{"a crash may lose a second", []string{"appendfsync", "everysec"}, []string{"appendfsync everysec"}},
		{"keys may be evicted", []string{"appendfsync", "always", "maxmemory-policy", "volatile-lru"}, []string{"maxmemory-policy volatile-lru"}},
		{"snapshots only", []string{"maxmemory-policy", "noeviction", "appendonly", "no", "save", "3600 1"}, []string{"only snapshots"}},
		{"nothing on disk", []string{"save", ""}, []string{"nothing to disk"}},
		{"both", []string{"maxmemory-policy", "allkeys-lru"}, []string{"maxmemory-policy allkeys-lru", "nothing to disk"}},
	} {
		t.Run(try.name, func(t *testing.T) {
			set(try.pairs...)
			log.Reset()
			found, err := d.Check(t.Context())
			require.NoError(t, err)
			require.Len(t, found, len(try.want))
			for i, want := range try.want {
				require.Contains(t, found[i], want)
				require.Contains(t, log.String(), want)
			}
		})
	}
	for _, try := range []struct {
		name, right string
		want        []string
	}{
		{"a server that does not show its configuration, like a managed service", "-config", []string{"maxmemory-policy allkeys-lru", "+config|get"}},
		{"a server that shows no information", "-info", []string{"+info", "+config|get"}},
	} {
		t.Run(try.name, func(t *testing.T) {
			require.NoError(t, client.Do(t.Context(), "acl", "setuser", "default", try.right).Err())
			found, err := d.Check(t.Context())
			require.NoError(t, err)
			require.Len(t, found, len(try.want))
			for i, want := range try.want {
				require.Contains(t, found[i], want)
			}
		})
	}
	t.Run("no server", func(t *testing.T) {
		p.Stop()
		_, err := d.Check(t.Context())
		require.Error(t, err)
	})
}
