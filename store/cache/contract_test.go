package cache_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// small fits in the many stores of a suite.
var small = cache.Config{Bound: time.Minute, Entries: 64, Logger: quiet}

// apart is a store whose epochs live in another one.
func apart() (st, other store.Store) {
	st, other = memstore.New(), memstore.New()
	st.Epochs = other.Epochs
	return st, other
}

func TestContract(t *testing.T) {
	t.Run("with a stream", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store { return cached(t, memstore.New(), small) })
	})
	t.Run("while nobody follows it", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store {
			c, err := cache.New(memstore.New(), small)
			require.NoError(t, err)
			return c.Store()
		})
	})
	t.Run("over another cache", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store { return cached(t, cached(t, memstore.New(), small), small) })
	})
	t.Run("with epochs of another store", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store {
			st, other := apart()
			cfg := small
			cfg.EpochsWatch = other.Watch
			return cached(t, st, cfg)
		})
	})
	t.Run("with epochs of another store that are not cached", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) store.Store {
			st, _ := apart()
			return cached(t, st, small)
		})
	})
}
