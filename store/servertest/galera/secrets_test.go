package galera_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// Creations and rotations through all nodes give one secret id to different keys. Exactly
// one succeeds: the nodes compare the primary keys that transactions wrote.
func TestOneKeyForASecret(t *testing.T) {
	g := cluster(t)
	stores := open(t, g)
	const each = 4
	for round := range 10 {
		ctx := within(t, patience)
		shared := fmt.Sprint("shared-", round)
		keys, errs := make([]store.Key, each*nodes), make([]error, each*nodes)
		for i := range keys {
			keys[i] = key(fmt.Sprint("team-", i), fmt.Sprintf("key-%d-%d", round, i))
			if i%2 == 0 {
				require.NoError(t, stores[0].Keys.Create(ctx, keys[i], store.NoLimit, store.Change{Now: noon}))
			}
			keys[i].Credentials[0].ID = shared
		}
		var all sync.WaitGroup
		for i, k := range keys {
			all.Go(func() {
				if i%2 == 0 {
					errs[i] = stores[i%nodes].Keys.Update(ctx, k, event(k.ID))
				} else {
					errs[i] = stores[i%nodes].Keys.Create(ctx, k, store.NoLimit, event(k.ID))
				}
			})
		}
		all.Wait()
		var won []string
		for i, err := range errs {
			if err == nil {
				won = append(won, keys[i].ID)
			} else {
				require.ErrorIs(t, err, store.ErrCredentialExists)
			}
		}
		require.Len(t, won, 1)
		for _, s := range stores {
			found, err := s.Secrets.LookupSecret(ctx, shared)
			require.NoError(t, err)
			require.Equal(t, won[0], found.Key.ID)
		}
		require.Equal(t, round+1, count(t, dial(t, g.DSN(round%nodes)), "SELECT COUNT(*) FROM latchkey_events"))
	}
}
