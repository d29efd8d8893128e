package apikey_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// clocked is a store with a clock of its own.
type clocked struct {
	store.Upkeep
	now time.Time
	err error
}

func (c *clocked) Clock(context.Context) (time.Time, error) { return c.now, c.err }

// TestPruneByAWrongClock tests that a replica with a wrong clock deletes nothing
// that others need, and logs that.
func TestPruneByAWrongClock(t *testing.T) {
	ctx := t.Context()
	const year = 365 * 24 * time.Hour
	st := memstore.New()
	clock := &clocked{Upkeep: st.Upkeep, now: noon}
	st.Upkeep = clock
	r := rigOn(t, st, func(c *apikey.Config) { c.Imported = true })
	legacy := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "legacy", Secret: "0123456789abcdefghijklmnopqrstuvwxyzABCD"}
	require.NoError(t, errOf(r.Import(ctx, owner, legacy)))
	_, err := r.login("legacy", legacy.Secret)
	require.NoError(t, err)
	require.NoError(t, r.Flush(ctx))
	require.NoError(t, r.Delete(ctx, owner, "legacy", 0))
	requireAll := func(t *testing.T) {
		t.Helper()
		require.Len(t, r.events(store.EventQuery{}), 2)
		require.ErrorIs(t, errOf(r.Import(ctx, owner, legacy)), store.ErrExists, "the tombstone")
		days, err := st.Usage.ByDay(ctx, "team-a", "legacy", noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
		require.NoError(t, err)
		require.Len(t, days, 1)
	}
	for name, ahead := range map[string]time.Duration{
		"B29 an hour ahead": time.Hour, "B29 two years ahead": 2 * year, "B29 just too far": time.Minute + time.Microsecond,
		"B29 just too far behind": -time.Minute - time.Microsecond, "B29 an hour behind": -time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			r.clock.Set(noon.Add(ahead))
			agrees, err := r.CheckClock(ctx)
			require.NoError(t, err)
			require.False(t, agrees)
			before := len(r.logs.String())
			require.NoError(t, r.Prune(ctx))
			r.clock.Set(noon)
			requireAll(t)
			said := r.logs.String()[before:]
			require.Contains(t, said, "level=WARN")
			const millis = "2006-01-02T15:04:05.000Z"
			require.Contains(t, said, "clock="+noon.Add(ahead).Format(millis))
			require.Contains(t, said, "store="+noon.Format(millis))
		})
	}
	for _, near := range []time.Duration{0, time.Minute, -time.Minute} {
		r.clock.Set(noon.Add(near))
		agrees, err := r.CheckClock(ctx)
		require.NoError(t, err)
		require.True(t, agrees, near.String())
	}
	t.Run("B29 a store whose clock cannot be read", func(t *testing.T) {
		r.clock.Set(noon.Add(2 * year))
		clock.err = errDown
		require.ErrorIs(t, r.Prune(ctx), store.ErrUnavailable)
		clock.err = nil
		r.clock.Set(noon)
		requireAll(t)
	})
	t.Run("once they agree", func(t *testing.T) {
		r.clock.Set(noon.Add(2 * year))
		clock.now = r.clock.Now()
		require.NoError(t, r.Prune(ctx))
		require.Empty(t, r.events(store.EventQuery{}))
		require.NoError(t, errOf(r.Import(ctx, owner, legacy)))
		days, err := st.Usage.ByDay(ctx, "team-a", "legacy", noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
		require.NoError(t, err)
		require.Empty(t, days)
	})
	t.Run("a store without a clock", func(t *testing.T) {
		clock.now = time.Time{}
		r.clock.Set(noon.Add(9 * year))
		require.NoError(t, r.Prune(ctx))
		require.Empty(t, r.events(store.EventQuery{}))
	})
}

func TestConfigBounds(t *testing.T) {
	for _, tc := range []struct {
		change func(*apikey.Config)
		says   string // empty: it is allowed
	}{
		{func(c *apikey.Config) { c.MaxClockSkew = time.Second }, ""},
		{func(c *apikey.Config) { c.MaxClockSkew = time.Hour }, ""},
		{func(c *apikey.Config) { c.MaxClockSkew = time.Second - 1 }, "Config.MaxClockSkew is 999.999999ms; it must be from 1s to 1h"},
		{func(c *apikey.Config) { c.MaxClockSkew = time.Hour + 1 }, "Config.MaxClockSkew is 1h0m0.000000001s"},
		{func(c *apikey.Config) { c.MaxClockSkew = -time.Minute }, "Config.MaxClockSkew is -1m0s"},
		{func(c *apikey.Config) { c.RefuseAfter = time.Second }, ""},
		{func(c *apikey.Config) { c.RefuseAfter = -time.Second }, ""},
		{func(c *apikey.Config) { c.RefuseAfter = time.Second + 1 }, "Config.RefuseAfter is 1.000000001s; it must be from 0s to 1s"},
		{func(c *apikey.Config) { c.Management.MaxDepth = 1 }, ""},
		{func(c *apikey.Config) { c.Management.MaxDepth = 3 }, ""},
		{func(c *apikey.Config) { c.Management.MaxDepth = 4 }, "Config.Management.MaxDepth is 4; it must be from 1 to 3"},
		{func(c *apikey.Config) { c.Management.MaxDepth = -1 }, "Config.Management.MaxDepth is -1"},
	} {
		cfg := apikey.Config{Permissions: catalog, Options: apikey.Options{Peppers: []apikey.Pepper{pepper1}}}
		tc.change(&cfg)
		_, err := apikey.New(memstore.New(), cfg)
		if tc.says == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, tc.says)
	}
}
