package cache_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// onBoth runs a benchmark on a memstore with keys, and on a cache over it.
func onBoth(b *testing.B, run func(b *testing.B, st store.Reads, ids []string)) {
	b.Helper()
	const keys = 1000
	ids := make([]string, keys)
	below := memstore.New()
	for i := range ids {
		ids[i] = "key-" + strconv.Itoa(i)
		create(b, below, newKey(fmt.Sprint("team-", i%10), ids[i]))
	}
	cfg := patient
	cfg.Entries = 0
	st := cached(b, below, cfg)
	b.Run("cache", func(b *testing.B) { run(b, st.Reads(), ids) })
	b.Run("memstore", func(b *testing.B) { run(b, below.Reads(), ids) })
}

func BenchmarkLookupHit(b *testing.B) { lookUpHits(b, store.Reads.Lookup, "") }

func BenchmarkLookupSecretHit(b *testing.B) { lookUpHits(b, store.Reads.LookupSecret, "s1-") }

func lookUpHits(b *testing.B, lookUp func(store.Reads, context.Context, string) (store.Found, error), prefix string) {
	onBoth(b, func(b *testing.B, st store.Reads, keys []string) {
		var ids []string
		for _, id := range keys {
			ids = append(ids, prefix+id)
		}
		for _, id := range ids {
			_, err := lookUp(st, background, id)
			require.NoError(b, err)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := lookUp(st, background, ids[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

func BenchmarkEpochsHit(b *testing.B) {
	onBoth(b, func(b *testing.B, st store.Reads, ids []string) {
		refs := make([]store.TokenRef, len(ids))
		for i, id := range ids {
			refs[i] = store.TokenRef{Workspace: fmt.Sprint("team-", i%10), Key: id, Credential: "s1-" + id, TokenID: "token of " + id}
		}
		for _, ref := range refs {
			_, err := st.Read(background, ref)
			require.NoError(b, err)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := st.Read(background, refs[i%len(refs)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

func BenchmarkLookupUnknown(b *testing.B) {
	onBoth(b, func(b *testing.B, st store.Reads, _ []string) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := st.Lookup(background, "unknown"); err == nil {
				b.Fatal("found")
			}
		}
	})
}

func TestHitsDoNotAllocate(t *testing.T) {
	below := memstore.New()
	k := newKey("team-a", "key-1")
	k.Credentials = append(k.Credentials,
		store.Credential{ID: "p1", PublicKey: &store.PublicKey{JWK: "{}"}}, store.Credential{ID: "t1", Trust: &store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "ref"}}}})
	create(t, below, k)
	st := cached(t, below, patient)
	warm(t, st)
	ref, reads := token("key-1"), st.Reads()
	ofTrust := ref
	ofTrust.Credential = "t1"
	_, err := reads.Read(background, ofTrust)
	require.NoError(t, err)
	_, err = reads.LookupSecret(background, "p1")
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = reads.Read(background, ofTrust) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = reads.LookupSecret(background, "p1") }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = reads.Read(background, ref) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = reads.Lookup(background, "key-1") }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = reads.LookupSecret(background, "s1-key-1") }))
}
