package sqlstore_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// wrongClocks returns the times of several replicas. At most one is right.
func wrongClocks() []time.Time {
	now := time.Now()
	return []time.Time{noon, now, now.Add(-time.Hour), now.Add(time.Hour), now.AddDate(2, 0, 0), now.AddDate(-2, 0, 0), {}}
}

// B29: replicas whose clocks differ share one limit.
func TestLimitsUseTheServersClock(t *testing.T) {
	ctx := context.Background()
	const window, step = time.Hour, 15 * time.Minute
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		advance := func(id string, now time.Time, by time.Duration) (time.Duration, bool) {
			t.Helper()
			ahead, moved, err := s.Limiter.Advance(ctx, id, now, by, window)
			require.NoError(t, err)
			return ahead, moved
		}
		near := func(want, got time.Duration) {
			t.Helper()
			require.LessOrEqual(t, got, want)
			require.Greater(t, got, want-patience)
		}
		move := func(id string, ahead time.Duration) {
			t.Helper()
			_, err := db.ExecContext(ctx, "DELETE FROM latchkey_limits")
			require.NoError(t, err)
			advance(id, noon, 1)
			_, err = db.ExecContext(ctx, fmt.Sprint("UPDATE latchkey_limits SET arrival = ", time.Now().Add(ahead).UnixNano()))
			require.NoError(t, err)
		}

		ahead, moved := advance("none", noon, 0)
		require.Zero(t, ahead)
		require.False(t, moved)
		var all []bool
		for i, now := range wrongClocks() {
			ahead, moved := advance("shared", now, step)
			near(min(time.Duration(i+1)*step, window), ahead)
			ahead, _ = advance("shared", now, 0)
			near(min(time.Duration(i+1)*step, window), ahead)
			all = append(all, moved)
		}
		require.Equal(t, []bool{true, true, true, true, false, false, false}, all)
		ahead, moved = advance("shared", noon, window+1)
		near(window, ahead)
		require.False(t, moved)

		move("past", -2*window)
		ahead, moved = advance("past", noon, step)
		require.True(t, moved)
		near(step, ahead)

		// The server's clock was ahead, or has been set back.
		for name, by := range map[string]time.Duration{"a call that moves": step, "a call that reads": 0, "a call that cannot move": 2 * window} {
			move(name, 1000*window)
			ahead, moved = advance(name, noon, by)
			require.False(t, moved, name)
			require.Equal(t, window, ahead, name)
			require.Zero(t, count(t, db, fmt.Sprint("SELECT COUNT(*) FROM latchkey_limits WHERE arrival > ", time.Now().Add(window).UnixNano())), "%s stores it so", name)
		}
		// An arrival slightly beyond the window is not reset.
		move("a late call", window+900*time.Millisecond)
		advance("a late call", noon, step)
		require.Equal(t, 1, count(t, db, fmt.Sprint("SELECT COUNT(*) FROM latchkey_limits WHERE arrival > ", time.Now().Add(window).UnixNano())))
	})
}

// However many calls come at once, a limit allows exactly its number. Each refused call
// gets a time to wait.
func TestLimitsAreExact(t *testing.T) {
	const window, calls, allowed = 1000 * time.Hour, 60, 8
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		passed, waits := make([]bool, calls), make([]time.Duration, calls)
		clocks := wrongClocks()
		for _, err := range race(calls, func(i int) (err error) {
			waits[i], passed[i], err = s.Limiter.Advance(context.Background(), "id", clocks[i%len(clocks)], window/allowed, window)
			return err
		}) {
			require.NoError(t, err)
		}
		n := 0
		for i := range calls {
			if passed[i] {
				n++
			} else {
				require.Greater(t, waits[i], window-window/allowed)
			}
			require.LessOrEqual(t, waits[i], window)
		}
		require.Equal(t, allowed, n)
	})
}

