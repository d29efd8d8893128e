package redisstore_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// TestCheckStore races callers with a leaked key, and members, against changes that end
// their rights, with the whole service on one server and on a Cluster.
func TestCheckStore(t *testing.T) {
	t.Parallel()
	t.Run("B27 one server", func(t *testing.T) {
		t.Parallel()
		client := sharedClient(t)
		prefix := newPrefix(t, client)
		oauthtest.CheckStore(t, newDriver(t, client, redisstore.Config{Prefix: prefix}).Store(), 15)
		inspect(t, client, prefix)
	})
	t.Run("B27 a cluster", func(t *testing.T) {
		t.Parallel()
		client, _ := startCluster(t)
		oauthtest.CheckStore(t, newDriver(t, client, redisstore.Config{Prefix: "race"}).Store(), 15)
		inspect(t, client, "race")
	})
}
