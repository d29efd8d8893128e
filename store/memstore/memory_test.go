package memstore_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// realisticKey returns the n-th of many keys like those of a host: with a UUID, a name of 20
// bytes, one secret with an HMAC digest, and five permissions that are parsed each time.
func realisticKey(n int) store.Key {
	sum := sha256.Sum256([]byte(strconv.Itoa(n)))
	perms := scope.MustParse("project.list project.read project.write member.list member.read")
	return store.Key{
		ID:          fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		Workspace:   fmt.Sprintf("workspace-%d", n%1000),
		Name:        fmt.Sprintf("deployment-%09d", n),
		Permissions: perms, RequestedPermissions: perms,
		Credentials: []store.Credential{{
			ID: fmt.Sprintf("%x", sum[16:24]), Hint: "aB3x",
			Digest:    "hmac-sha256$1$" + base64.RawURLEncoding.EncodeToString(sum[:]),
			Generated: true, Created: start,
		}},
		NotAfter:  start.AddDate(0, 0, 90),
		CreatedBy: store.ActorRef{Kind: "admin", ID: fmt.Sprintf("person-%d", n%5000)},
		Created:   start.Add(time.Duration(n) * time.Second), Updated: start,
	}
}

// filled returns a store with n keys, and the size of the heap that they use.
func filled(tb testing.TB, n int) (store.Store, int64) {
	before := heap()
	s := memstore.New()
	for i := range n {
		require.NoError(tb, s.Keys.Create(context.Background(), realisticKey(i), store.NoLimit, store.Change{}))
	}
	used := heap() - before
	runtime.KeepAlive(s)
	return s, used
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryOfAKey(t *testing.T) {
	n := 100_000
	switch {
	case os.Getenv("LATCHKEY_SOAK") == "1":
		n = 1_000_000
	case testing.Short():
		n = 20_000
	}
	s, used := filled(t, n)
	t.Logf("%d keys take %d MB, %d bytes each", n, used/1_000_000, used/int64(n))
	require.Less(t, used, int64(1200*n)) // 30 to 60 of them for the map of the secrets
	found, err := s.Keys.Lookup(context.Background(), realisticKey(n/2).ID)
	require.NoError(t, err)
	require.Equal(t, realisticKey(n/2).Name, found.Key.Name)
}

// TestAllocations counts the allocations of the frequent calls: those of a login, and of
// the first request with a token.
func TestAllocations(t *testing.T) {
	s, _ := filled(t, 1000)
	k, ctx := realisticKey(500), context.Background()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = s.Keys.Lookup(ctx, k.ID) }), 1.0)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = s.Secrets.LookupSecret(ctx, k.Credentials[0].ID) }), 1.0)
	ref := store.TokenRef{Workspace: k.Workspace, Key: k.ID, Credential: k.Credentials[0].ID, TokenID: "t"}
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = s.Epochs.Read(ctx, ref) }))
	limiter := memstore.NewLimiter(1000)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _, _ = limiter.Advance(ctx, k.ID, start, 1, 1000) }))
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		s, _ := filled(b, n)
		ids := make([]string, 1000)
		for i := range ids {
			ids[i] = realisticKey(i * n / 1000).ID
		}
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := s.Keys.Lookup(context.Background(), ids[i%len(ids)]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkEpochsRead(b *testing.B) {
	s, _ := filled(b, 1000)
	k := realisticKey(500)
	ref := store.TokenRef{Workspace: k.Workspace, Key: k.ID, Credential: k.Credentials[0].ID, TokenID: "t"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Epochs.Read(context.Background(), ref); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	limiter := memstore.NewLimiter(1 << 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := limiter.Advance(context.Background(), "192.0.2.1", start, time.Millisecond, time.Second); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMillionKeys reports the memory of a key and the time of a look-up in a large
// store. LATCHKEY_KEYS sets the number of keys; a million take some ten seconds.
func BenchmarkMillionKeys(b *testing.B) {
	n := 1_000_000
	if text := os.Getenv("LATCHKEY_KEYS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	s, used := filled(b, n)
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = realisticKey(int(uint64(i) * 2_654_435_761 % uint64(n))).ID
	}
	i := 0
	for b.Loop() {
		i++
		if _, err := s.Keys.Lookup(context.Background(), ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(used)/float64(n), "bytes/key")
	b.ReportMetric(float64(used)/1e6, "MB")
}