// B29: a replica whose clock is wrong removes nothing that others need.
func TestSweepsUseTheServersClock(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		leave := func(id string, ends, now time.Time) {
			t.Helper()
			require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: id, Expires: ends}, now))
			require.NoError(t, s.Epochs.Revoke(ctx, id, ends, now))
			_, moved, err := s.Limiter.Advance(ctx, id, now, time.Minute, time.Hour)
			require.NoError(t, err)
			require.True(t, moved)
		}
		tables := []string{"once", "revoked", "limits"}
		rows := func(want int, what string) {
			t.Helper()
			for _, table := range tables {
				require.Equal(t, want, count(t, db, "SELECT COUNT(*) FROM latchkey_"+table), "B29 %s: %s", table, what)
			}
		}
		now := time.Now()
		leave("long ago", now.Add(-11*time.Minute), now.Add(-time.Hour))
		leave("just now", now.Add(-9*time.Minute), now.Add(-time.Hour))
		leave("needed", now.Add(time.Minute), now)
		_, err := db.ExecContext(ctx, fmt.Sprint("UPDATE latchkey_revoked SET ends = ", now.Add(-11*time.Minute).UnixMicro(),
			" WHERE id = (SELECT id FROM (SELECT id FROM latchkey_revoked ORDER BY ends LIMIT 1) x)"))
		require.NoError(t, err)
		_, err = db.ExecContext(ctx, fmt.Sprint("UPDATE latchkey_limits SET arrival = ", now.Add(-11*time.Minute).UnixNano(),
			" WHERE id = (SELECT id FROM (SELECT id FROM latchkey_limits ORDER BY arrival LIMIT 1) x)"))
		require.NoError(t, err)
		clocks := wrongClocks()
		for i := range sweepEvery - 3 {
			at := clocks[i%len(clocks)]
			leave(fmt.Sprint("alive ", i), slices.MaxFunc([]time.Time{now, at}, time.Time.Compare).Add(time.Minute), at)
			if i == sweepEvery-5 {
				rows(sweepEvery-1, "before the sweep")
			}
		}
		rows(sweepEvery-1, "one was added, one was removed")
		before := now.Add(-10 * time.Minute).UnixMicro()
		require.Zero(t, count(t, db, fmt.Sprint("SELECT COUNT(*) FROM latchkey_once WHERE expires < ", before)))
		require.Zero(t, count(t, db, fmt.Sprint("SELECT COUNT(*) FROM latchkey_revoked WHERE ends < ", before)))
		require.Zero(t, count(t, db, fmt.Sprint("SELECT COUNT(*) FROM latchkey_limits WHERE arrival < ", before*1000)))
		_, err = s.OnceIDs.Find(ctx, "jti", "needed", now)
		require.NoError(t, err)

		// A change that spends a one-time id also sweeps.
		_, err = db.ExecContext(ctx, fmt.Sprint("UPDATE latchkey_once SET expires = ", before-1000000))
		require.NoError(t, err)
		for i := range sweepEvery - 1 {
			require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: fmt.Sprint("again ", i), Expires: now.Add(time.Minute)}, now))
		}
		c := store.Change{Now: now, Once: &store.OnceID{ID: "request", Expires: now.Add(time.Hour)}}
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, c))
		require.Equal(t, sweepEvery, count(t, db, "SELECT COUNT(*) FROM latchkey_once"))
	})
}

// Upkeep.Clock returns the server's time, whatever the session's time zone.
func TestClock(t *testing.T) {
	zones := map[string]func(t *testing.T, source string) string{
		"PostgreSQL": postgresWith("timezone=Asia%2FKolkata"),
		"MariaDB":    mariaWith(func(c *mysql.Config) { c.Params = map[string]string{"time_zone": "'+05:30'"} }),
	}
	eachEngine(t, func(t *testing.T, e engine) {
		driver, source := e.space(t)
		if zone := zones[e.name]; zone != nil {
			source = zone(t, source)
		}
		s := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
		got, err := s.Upkeep.Clock(context.Background())
		require.NoError(t, err)
		if e.dialect == sqlstore.SQLite {
			require.Zero(t, got, "SQLite has no clock of its own")
		} else {
			require.WithinDuration(t, time.Now(), got, patience)
			require.Equal(t, time.UTC, got.Location())
		}
		ended, end := context.WithCancel(context.Background())
		end()
		_, err = s.Upkeep.Clock(ended)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// sweepEvery and maxNotifications are constants of sqlstore: every sweepEvery-th call removes
// expired rows, and maxNotifications notifications are kept.
const (
	sweepEvery       = 256
	maxNotifications = 4096
)

// B29: a revocation outlives its token by the clock of the replica that issued and
// revoked it, however wrong that clock is.
func TestRevocationsSurviveWrongClocks(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		for _, try := range []struct {
			wrong, left, keeps time.Duration
		}{
			{0, time.Hour, time.Hour},
			{0, -time.Hour, 0},
			{-time.Hour, 15 * time.Minute, 75 * time.Minute},
			{time.Hour, 15 * time.Minute, 75 * time.Minute},
			{-20_000 * time.Hour, 15 * time.Minute, 24*time.Hour + 15*time.Minute},
			{20_000 * time.Hour, 15 * time.Minute, 20_000*time.Hour + 15*time.Minute},
		} {
			now := time.Now()
			theirs := now.Add(try.wrong)
			require.NoError(t, s.Epochs.Revoke(ctx, "token", theirs.Add(try.left), theirs))
			ends := time.UnixMicro(int64(count(t, db, "SELECT ends FROM latchkey_revoked")))
			require.WithinDuration(t, now.Add(try.keeps), ends, patience, "%+v", try)
			_, err := db.ExecContext(ctx, "DELETE FROM latchkey_revoked")
			require.NoError(t, err)
		}
		now := time.Now()
		require.NoError(t, s.Epochs.Revoke(ctx, "token", now.Add(time.Hour), now))
		require.NoError(t, s.Epochs.Revoke(ctx, "token", now.Add(time.Minute), now))
		ends := time.UnixMicro(int64(count(t, db, "SELECT ends FROM latchkey_revoked")))
		require.WithinDuration(t, now.Add(time.Hour), ends, patience, "the later end is kept")
	})
}

// A negative step is an error on every database, and changes nothing.
func TestNegativeSteps(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		_, moved, err := s.Limiter.Advance(ctx, "id", noon, time.Hour, time.Hour)
		require.NoError(t, err)
		require.True(t, moved)
		_, moved, err = s.Limiter.Advance(ctx, "id", noon, -time.Hour, time.Hour)
		require.ErrorContains(t, err, "the step must not be negative")
		require.False(t, moved)
		_, moved, err = s.Limiter.Advance(ctx, "id", noon, time.Hour, time.Hour)
		require.NoError(t, err)
		require.False(t, moved)
	})
}
