package sqlstore_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// BenchmarkLookup compares a look-up with its bare query. The difference is the cost of
// package sqlstore.
func BenchmarkLookup(b *testing.B) {
	ctx := context.Background()
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			driver, source := e.space(b)
			db, p := tapped(b, driver, source)
			s := e.tables(b, db, sqlstore.Config{}).Store()
			require.NoError(b, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
			_, err := s.Keys.Lookup(ctx, "key-1")
			require.NoError(b, err)
			lookup, found := find(p.recorded(), func(text string) bool { return strings.Contains(text, "LEFT JOIN latchkey_keys k") })
			require.True(b, found)
			stmt, err := db.PrepareContext(ctx, lookup.text)
			require.NoError(b, err)
			defer stmt.Close()
			b.Run("bare query", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					rows, err := stmt.QueryContext(ctx, []byte("key-1"))
					if err != nil || !rows.Next() || rows.Close() != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("look-up", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Keys.Lookup(ctx, "key-1"); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
