package reminders_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestRemindersInAnOutage tests that nothing is sent without a claim, and that a
// sent reminder that could not be recorded is sent again with the same id.
func TestRemindersInAnOutage(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails int // which of the calls: find sent, find attempt, spend attempt, find sent, spend sent
		calls []int
	}{
		{"is it sent", 1, []int{0, 1}}, {"is there an attempt", 2, []int{0, 1}}, {"the claim", 3, []int{0, 1}},
		{"is it sent meanwhile", 4, []int{0, 1}}, {"the record", 5, []int{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in inbox
			calls := 0
			r := rigOn(t, harness.Tapped(memstore.New(), func(context.Context, string) error {
				if calls++; calls == c.fails {
					return store.ErrUnavailable
				}
				return nil
			}, "OnceIDs.Find", "OnceIDs.Spend"), in.config)
			r.expiring("ci", 10*day)
			require.ErrorIs(t, (r.Remind(t.Context())), store.ErrUnavailable)
			require.Len(t, in.got, c.calls[0])
			r.clock.Advance(5 * time.Minute)
			require.NoError(t, r.Remind(t.Context()))
			require.NoError(t, r.Remind(t.Context()))
			require.Len(t, in.got, c.calls[1])
			for _, again := range in.got {
				require.Equal(t, in.got[0].ID, again.ID)
			}
		})
	}
}
