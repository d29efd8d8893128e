//go:build timing

package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// A look-up, a read of epochs and a limiter call are one round trip each: through a proxy
// that delays answers, each takes the delay once.
func TestTimingOneRoundTrip(t *testing.T) {
	const delay = 400 * time.Millisecond
	ctx := context.Background()
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			driver, source := e.space(t)
			proxy, source := behind(t, driver, source)
			db := dial(t, driver, source)
			db.SetMaxOpenConns(1)
			s := e.tables(t, db, sqlstore.Config{}).Store()
			require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
			for name, call := range map[string]func() error{
				"look-up": func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err },
				"epochs": func() error {
					_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1"})
					return err
				},
				"attempt": func() error { return thirdResult(s.Limiter.Advance(ctx, "id", noon, time.Second, time.Hour)) },
			} {
				require.NoError(t, call()) // prepares the connection's statements
				fastest := time.Hour
				for range 3 { // at least one is not delayed by the machine
					proxy.Delay(delay)
					start := time.Now()
					require.NoError(t, call())
					fastest = min(fastest, time.Since(start))
					proxy.Delay(0)
				}
				require.GreaterOrEqual(t, fastest, delay, name)
				require.Less(t, fastest, 2*delay, name)
			}
		})
	}
}
