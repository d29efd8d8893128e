package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func TestCacheNeverChangesAnAnswer(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	token := w.token()
	first, err := v.Verify(context.Background(), token)
	require.NoError(t, err)
	second, err := v.Verify(context.Background(), token)
	require.NoError(t, err)
	require.Same(t, first, second, "the second time it comes from the cache")

	t.Run("B26 one character differs", func(t *testing.T) {
		for i := range len(token) {
			changed := token[:i] + string(token[i]^1) + token[i+1:]
			_, err := v.Verify(context.Background(), changed)
			require.Error(t, err, "byte %d", i)
		}
		for _, changed := range []string{token + "A", token[:len(token)-1], token + "=", " " + token} {
			_, err := v.Verify(context.Background(), changed)
			require.Error(t, err)
		}
	})
	t.Run("B26 another issuer's verifier", func(t *testing.T) {
		w.config.Issuer = "https://other.example.com"
		_, err := w.verifier().Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		w.config.Issuer = issuer
	})
	t.Run("B26 another audience's verifier", func(t *testing.T) {
		w.config.Audiences = []string{"https://other.example.com"}
		_, err := w.verifier().Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		w.config.Audiences = []string{audience}
	})
	t.Run("B26 its key leaves the set", func(t *testing.T) {
		w.keys.remove("k1")
		_, err := v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		w.keys.put(w.signer.Public())
	})
	t.Run("B26 its key is replaced under the same kid", func(t *testing.T) {
		w.keys.put(newWorld(t).signer.Public())
		_, err := v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		w.keys.put(w.signer.Public())
	})
	t.Run("revoked", func(t *testing.T) {
		w.epochs.raise(4)
		_, err := v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrRevoked)
		w.epochs.raise(3)
		_, err = v.Verify(context.Background(), token)
		require.NoError(t, err)
	})
	t.Run("expired", func(t *testing.T) {
		w.wait(10*time.Minute - time.Nanosecond)
		_, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		w.wait(time.Nanosecond)
		_, err = v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrExpired)
	})
}

func TestCacheCanBeOff(t *testing.T) {
	w := newWorld(t)
	for _, set := range []func(){func() { w.config.CacheEntries = -1 }, func() { w.config.CacheEntries, w.config.CacheBytes = 0, -1 }} {
		set()
		v := w.verifier()
		token := w.token()
		first, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		second, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		require.NotSame(t, first, second)
	}
}

// hmacWorld signs with HS256, for tests that need many tokens.
func hmacWorld(t testing.TB) *world {
	w := newWorld(t)
	signer, err := jose.NewSigner(jose.HS256, "k2", []byte(strings.Repeat("s", 32)))
	require.NoError(t, err)
	w.signer = signer
	w.keys.put(signer.Public())
	return w
}

func (w *world) numbered(n int) string {
	return w.token(func(c *jose.Claims) { c.TokenID = "token-" + strconv.Itoa(n) })
}

