package reminders_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/reminders"
)

// TestReminderDeadlines tests that the context of a hook that hangs ends, and that
// the write that records a sent reminder has a deadline.
func TestReminderDeadlines(t *testing.T) {
	t.Run("sending", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(s *setup) {
				s.send = func(ctx context.Context, _ reminders.Reminder) error { <-ctx.Done(); return ctx.Err() }
			})
			r.expiring("ci", 10*day)
			began := time.Now()
			require.ErrorIs(t, r.Remind(t.Context()), context.DeadlineExceeded)
			require.Equal(t, time.Minute, time.Since(began))
		})
	})
	t.Run("noting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st, tap := harness.NewTap()
			r := rigOn(t, st, func(s *setup) {
				s.send = func(context.Context, reminders.Reminder) error {
					tap.Before(func(ctx context.Context, call string) error {
						if call != "OnceIDs.Spend" {
							return nil
						}
						tap.Before(nil)
						return harness.Hang(ctx, call)
					})
					return nil
				}
			})
			r.expiring("ci", 10*day)
			began := time.Now()
			require.ErrorIs(t, r.Remind(t.Context()), context.DeadlineExceeded)
			require.Equal(t, 5*time.Second, time.Since(began))
		})
	})
}
