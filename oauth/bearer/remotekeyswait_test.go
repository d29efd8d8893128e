package bearer_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// How long Key waits, without Run. The time of a synctest bubble is exact.
func TestKeyWaits(t *testing.T) {
	set := string(jwks(t, newWorld(t).signer.Public()))
	// outdated returns a set that is older than Refresh. Its issuer hangs, unless an answer is given.
	outdated := func(t *testing.T, answer string) (keys *bearer.RemoteKeys, fetches *atomic.Int64) {
		fetches = &atomic.Int64{}
		keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
			URL: "https://api.example.com/jwks", SkipWrong: true, Logger: slog.New(slog.DiscardHandler),
			Client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				switch {
				case fetches.Add(1) == 1:
					return respond(200, set)
				case answer != "":
					return respond(200, answer)
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		require.NoError(t, err)
		_, err = keys.Key(t.Context(), "k1")
		require.NoError(t, err)
		<-time.After(bearer.DefaultRefresh)
		return keys, fetches
	}
	t.Run("B19 a known key is used while the issuer hangs, and half of the time is left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			keys, _ := outdated(t, "")
			ctx, end := context.WithTimeout(t.Context(), 900*time.Millisecond)
			defer end()
			begin := time.Now()
			_, err := keys.Key(ctx, "k1")
			require.NoError(t, err)
			require.Equal(t, 450*time.Millisecond, time.Since(begin))
			<-time.After(bearer.DefaultKeysTimeout)
		})
	})
	t.Run("B19 an unknown key is waited for until the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			keys, _ := outdated(t, "")
			ctx, end := context.WithTimeout(t.Context(), 900*time.Millisecond)
			defer end()
			begin := time.Now()
			_, err := keys.Key(ctx, "k2")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 900*time.Millisecond, time.Since(begin))
			<-time.After(bearer.DefaultKeysTimeout)
		})
	})
	t.Run("B17 a ctx that has ended leaves the fetch to the next call, which waits for it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			keys, fetches := outdated(t, `{"keys":[]}`)
			ended, end := context.WithCancel(t.Context())
			end()
			_, err := keys.Key(ended, "k1")
			require.ErrorIs(t, err, context.Canceled)
			require.EqualValues(t, 1, fetches.Load())
			_, err = keys.Key(t.Context(), "k1")
			require.Equal(t, bearer.ErrUnknownKey, err, "the issuer has withdrawn it")
		})
	})
	t.Run("B17 an empty set is a failure without SkipWrong", func(t *testing.T) {
		keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
			URL: "https://api.example.com/jwks", Logger: slog.New(slog.DiscardHandler),
			Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return respond(200, `{"keys":[]}`) })},
		})
		require.NoError(t, err)
		_, err = keys.Key(t.Context(), "k1")
		require.Error(t, err)
		require.NotErrorIs(t, err, bearer.ErrUnknownKey)
	})
}
