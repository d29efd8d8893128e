package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// usage returns a key's counts as text.
func (r *rig) usage(id string) []string {
	r.t.Helper()
	days, err := r.Usage(r.t.Context(), owner, id, noon.AddDate(0, 0, -100), noon.AddDate(0, 0, 200))
	require.NoError(r.t, err)
	lines := []string{}
	for _, d := range days {
		lines = append(lines, fmt.Sprintf("%s %d %d", d.Day.Format(time.DateOnly), d.Logins, d.Refusals))
	}
	return lines
}

func TestUsage(t *testing.T) {
	r := newRig(t)
	k, secret := r.create(owner, "team-a", "project.list")
	other, otherSecret := r.create(owner, "team-a", "project.list")
	for range 50 { // some are kept together
		third, thirdSecret := r.create(owner, "team-a", "project.list")
		r.mustLogin(third.ID, thirdSecret)
	}
	for range 3 {
		r.mustLogin(k.ID, secret)
	}
	r.mustLogin(other.ID, otherSecret)
	_, err := r.login(k.ID, otherSecret.Reveal())
	require.Error(t, err)
	_, err = r.login("nobody", secret.Reveal())
	require.Error(t, err)
	_, err = r.loginFor(k.ID, secret.Reveal(), perms("project.save"))
	require.Error(t, err)
	written := func(id string) int {
		days, err := r.store.Usage.ByDay(t.Context(), "team-a", id, noon.AddDate(0, 0, -100), noon.AddDate(0, 0, 200))
		require.NoError(t, err)
		return len(days)
	}
	today := noon.Format(time.DateOnly)
	require.Zero(t, written(k.ID), "a login writes nothing")
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, 1, written(k.ID))
	require.Equal(t, []string{today + " 3 2"}, r.usage(k.ID))
	require.Equal(t, []string{today + " 1 0"}, r.usage(other.ID))

	r.mustLogin(k.ID, secret)
	r.clock.Set(noon.Truncate(24*time.Hour).AddDate(0, 0, 1))
	r.mustLogin(k.ID, secret)
	tomorrow := noon.AddDate(0, 0, 1).Format(time.DateOnly)
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, []string{today + " 4 2", tomorrow + " 1 0"}, r.usage(k.ID), "added to what was written")
	between, err := r.Usage(t.Context(), owner, k.ID, noon.Truncate(24*time.Hour), noon.Truncate(24*time.Hour).AddDate(0, 0, 1))
	require.NoError(t, err)
	require.Len(t, between, 1, "from <= day < to")
	require.NoError(t, r.Flush(t.Context()), "and not twice")
	require.Equal(t, []string{today + " 4 2", tomorrow + " 1 0"}, r.usage(k.ID))

	r.clock.Set(noon.Truncate(24*time.Hour).AddDate(0, 0, 91))
	require.NoError(t, r.Prune(t.Context()))
	require.Equal(t, []string{tomorrow + " 1 0"}, r.usage(k.ID), "kept for 90 days")
	keeps := rigOn(t, r.store, func(c *apikey.Config) { c.UsageRetention = -1 })
	keeps.clock.Set(noon.AddDate(1, 0, 0))
	require.NoError(t, keeps.Prune(t.Context()))
	require.Len(t, r.usage(k.ID), 1)

	_, err = r.Usage(t.Context(), owner, k.ID, noon, noon.AddDate(0, 0, apikey.MaxUsageDays+1))
	require.ErrorAs(t, err, new(*apikey.InvalidError))
}

// TestUsageIsExact tests that of many logins at once none is lost and none is
// counted twice, even if writes fail.
func TestUsageIsExact(t *testing.T) {
	const clients, logins = 8, 200
	var writes atomic.Int64
	r := rigOn(t, harness.Tapped(memstore.New(), func(context.Context, string) error {
		if writes.Add(1)%2 == 1 {
			return store.ErrUnavailable
		}
		return nil
	}, "Usage.Add"))
	k, secret := r.create(owner, "team-a", "project.list")
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range logins {
				if _, err := r.login(k.ID, secret.Reveal()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		_ = r.Flush(t.Context())
	}
	all.Wait()
	_, _ = r.Flush(t.Context()), r.Flush(t.Context()) // one of two succeeds
	require.Equal(t, []string{fmt.Sprintf("%s %d 0", noon.Format(time.DateOnly), clients*logins)}, r.usage(k.ID))
}

func TestWithoutUsage(t *testing.T) {
	st := memstore.New()
	st.Usage = nil
	r := rigOn(t, st)
	k, secret := r.create(owner, "team-a", "project.list")
	r.mustLogin(k.ID, secret)
	require.NoError(t, r.Flush(t.Context()))
	require.NoError(t, r.Prune(t.Context()))
	_, err := r.Usage(t.Context(), owner, k.ID, noon, noon)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
