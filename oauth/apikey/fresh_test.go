package apikey_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
)

// deafWatch tells nothing once it is deaf.
type deafWatch struct {
	from store.Watch
	deaf *atomic.Bool
}

func (d deafWatch) Watch(ctx context.Context, ready func(), n func(store.Notice)) error {
	return d.from.Watch(ctx, ready, func(x store.Notice) {
		if !d.deaf.Load() {
			n(x)
		}
	})
}

// What another process changed a moment ago is not in this one's cache yet: no
// change is acknowledged because the cache says that it is made.
func TestChangesLookBeyondTheCache(t *testing.T) {
	a := newRig(t)
	k := a.expiring("ci", 10*day)
	_, err := a.Disable(t.Context(), owner, k.ID)
	require.NoError(t, err)
	require.NoError(t, a.Suspend(t.Context(), admin, "team-a"))
	var deaf atomic.Bool
	st := a.store
	st.Watch = deafWatch{st.Watch, &deaf}
	c, err := cache.New(st, cache.Config{Bound: time.Minute})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	defer running.Wait()
	defer cancel()
	require.Eventually(t, c.Vouched, 30*time.Second, time.Millisecond)
	b := rigOn(t, c.Store())
	_, err = b.Get(t.Context(), owner, k.ID)
	require.NoError(t, err)
	_, err = b.Workspace(t.Context(), owner, "team-a")
	require.NoError(t, err)
	deaf.Store(true)
	require.NoError(t, a.Resume(t.Context(), admin, "team-a"))
	_, err = a.Enable(t.Context(), owner, k.ID)
	require.NoError(t, err)

	_, err = b.Disable(t.Context(), owner, k.ID)
	require.NoError(t, err)
	require.NoError(t, b.Suspend(t.Context(), admin, "team-a"))
	key, err := a.Get(t.Context(), owner, k.ID)
	require.NoError(t, err)
	require.True(t, key.Disabled)
	w, err := a.Workspace(t.Context(), owner, "team-a")
	require.NoError(t, err)
	require.True(t, w.Suspended)
}
