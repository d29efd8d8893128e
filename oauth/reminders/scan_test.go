package reminders_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestRemindersOfEnforcedRules tests that if rules end a key before its own expiry,
// each reminder is sent before that end, once, by one of two replicas that scan
// every hour.
func TestRemindersOfEnforcedRules(t *testing.T) {
	life := store.Rules{MaxLifetime: 20 * day, EnforcedFrom: noon}
	for _, c := range []struct {
		name      string
		workspace string
		rules     store.Rules
		expiry    time.Duration
		ends      time.Duration
		early     time.Duration // at most
		sent      []string
	}{
		{"a longest life, no expiry", "", life, 0, 20 * day, time.Hour, []string{"ci 720h0m0s", "ci 168h0m0s", "ci 24h0m0s"}},
		{"a longest life, a later expiry", "", life, 30 * day, 20 * day, time.Hour, []string{"ci 720h0m0s", "ci 168h0m0s", "ci 24h0m0s"}},
		{"a longest life, an earlier expiry", "", life, 10 * day, 10 * day, 0, []string{"ci 720h0m0s", "ci 168h0m0s", "ci 24h0m0s"}},
		{"a longest life, the same expiry", "", life, 20 * day, 20 * day, 0, []string{"ci 720h0m0s", "ci 168h0m0s", "ci 24h0m0s"}},
		{"an expiry is needed", "", store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(40 * day)}, 0, 40 * day, time.Hour, []string{"ci 720h0m0s", "ci 168h0m0s", "ci 24h0m0s"}},
		{"of the workspace", "team-a", life, 0, 20 * day, day, []string{"ci 720h0m0s", "ci 168h0m0s", "ci 24h0m0s"}},
		{"of another workspace", "team-b", life, 0, 0, 0, nil},
		{"for new keys", "", store.Rules{RequireExpiry: true, MaxLifetime: 20 * day}, 0, 0, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in inbox
			r := newRig(t, in.config)
			other := rigOn(t, r.store, in.config)
			r.expiring("ci", c.expiry)
			disabled := r.expiring("disabled", c.expiry)
			_, err := r.Disable(t.Context(), owner, disabled.ID, 0)
			require.NoError(t, err)
			r.rules(c.workspace, c.rules)
			var sent []string
			for at := time.Duration(0); at <= 45*day; at += time.Hour {
				for _, one := range []*rig{r, other} {
					one.clock.Set(noon.Add(at))
					require.NoError(t, one.Remind(t.Context()))
				}
				in.mu.Lock()
				for _, reminder := range in.got {
					require.Equal(t, noon.Add(c.ends), reminder.Expires)
					if due := max(0, c.ends-reminder.Before); at > 0 {
						require.LessOrEqual(t, at, due, "late")
						require.GreaterOrEqual(t, at, due-c.early, "early")
					}
				}
				in.mu.Unlock()
				sent = append(sent, in.take()...)
			}
			require.Equal(t, c.sent, sent)
		})
	}
}

// TestRemindersWhenRulesChange follows one key from one end to another.
func TestRemindersWhenRulesChange(t *testing.T) {
	var in inbox
	r := newRig(t, in.config)
	r.expiring("ci", 100*day)
	at := func(after time.Duration) []string {
		t.Helper()
		r.clock.Set(noon.Add(after))
		require.NoError(t, r.Remind(t.Context()))
		return in.take()
	}
	require.Empty(t, at(0))
	r.rules("", store.Rules{MaxLifetime: 40 * day, EnforcedFrom: noon})
	require.Empty(t, at(9*day), "it ends in 31 days")
	require.Equal(t, []string{"ci 720h0m0s"}, at(10*day))
	r.rules("", store.Rules{MaxLifetime: 50 * day, EnforcedFrom: noon})
	require.Empty(t, at(19*day), "it ends in 31 days again")
	require.Equal(t, []string{"ci 720h0m0s"}, at(20*day))
	r.rules("", store.Rules{})
	require.Empty(t, at(49*day), "no rule ends it any more")
	require.Equal(t, []string{"ci 720h0m0s"}, at(70*day), "its own expiry")
	r.rules("", store.Rules{MaxLifetime: 75 * day, EnforcedFrom: noon})
	require.Equal(t, []string{"ci 168h0m0s"}, at(70*day+time.Hour), "it ends in 5 days")
	require.Equal(t, []string{"ci 24h0m0s"}, at(74*day+time.Hour))
	require.Empty(t, at(75*day), "it has ended")
}

// countedLists counts how often all keys are listed, and fails on demand.
type countedLists struct {
	store.Keys
	all  atomic.Int64
	fail atomic.Bool
}

func (l *countedLists) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	if q.NotAfterFrom.IsZero() {
		if l.fail.Load() {
			return store.KeyPage{}, store.ErrUnavailable
		}
		l.all.Add(1)
	}
	return l.Keys.List(ctx, q)
}

func TestScansAreFew(t *testing.T) {
	for name, c := range map[string]struct {
		rules store.Rules
		want  int64
	}{
		"rules from a date": {store.Rules{MaxLifetime: 20 * day, EnforcedFrom: noon}, 36},
		"rules without":     {store.Rules{MaxLifetime: 20 * day}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var in inbox
			st := memstore.New()
			lists := &countedLists{Keys: st.Keys}
			st.Keys = lists
			replicas := []*rig{rigOn(t, st, in.config), rigOn(t, st, in.config), rigOn(t, st, in.config)}
			replicas[0].rules("", c.rules)
			for at := time.Duration(0); at < 36*time.Hour; at += 5 * time.Minute {
				for _, r := range replicas {
					r.clock.Set(noon.Add(at))
					require.NoError(t, r.Remind(t.Context()))
				}
			}
			require.Equal(t, c.want, lists.all.Load())
			replicas[0].reminders(true)
			replicas[0].clock.Advance(day)
			require.NoError(t, replicas[0].Remind(t.Context()))
			require.Equal(t, c.want, lists.all.Load(), "while reminders are off there is nothing to look for")
		})
	}
}

// TestAScanIsMadeAgain tests that a scan is made again only if it was interrupted,
// and that a reminder that could not be sent waits for the next scan.
func TestAScanIsMadeAgain(t *testing.T) {
	var in inbox
	st := memstore.New()
	lists := &countedLists{Keys: st.Keys}
	st.Keys = lists
	r := rigOn(t, st, in.config)
	r.expiring("ci", 0)
	r.rules("", store.Rules{MaxLifetime: 5 * day, EnforcedFrom: noon})
	remind := func(after time.Duration) error {
		r.clock.Set(noon.Add(after))
		return r.Remind(t.Context())
	}
	lists.fail.Store(true)
	require.ErrorIs(t, remind(0), store.ErrUnavailable)
	lists.fail.Store(false)
	require.NoError(t, remind(4*time.Minute))
	require.Empty(t, in.take(), "not before its time")
	lists.fail.Store(true)
	require.ErrorIs(t, remind(5*time.Minute), store.ErrUnavailable)
	require.Empty(t, in.take(), "nothing is sent while keys and rules cannot be read")
	lists.fail.Store(false)
	in.fail = errors.New("the mail server is down")
	require.ErrorIs(t, remind(15*time.Minute), in.fail)
	in.fail = nil
	require.NoError(t, remind(59*time.Minute))
	require.Empty(t, in.take())
	require.NoError(t, remind(time.Hour))
	require.Equal(t, []string{"ci 168h0m0s"}, in.take())
	require.EqualValues(t, 2, lists.all.Load())
}