func TestCacheIsBounded(t *testing.T) {
	for _, test := range []struct {
		name           string
		tokens         int
		entries, bytes int
		limit          int // of heap, in bytes
	}{
		{"entries", 20_000, 1000, 0, 8 << 20},
		{"bytes", 20_000, 1 << 18, 2 << 20, 4 << 20},
	} {
		tokens := harness.Rounds(test.tokens, 1_000_000)
		t.Run(fmt.Sprintf("B26 %d tokens, bounded by %s", tokens, test.name), func(t *testing.T) {
			w := hmacWorld(t)
			w.config.CacheEntries, w.config.CacheBytes = test.entries, test.bytes
			before := heap()
			v := w.verifier()
			for n := range tokens {
				_, err := v.Verify(context.Background(), w.numbered(n))
				require.NoError(t, err)
			}
			grown := heap() - before
			runtime.KeepAlive(v)
			require.Less(t, grown, test.limit)
			t.Logf("%d KiB for the cache", grown>>10)

			last := w.numbered(tokens - 1)
			a, err := v.Verify(context.Background(), last)
			require.NoError(t, err)
			b, err := v.Verify(context.Background(), last)
			require.NoError(t, err)
			require.Same(t, a, b, "a full cache still takes new tokens")
		})
	}
	t.Run("B26 no more entries than configured", func(t *testing.T) {
		w := hmacWorld(t)
		w.config.CacheEntries = 100
		v := w.verifier()
		first := make([]*bearer.Principal, 1000)
		verify := func(n int) *bearer.Principal {
			p, err := v.Verify(context.Background(), w.numbered(n))
			require.NoError(t, err)
			return p
		}
		for n := range first {
			first[n] = verify(n)
		}
		kept := 0
		for n := len(first) - 1; n >= 0; n-- { // the newest first, before others replace them
			if verify(n) == first[n] {
				kept++
			}
		}
		require.LessOrEqual(t, kept, 100)
		require.GreaterOrEqual(t, kept, 50)
	})
	t.Run("B26 the oldest entry is evicted, and of a token that was added again only the older entry", func(t *testing.T) {
		w := hmacWorld(t)
		issuer := newIntrospected(t)
		introspector := w.introspecting(issuer, func(c *bearer.IntrospectorConfig) { c.CacheEntries = 2 })
		ask := func(n int) int64 {
			before := issuer.asked.Load()
			revoked, err := introspector.Revoked(t.Context(), bearer.Token{Raw: w.numbered(n)})
			require.NoError(t, err)
			require.False(t, revoked)
			return issuer.asked.Load() - before
		}
		require.EqualValues(t, 1, ask(0))
		w.wait(bearer.DefaultCacheFor)
		require.EqualValues(t, 1, ask(0), "again")
		require.EqualValues(t, 1, ask(1), "in the place of the older answer")
		require.Zero(t, ask(0))
		require.Zero(t, ask(1))
		require.EqualValues(t, 1, ask(2))
		require.Zero(t, ask(1))
		require.EqualValues(t, 1, ask(0))
	})
	t.Run("B26 the token's header is not kept in memory", func(t *testing.T) {
		w := hmacWorld(t)
		v := w.verifier()
		before := heap()
		for n := range 200 {
			token := w.numbered(n)
			header := token + strings.Repeat("x", 64<<10)
			_, err := v.Verify(context.Background(), header[:len(token)])
			require.NoError(t, err)
		}
		require.Less(t, heap()-before, 4<<20)
		runtime.KeepAlive(v)
	})
	t.Run("B26 refused tokens are not cached", func(t *testing.T) {
		w := hmacWorld(t)
		v := w.verifier()
		before := heap()
		for n := range 10_000 {
			token := w.numbered(n)
			_, err := v.Verify(context.Background(), token[:len(token)-8]+"AAAAAAAA")
			require.ErrorIs(t, err, bearer.ErrInvalid)
		}
		require.Less(t, heap()-before, 1<<20)
		runtime.KeepAlive(v)
	})
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestCacheLookUpAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	token := w.token()
	_, err := v.Verify(context.Background(), token)
	require.NoError(t, err)
	allocations := testing.AllocsPerRun(100, func() { _, _ = v.Verify(context.Background(), token) })
	require.Zero(t, allocations)
}

// Each answer must have been right at some moment of the call.
func TestConcurrentUse(t *testing.T) {
	w := hmacWorld(t)
	w.config.CacheEntries = 16
	v := w.verifier()
	tokens := make([]string, 64)
	for n := range tokens {
		tokens[n] = w.numbered(n)
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 2000 {
				n := (i*7 + g*13) % len(tokens)
				p, err := v.Verify(context.Background(), tokens[n])
				if err != nil {
					if !errors.Is(err, bearer.ErrRevoked) {
						t.Errorf("token %d: %v", n, err)
					}
					continue
				}
				if want := "token-" + strconv.Itoa(n); p.TokenID != want {
					t.Errorf("token %d answered for %s", n, p.TokenID)
				}
			}
		})
	}
	group.Go(func() {
		for i := range int64(500) {
			w.epochs.raise(3 + i%2)
		}
	})
	group.Wait()
	w.epochs.raise(4)
	for _, token := range tokens {
		_, err := v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrRevoked)
	}
}
