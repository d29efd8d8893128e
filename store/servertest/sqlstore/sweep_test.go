package sqlstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// sweepEvery and keptNotices are those of sqlstore: how many calls leave removing
// what has ended to another, and how many notices stay.
const (
	sweepEvery  = 256
	keptNotices = 4096
)

// What ended more than ten minutes ago is removed as new comes in; what ended
// just now stays, for callers whose clocks run behind.
func TestWhatEndedIsCollected(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		leave := func(id string, ends, now time.Time) {
			require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: id, Expires: ends}, now))
			require.NoError(t, s.Epochs.Revoke(ctx, id, ends, now))
			_, moved, err := s.Limiter.Advance(ctx, id, now, ends.Sub(now), time.Hour)
			require.NoError(t, err)
			require.True(t, moved)
		}
		rows := func(want int) {
			t.Helper()
			for _, table := range []string{"once", "revoked", "limits"} {
				require.Equal(t, want, count(t, db, "SELECT COUNT(*) FROM latchkey_"+table), table)
			}
		}
		leave("long ago", noon.Add(-11*time.Minute), noon.Add(-time.Hour))
		leave("just now", noon.Add(-9*time.Minute), noon.Add(-time.Hour))
		for i := range sweepEvery - 3 {
			leave(fmt.Sprint("alive ", i), noon.Add(time.Minute), noon)
		}
		rows(sweepEvery - 1)
		leave("alive", noon.Add(time.Minute), noon)
		rows(sweepEvery - 1) // one came, one went
		require.Equal(t, 0, count(t, db, fmt.Sprint("SELECT COUNT(*) FROM latchkey_once WHERE expires < ", noon.Add(-10*time.Minute).UnixMicro())))
		_, err := s.OnceIDs.Find(ctx, "jti", "alive", noon)
		require.NoError(t, err)

		// A change that spends a one-time id takes its turn, too.
		for range sweepEvery - 1 {
			require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: "again", Expires: noon}, noon))
		}
		c := store.Change{Now: noon.Add(time.Hour), Once: &store.OnceID{ID: "request", Expires: noon.Add(2 * time.Hour)}}
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, c))
		require.Equal(t, 1, count(t, db, "SELECT COUNT(*) FROM latchkey_once"))
	})
}
