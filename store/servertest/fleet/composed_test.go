package fleet_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// TestComposed runs the contract on keys in PostgreSQL with epochs and limiter
// in Redis.
func TestComposed(t *testing.T) {
	beside(t)
	keys := postgresPlace(t)
	keys.Source += "&synchronous_commit=off" // nobody kills this server
	db, err := sql.Open(keys.Driver, keys.Source)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	tables, closed, err := keys.open(t.Context())
	require.NoError(t, err)
	t.Cleanup(closed)
	composed := func(t *testing.T) (store.Store, store.Watch) {
		t.Helper()
		empty(t, db)
		beside, closed, err := redisPlace(t).open(t.Context())
		require.NoError(t, err)
		t.Cleanup(closed)
		st := tables
		st.Limiter, st.Epochs = beside.Limiter, beside.Epochs
		require.False(t, st.Epochs.With(st.Keys))
		return st, beside.Watch
	}
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			st, _ := composed(t)
			return st
		})
	})
	if !soak() {
		return
	}
	t.Run("contract under a cache", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			st, marks := composed(t)
			cached, err := cache.New(st, cache.Config{EpochsWatch: marks})
			require.NoError(t, err)
			return cached.Store()
		})
	})
}

// TestComposedOnceIDs shows what is apart when OnceIDs come from elsewhere: the
// ids of changes, which stay with the keys.
func TestComposedOnceIDs(t *testing.T) {
	st, ctx := onBoth.spec(t).open(t), t.Context()
	id := store.OnceID{Space: "test", ID: "one", Expires: start.Add(time.Hour)}
	change := store.Change{Once: &id, Now: start}
	require.NoError(t, st.Settings.SetInstance(ctx, store.Instance{}, change))
	require.ErrorIs(t, st.Settings.SetInstance(ctx, store.Instance{Version: 1}, change), store.ErrExists, "B18 a change repeated")
	require.NoError(t, st.OnceIDs.Spend(ctx, id, start))
	require.ErrorIs(t, st.OnceIDs.Spend(ctx, id, start), store.ErrExists, "B18 an id repeated")
}

// empty removes all rows, in one statement: making the tables anew for each
// rule would take longer.
func empty(t *testing.T, db *sql.DB) {
	t.Helper()
	var text strings.Builder
	for _, table := range []string{"keys", "workspaces", "makers", "lists", "tombstones", "revoked", "events", "once", "days", "limits", "notices", "instance"} {
		text.WriteString("DELETE FROM latchkey_" + table + "; ")
	}
	text.WriteString("INSERT INTO latchkey_instance (id) VALUES (1); UPDATE latchkey_ring SET version = 0, content = '[]'; UPDATE latchkey_feed SET seq = 0; UPDATE latchkey_stripes SET version = 0;")
	_, err := db.ExecContext(context.Background(), "DO $$ BEGIN "+text.String()+" END $$")
	require.NoError(t, err)
}
