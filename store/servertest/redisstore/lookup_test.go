package redisstore_test

import (
	"fmt"
	"testing"

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

// BenchmarkPing measures a bare round trip of the client.
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
		ref := store.TokenRef{Workspace: "team-a", Key: "key-1", Credential: "s1-key-1", TokenID: "token-1"}
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
