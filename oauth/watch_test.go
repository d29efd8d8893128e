package oauth_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// breakingStream is a stream that a test can end and open again.
type breakingStream struct {
	from store.Watch

	mu     sync.Mutex
	broken bool
	end    context.CancelFunc // of the present stream
	calls  int
}

// breakOff ends the stream, and every one that is opened before restore is called.
func (m *breakingStream) breakOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = true
	if m.end != nil {
		m.end()
	}
}

func (m *breakingStream) restore() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = false
}

// opened returns how often it was opened, or tried to, since the last call.
func (m *breakingStream) opened() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = 0
	return calls
}

// Watch implements store.Watch.
func (m *breakingStream) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	m.calls++
	m.end = cancel
	broken := m.broken
	m.mu.Unlock()
	if broken {
		return store.ErrUnavailable
	}
	return m.from.Watch(ctx, ready, notify)
}

func TestWatch(t *testing.T) {
	t.Run("signing keys that changed elsewhere are read at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			below, tapped := memstore.New(), &storetest.Tap{}
			keys, stream := below.SigningKeys, &breakingStream{from: below.Watch}
			st := tapped.Over(below)
			st.Watch = stream
			srv, err := oauth.New(st, oauth.Config{
				Logger: quiet, Issuer: "https://a.example", Permissions: catalog, SealKeys: []oauth.SealKey{sealKey(1)},
			})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- srv.Run(ctx) }()
			synctest.Wait()
			tapped.Take()
			ring, err := keys.Ring(t.Context())
			require.NoError(t, err)
			require.NoError(t, keys.SetRing(t.Context(), ring))
			synctest.Wait()
			require.Equal(t, 1, tapped.Take()["SigningKeys.Ring"])

			stream.breakOff()
			synctest.Wait()
			require.Zero(t, tapped.Take()["SigningKeys.Ring"])
			stream.restore()
			time.Sleep(3 * time.Second) //nolint:forbidigo // the bubble's clock
			require.Equal(t, 1, tapped.Take()["SigningKeys.Ring"], "the keys may have changed without a notification")
			cancel()
			require.NoError(t, <-done)
		})
	})
	t.Run("B19 a stream that breaks is opened again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st, log := memstore.New(), &harness.Recorder{}
			stream := &breakingStream{from: st.Watch}
			st.Watch = stream
			srv, err := oauth.New(st, oauth.Config{
				Logger: log.Logger(), Issuer: "https://a.example", Permissions: catalog,
			})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- srv.Run(ctx) }()
			synctest.Wait()
			require.Equal(t, 1, stream.opened())
			stream.breakOff()
			time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
			require.InDelta(t, 34, stream.opened(), 3, "every two seconds, and the first ones sooner")
			require.Equal(t, 1, strings.Count(log.String(), "stream of changes broke"), "logged once")
			stream.restore()
			time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's clock
			require.Equal(t, 1, stream.opened())
			stream.breakOff()
			stream.restore()
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the bubble's clock
			require.Equal(t, 1, stream.opened(), "a stream that held is opened again without delay")
			require.Equal(t, 2, strings.Count(log.String(), "stream of changes broke"))
			cancel()
			require.NoError(t, <-done)
		})
	})
}
