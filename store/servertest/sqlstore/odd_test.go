package sqlstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestOddWorkspaces checks that a workspace with an invalid id has no keys, in any sort
// order.
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
			_, err := s.Workspaces.List(ctx, workspace, 0)
			require.ErrorContains(t, err, "UTF-8")
			w, err := s.Settings.Workspace(ctx, workspace)
			require.NoError(t, err)
			require.Equal(t, workspace, w.ID)
			require.ErrorIs(t, s.Keys.Create(ctx, key("team-a", "k"), 1, store.Change{Preconditions: []store.Precondition{{Workspace: workspace, Version: 1}}}), store.ErrConflict)
			require.ErrorIs(t, s.Keys.Create(ctx, key("team-a", "k"), 1, store.Change{Preconditions: []store.Precondition{{Key: workspace, Version: 0}}}), store.ErrConflict)
			_, err = s.Keys.Lookup(ctx, workspace)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.Epochs.Read(ctx, store.TokenRef{Workspace: workspace, Key: "k", TokenID: workspace, Credential: workspace})
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = s.OnceIDs.Find(ctx, workspace, workspace, noon)
			require.ErrorIs(t, err, store.ErrNotFound)
			_, _, err = s.Limiter.Advance(ctx, workspace, noon, 1, 2)
			require.NoError(t, err)
			require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", workspace, 0, noon, store.Change{}), store.ErrNotFound)
		}
	})
}

// TestRingRemoved checks that a ring which an operator deletes counts as never saved. Of
// several calls that then save a ring, one succeeds.
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
		require.ErrorIs(t, s.SigningKeys.SetRing(ctx, store.Ring{Version: 1}), store.ErrConflict, "the version of the deleted ring")
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

// TestAMissingRowIsAnOutage checks that a missing row of the settings, as after an
// incomplete restore, is ErrUnavailable and not ErrNotFound.
func TestAMissingRowIsAnOutage(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "k"), store.NoLimit, store.Change{}))
		run(t, db, "DELETE FROM latchkey_instance")
		for what, read := range map[string]func() error{
			"instance":  func() error { _, err := s.Settings.Instance(ctx); return err },
			"workspace": func() error { _, err := s.Settings.Workspace(ctx, "team-a"); return err },
			"look-up":   func() error { _, err := s.Keys.Lookup(ctx, "k"); return err },
			"epochs":    func() error { _, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "k"}); return err },
			"sorted": func() error {
				_, err := s.Keys.List(ctx, store.KeyQuery{Workspace: "team-a", Sort: store.ByLastUsed})
				return err
			},
		} {
			err := read()
			require.ErrorIs(t, err, store.ErrUnavailable, what)
			require.NotErrorIs(t, err, store.ErrNotFound, what)
		}
	})
}

// TestManyEvents adds as many events in one call as a server buffers between two writes.
func TestManyEvents(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		events := make([]store.Event, 10_000)
		for i := range events {
			events[i] = store.Event{ID: fmt.Sprintf("event-%05d", i), Time: noon, Action: "key.refused"}
		}
		require.NoError(t, s.Events.Append(ctx, events...))
		page, err := s.Events.List(ctx, store.EventQuery{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, events[9_999].ID, page.Events[0].ID)
		pruned, err := s.Events.Prune(ctx, noon.Add(time.Second))
		require.NoError(t, err)
		require.Equal(t, len(events), pruned)
	})
}

// TestNoID checks that a key without an id is not found, and that no call panics.
func TestNoID(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		require.ErrorIs(t, s.Keys.Update(ctx, key("team-a", ""), store.Change{}), store.ErrNotFound)
		require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", "", 0, noon, store.Change{}), store.ErrNotFound)
	})
}
