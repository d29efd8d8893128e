package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// small is the configuration for the many stores of a suite.
var small = cache.Config{Bound: time.Minute, Entries: 64, Logger: quiet}

// fromMemory returns st with the cached reads as its Lookup, LookupSecret and Epochs.Read,
// so that the suite tests them.
func fromMemory(st store.Store) store.Store {
	st.Keys = cachedLookups{st.Keys, st.Cached}
	st.Secrets = cachedSecrets{st.Cached}
	st.Epochs = cachedEpochs{st.Epochs, st.Cached}
	return st
}

type cachedLookups struct {
	store.Keys
	reads store.Reads
}

func (k cachedLookups) Lookup(ctx context.Context, id string) (store.Found, error) {
	return copied(k.reads.Lookup(ctx, id))
}

type cachedSecrets struct{ reads store.Reads }

func (s cachedSecrets) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return copied(s.reads.LookupSecret(ctx, secretID))
}

// copied copies a key, since the callers of store.Reads share its slices.
func copied(found store.Found, err error) (store.Found, error) {
	found.Key = found.Key.Clone()
	return found, err
}

type cachedEpochs struct {
	store.Epochs
	reads store.Reads
}

func (e cachedEpochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	return e.reads.Read(ctx, ref)
}

func TestContract(t *testing.T) {
	for _, tc := range []struct {
		name string
		open func(t *testing.T) store.Store
	}{
		{"with a stream", func(t *testing.T) store.Store { return cached(t, memstore.New(), small) }},
		{"without a stream", func(t *testing.T) store.Store {
			c, err := cache.New(memstore.New(), small)
			require.NoError(t, err)
			return c.Store()
		}},
		{"over another cache", func(t *testing.T) store.Store { return cached(t, cached(t, memstore.New(), small), small) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store { return fromMemory(tc.open(t)) })
		})
	}
}
