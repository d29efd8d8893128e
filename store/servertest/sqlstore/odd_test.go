package sqlstore_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestOddWorkspaces: a workspace that cannot be there has no keys, in any order.
func TestOddWorkspaces(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		for _, workspace := range []string{"team\x00a", "team\xff"} {
			for _, order := range []store.KeySort{store.ByCreated, store.ByName, store.ByLastUsed, store.ByExpiry} {
				page, err := s.Keys.List(ctx, store.KeyQuery{Workspace: workspace, Sort: order})
				require.NoError(t, err, "%q %s", workspace, order)
				require.Empty(t, page.Keys)
			}
			w, err := s.Settings.Workspace(ctx, workspace)
			require.NoError(t, err)
			require.Equal(t, workspace, w.ID)
			require.ErrorIs(t, s.Keys.Create(ctx, key("team-a", "k"), 1, store.Change{If: []store.Precondition{{Workspace: workspace, Version: 1}}}), store.ErrConflict)
			require.ErrorIs(t, s.Keys.Create(ctx, key("team-a", "k"), 1, store.Change{If: []store.Precondition{{Key: workspace, Version: 0}}}), store.ErrConflict)
			_, err = s.Keys.Lookup(ctx, workspace)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.Epochs.Read(ctx, store.TokenRef{Workspace: workspace, Key: "k", TokenID: workspace, Secret: workspace})
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.OnceIDs.Find(ctx, workspace, workspace, noon)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, _, err = s.Limiter.Advance(ctx, workspace, noon, 1, 2)
			require.NoError(t, err)
			require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", workspace, 0, noon, store.Change{}), store.ErrNotFound)
		}
	})
}

// TestRingRemoved: a ring that an operator deletes is a ring never saved. Of all
// that save one then, one succeeds.
func TestRingRemoved(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		stores, db := replicas(t, e, 2)
		s := stores[0]
		require.NoError(t, s.SigningKeys.SetRing(ctx, store.Ring{Keys: []store.SigningKey{{ID: "old"}}}))
		_, err := db.ExecContext(ctx, "DELETE FROM latchkey_ring")
		require.NoError(t, err)
		ring, err := s.SigningKeys.Ring(ctx)
		require.NoError(t, err)
		require.Zero(t, ring)
		require.ErrorIs(t, s.SigningKeys.SetRing(ctx, store.Ring{Version: 1}), store.ErrConflict, "from before")
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				errs[i] = stores[i%2].SigningKeys.SetRing(ctx, store.Ring{Keys: []store.SigningKey{{ID: "new"}}})
			})
		}
		all.Wait()
		require.Len(t, outcomes(t, errs, store.ErrConflict), 1)
		ring, err = s.SigningKeys.Ring(ctx)
		require.NoError(t, err)
		require.Equal(t, store.Ring{Version: 1, Keys: []store.SigningKey{{ID: "new"}}}, ring)
	})
}
