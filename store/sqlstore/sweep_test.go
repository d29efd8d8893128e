package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// What ended more than ten minutes ago is removed as new comes in; what ended
// just now stays, for callers whose clocks run behind.
func TestWhatEndedIsCollected(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		d := e.tables(t, db, sqlstore.Config{})
		s := d.Store()
		leave := func(id string, ends, now time.Time) {
			require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: id, Expires: ends}, now))
			require.NoError(t, s.Epochs.Revoke(ctx, id, ends, now))
			_, moved, err := s.Limiter.Advance(ctx, id, now, ends.Sub(now), time.Hour)
			require.NoError(t, err)
			require.True(t, moved)
		}
		leave("long ago", noon.Add(-11*time.Minute), noon.Add(-time.Hour))
		leave("just now", noon.Add(-9*time.Minute), noon.Add(-time.Hour))
		sqlstore.SweepNext(d)
		leave("alive", noon.Add(time.Minute), noon)
		for _, table := range []string{"once", "revoked", "limits"} {
			require.Equal(t, 2, count(t, db, "SELECT COUNT(*) FROM latchkey_"+table), table)
		}
		_, err := s.OnceIDs.Find(ctx, "jti", "alive", noon)
		require.NoError(t, err)

		// A change that spends a one-time id takes its turn, too.
		sqlstore.SweepNext(d)
		c := store.Change{Now: noon.Add(time.Hour), Once: &store.OnceID{ID: "request", Expires: noon.Add(2 * time.Hour)}}
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, c))
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_once"))
	})
}
