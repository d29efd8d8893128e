package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

func BenchmarkLookup(b *testing.B) {
	s := benchmarked(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Keys.Lookup(b.Context(), "key-1"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPing is the trip alone, as the client makes it.
func BenchmarkPing(b *testing.B) {
	client := sharedClient(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Ping(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEpochs(b *testing.B) {
	s := benchmarked(b)
	b.ReportAllocs()
	for b.Loop() {
		ref := store.TokenRef{Workspace: "team-a", Key: "key-1", Secret: "s1", TokenID: "token-1"}
		if _, err := s.Epochs.Read(b.Context(), ref); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	s := benchmarked(b)
	n := 0
	for b.Loop() {
		n++
		k := newKey(fmt.Sprint("team-", n%100), fmt.Sprint("new-", n))
		if err := s.Keys.Create(b.Context(), k, store.NoLimit, store.Change{Now: noon}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarked(b *testing.B) store.Store {
	b.Helper()
	client := sharedClient(b)
	s := newDriver(b, client, redisstore.Config{Prefix: newPrefix(b, client)}).Store()
	create(b, s, "team-a", "key-1")
	return s
}

// What a look-up costs this process beyond the client's bare trip is bounded;
// published is 30 us, asserted ten times that.
func TestLookupCost(t *testing.T) {
	client := sharedClient(t)
	s := newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
	create(t, s, "team-a", "key-1")
	ctx := context.Background()
	fastest := func(do func() error) time.Duration {
		best := time.Hour
		for range 50 {
			begun := time.Now()
			for range 20 {
				require.NoError(t, do())
			}
			best = min(best, time.Since(begun)/20)
		}
		return best
	}
	trip := fastest(func() error { return client.Ping(ctx).Err() })
	whole := fastest(func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err })
	t.Logf("a look-up takes %s, a bare trip %s", whole, trip)
	require.Less(t, whole-trip, 300*time.Microsecond)
	allocations := testing.AllocsPerRun(100, func() { _, _ = s.Keys.Lookup(ctx, "key-1") })
	t.Logf("%.0f allocations", allocations)
}
