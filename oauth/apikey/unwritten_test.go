package apikey_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestUnwrittenIsBounded tests that the memory that logins and refusals use is
// bounded, however many keys there are and however long the store fails.
func TestUnwrittenIsBounded(t *testing.T) {
	today := noon.Truncate(24 * time.Hour)
	t.Run("B04 last uses and counts", func(t *testing.T) {
		u := apikey.NewUnwritten()
		logins := func(from int, at time.Time) {
			for i := range apikey.MaxUnwritten + 10 {
				u.Login(strconv.Itoa(from+i), at)
			}
		}
		logins(0, noon)
		within := func() {
			t.Helper()
			uses, counts, _, _ := u.Kept()
			require.Equal(t, []int{apikey.MaxUnwritten, apikey.MaxUnwritten}, []int{uses, counts})
		}
		within()
		u.Login("0", noon.Add(time.Minute))
		last, n := u.Of("0", today)
		require.Equal(t, noon.Add(time.Minute), last, "a key that is already counted goes on")
		require.EqualValues(t, 2, n)
		u.Flush(true, func() { logins(1<<20, noon) })
		within()
	})
	t.Run("after a failed write an older use does not replace a newer one", func(t *testing.T) {
		u := apikey.NewUnwritten()
		u.Login("ci", noon)
		u.Flush(true, func() { u.Login("ci", noon.Add(time.Minute)) })
		last, n := u.Of("ci", today)
		require.Equal(t, noon.Add(time.Minute), last)
		require.EqualValues(t, 2, n)
	})
	t.Run("B04 events of refusals, and the names of the hour", func(t *testing.T) {
		u := apikey.NewUnwritten()
		refusals := func(from int) {
			for i := range apikey.MaxRefusals + 10 {
				u.Refusal(strconv.Itoa(from+i), noon)
			}
		}
		within := func() {
			t.Helper()
			_, _, events, names := u.Kept()
			require.Equal(t, apikey.MaxRefusals, events)
			require.LessOrEqual(t, names, apikey.MaxRefusals)
		}
		refusals(0)
		within()
		u.Flush(true, func() { refusals(1 << 20) })
		within()
		u.Flush(false, func() {})
		refusals(1 << 21)
		within()
	})
}
