package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
		days, err := r.store.Usage.Days(t.Context(), "team-a", id, noon.AddDate(0, 0, -100), noon.AddDate(0, 0, 200))
		require.NoError(t, err)
		return len(days)
	}
	today := noon.Format(time.DateOnly)
	require.Zero(t, written(k.ID), "a login writes nothing")
	require.Equal(t, []string{today + " 3 2"}, r.usage(k.ID), "but it shows")
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, 1, written(k.ID))
	require.Equal(t, []string{today + " 3 2"}, r.usage(k.ID))
	require.Equal(t, []string{today + " 1 0"}, r.usage(other.ID))

	r.mustLogin(k.ID, secret)
	r.clock.Set(noon.Truncate(24*time.Hour).AddDate(0, 0, 1))
	r.mustLogin(k.ID, secret)
	tomorrow := noon.AddDate(0, 0, 1).Format(time.DateOnly)
	require.Equal(t, []string{today + " 4 2", tomorrow + " 1 0"}, r.usage(k.ID), "what is written and what is not")
	between, err := r.Usage(t.Context(), owner, k.ID, noon.Truncate(24*time.Hour), noon.Truncate(24*time.Hour).AddDate(0, 0, 1))
	require.NoError(t, err)
	require.Len(t, between, 1, "from <= day < to")
	require.NoError(t, r.Flush(t.Context()))
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

// TestUsageIsExact: of many logins at once, with writes that fail now and then
// in between, none is lost and none counted twice.
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

// TestUsageAgreesWithLastUse: while a flush is under way, and whatever part of
// it is written, a key's last use and its counts are those of all its logins.
func TestUsageAgreesWithLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Writes take their time, before and after.
		st, tap := harness.NewTap()
		tap.Before(func(_ context.Context, call string) error {
			if call == "Usage.Add" || call == "Upkeep.Touch" {
				pass(200 * time.Millisecond)
			}
			return nil
		})
		tap.After(func(call string, err error) error {
			if call == "Usage.Add" || call == "Upkeep.Touch" {
				pass(200 * time.Millisecond)
			}
			return err
		})
		r := rigOn(t, st)
		k, secret := r.create(owner, "team-a", "project.list")
		agree := func(logins int) {
			t.Helper()
			shown, err := r.Get(t.Context(), owner, k.ID)
			require.NoError(t, err)
			require.Equal(t, r.clock.Now(), shown.LastUsed)
			require.Equal(t, []string{fmt.Sprintf("%s %d 0", noon.Format(time.DateOnly), logins)}, r.usage(k.ID))
		}
		logins := 0
		for n := range 10 {
			r.clock.Advance(time.Second)
			r.mustLogin(k.ID, secret)
			logins++
			agree(logins)
			go func() { _ = r.Flush(context.Background()) }()
			for i := range 12 {
				pass(100 * time.Millisecond)
				if i == n { // before, between or after the writes
					r.clock.Advance(time.Second)
					r.mustLogin(k.ID, secret)
					logins++
				}
				agree(logins)
			}
			synctest.Wait()
		}
	})
}

// TestUsageWaitsForNoHungWrite: a caller that cannot wait until a write ends gets an
// outage, and nothing is lost.
func TestUsageWaitsForNoHungWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := true
		r := rigOn(t, harness.Tapped(memstore.New(), func(ctx context.Context, _ string) error {
			if !hangs {
				return nil
			}
			<-ctx.Done()
			return store.ErrUnavailable
		}, "Usage.Add"))
		k, secret := r.create(owner, "team-a", "project.list")
		r.mustLogin(k.ID, secret)
		flush, end := context.WithTimeout(context.Background(), 10*time.Second)
		defer end()
		go func() { _ = r.Flush(flush) }()
		synctest.Wait()
		brief, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := r.Usage(brief, owner, k.ID, noon, noon.AddDate(0, 0, 1))
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, time.Second, time.Since(began))
		<-flush.Done()
		synctest.Wait()
		hangs = false
		require.Equal(t, []string{noon.Format(time.DateOnly) + " 1 0"}, r.usage(k.ID))
	})
}

// TestUsageWaitsForNoOtherReader: who reads a key's counts that do not come
// holds up neither other readers nor the writes.
func TestUsageWaitsForNoOtherReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		usage := &hungDays{Usage: st.Usage}
		st.Usage = usage
		r := rigOn(t, st)
		k, secret := r.create(owner, "team-a", "project.list")
		usage.workspace = "team-b"
		theirs, _ := r.create(admin, "team-b", "project.list")
		r.mustLogin(k.ID, secret)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		go func() { _, _ = r.Usage(ctx, admin, theirs.ID, noon, noon) }()
		synctest.Wait()
		began := time.Now()
		want := []string{noon.Format(time.DateOnly) + " 1 0"}
		require.Equal(t, want, r.usage(k.ID))
		brief, end := context.WithTimeout(context.Background(), time.Second)
		defer end()
		require.NoError(t, r.Flush(brief))
		require.Equal(t, want, r.usage(k.ID))
		require.Equal(t, began, time.Now())
		cancel()
		synctest.Wait()
	})
}

// TestUsageWhileAFlushBegins: what is written between two looks is not missed.
func TestUsageWhileAFlushBegins(t *testing.T) {
	st := memstore.New()
	usage := &overtakenDays{Usage: st.Usage}
	st.Usage = usage
	r := rigOn(t, st)
	usage.flush = r.Flush
	k, secret := r.create(owner, "team-a", "project.list")
	r.mustLogin(k.ID, secret)
	require.Equal(t, []string{noon.Format(time.DateOnly) + " 1 0"}, r.usage(k.ID))
}

// overtakenDays answers once with what was there before a flush.
type overtakenDays struct {
	store.Usage
	flush func(context.Context) error
}

func (o *overtakenDays) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	days, err := o.Usage.Days(ctx, workspace, key, from, to)
	if flush := o.flush; flush != nil {
		o.flush = nil
		err = errors.Join(err, flush(ctx))
	}
	return days, err
}

// hungDays does not answer for one workspace.
type hungDays struct {
	store.Usage
	workspace string
}

func (h *hungDays) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if workspace == h.workspace {
		<-ctx.Done()
		return nil, store.ErrUnavailable
	}
	return h.Usage.Days(ctx, workspace, key, from, to)
}

func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
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
