package oauthtest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestCheckStore(t *testing.T) {
	t.Parallel()
	t.Run("B27 memstore", func(t *testing.T) {
		oauthtest.CheckStore(t, memstore.New(), harness.Rounds(15, 15))
	})
}

// careless is a driver that accepts one creation by a key long after the key was disabled.
type careless struct {
	store.Keys
	held    atomic.Bool
	lists   atomic.Int64
	release chan struct{}
}

func (k *careless) Create(ctx context.Context, key store.Key, limit int, c store.Change) error {
	if key.CreatedBy.Kind == "key" && k.held.CompareAndSwap(false, true) {
		<-k.release
		c.Preconditions = nil
	}
	return k.Keys.Create(ctx, key, limit, c)
}

// List releases the creation after the keys were listed twice, each in several pages.
func (k *careless) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	page, err := k.Keys.List(ctx, q)
	if page.Next == nil && k.lists.Add(1) == 2 {
		close(k.release)
	}
	return page, err
}

func TestCheckStoreFinds(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	st.Keys = &careless{Keys: st.Keys, release: make(chan struct{})}
	reports := play(func(t testing.TB) { oauthtest.CheckStore(t, st, 1) }).reports
	require.Len(t, reports, 1)
	require.Contains(t, reports[0], "Disable of a key that makes keys, round 1 of 1: 0 keys worked after the call returned, and 1 after the callers stopped")
}
