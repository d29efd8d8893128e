package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// publisher is an issuer's JWKS endpoint. It counts requests, and tests can
// break it.
type publisher struct {
	*httptest.Server
	fetches atomic.Int64

	mu     sync.Mutex
	keys   []jose.PublicKey
	broken http.HandlerFunc // instead of the set
}

func newPublisher(t testing.TB, keys ...jose.PublicKey) *publisher {
	p := &publisher{keys: keys}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		p.mu.Lock()
		keys, broken := p.keys, p.broken
		p.mu.Unlock()
		if broken != nil {
			broken(w, r)
			return
		}
		_, _ = w.Write(jwks(t, keys...))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) publish(keys ...jose.PublicKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

func (p *publisher) fail(broken http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = broken
}

func jwks(t testing.TB, keys ...jose.PublicKey) []byte {
	data, err := jose.MarshalKeySet(keys)
	if err != nil {
		t.Error(err)
	}
	return data
}

// remote makes the world's verifier read its keys from the publisher.
func (w *world) remote(p *publisher, changes ...func(*bearer.RemoteKeysConfig)) *bearer.RemoteKeys {
	w.t.Helper()
	config := bearer.RemoteKeysConfig{
		URL: p.URL, InsecureLoopback: true, Client: p.Client(), Timeout: 30 * time.Second,
		Now: w.clock.Now, Logger: w.log.Logger(),
	}
	for _, change := range changes {
		change(&config)
	}
	keys, err := bearer.NewRemoteKeys(config)
	require.NoError(w.t, err)
	w.config.Keys = keys
	return keys
}

// fromMany asks for a thousand kids on 64 goroutines and counts the answers.
func fromMany(t *testing.T, keys bearer.KeySet, kid func(n int) string) (found, unknown, outages int64) {
	t.Helper()
	var counts [3]atomic.Int64
	var group sync.WaitGroup
	for g := range 64 {
		group.Go(func() {
			for n := g; n < 1000; n += 64 {
				key, err := keys.Key(context.Background(), kid(n))
				switch {
				case err == nil && key.ID == kid(n):
					counts[0].Add(1)
				case err == bearer.ErrUnknownKey:
					counts[1].Add(1)
				default:
					counts[2].Add(1)
				}
			}
		})
	}
	group.Wait()
	return counts[0].Load(), counts[1].Load(), counts[2].Load()
}

func TestUnknownKidsCostOneFetchAMinute(t *testing.T) {
	w := newWorld(t)
	p := newPublisher(t, w.signer.Public())
	keys := w.remote(p)
	require.Zero(t, p.fetches.Load(), "nothing is fetched before the first call of Key")
	madeUp := func(n int) string { return "made-up-" + strconv.Itoa(n) }
	minute := 0
	ask := func(t *testing.T, kid func(int) string, found, unknown, fetches int64) {
		t.Helper()
		f, u, outages := fromMany(t, keys, kid)
		require.Equal(t, [3]int64{found, unknown, 0}, [3]int64{f, u, outages})
		require.Equal(t, fetches, p.fetches.Load())
	}
	t.Run("B17 the first callers share one fetch", func(t *testing.T) {
		ask(t, func(int) string { return "k1" }, 1000, 0, 1)
	})
	t.Run("B17 1,000 unknown kids within the minute cause none", func(t *testing.T) {
		w.wait(time.Minute - time.Nanosecond)
		ask(t, madeUp, 0, 1000, 1)
		w.wait(time.Nanosecond)
	})
	for minute < 4 {
		minute++
		t.Run(fmt.Sprintf("B17 1,000 unknown kids in minute %d cause one", minute), func(t *testing.T) {
			ask(t, madeUp, 0, 1000, int64(1+minute))
			w.wait(30 * time.Second)
			ask(t, madeUp, 0, 1000, int64(1+minute))
			w.wait(30 * time.Second)
		})
	}
	t.Run("B17 known kids cause no fetch", func(t *testing.T) {
		ask(t, func(int) string { return "k1" }, 1000, 0, 5)
	})
	t.Run("B17 during an outage there is one fetch a minute, too", func(t *testing.T) {
		p.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		for n := range int64(3) {
			_, unknown, outages := fromMany(t, keys, madeUp)
			require.Equal(t, int64(1000), outages, "a key that may be new is not refused: %d were", unknown)
			require.Equal(t, 6+n, p.fetches.Load())
			w.wait(time.Minute)
		}
	})
}

func TestRemoteRotation(t *testing.T) {
	w := newWorld(t)
	old := w.signer.Public()
	next, err := jose.NewSigner(jose.ES256, "k2", newWorld(t).private)
	require.NoError(t, err)
	p := newPublisher(t, old)
	w.remote(p)
	v := w.verifier()
	verify := func(token string) error {
		_, err := v.Verify(context.Background(), token)
		return err
	}
	oldToken := w.token()
	require.NoError(t, verify(oldToken))
	w.signer = next
	newToken := w.token()

	t.Run("B17 a new key is found a cooldown later", func(t *testing.T) {
		p.publish(old, next.Public())
		w.wait(time.Minute - time.Nanosecond)
		require.ErrorIs(t, verify(newToken), bearer.ErrInvalid)
		w.wait(time.Nanosecond)
		require.NoError(t, verify(newToken))
		require.NoError(t, verify(oldToken))
		require.EqualValues(t, 2, p.fetches.Load())
	})
	t.Run("B17 tokens of a removed key are refused from the refresh on", func(t *testing.T) {
		p.publish(next.Public())
		w.wait(5*time.Minute - time.Nanosecond)
		require.NoError(t, verify(oldToken), "still in memory")
		w.wait(time.Nanosecond)
		require.ErrorIs(t, verify(oldToken), bearer.ErrInvalid)
		require.NoError(t, verify(newToken))
	})
	t.Run("B17 tokens of a replaced key are refused too", func(t *testing.T) {
		other, err := jose.NewSigner(jose.ES256, "k2", newWorld(t).private)
		require.NoError(t, err)
		p.publish(other.Public())
		w.wait(5*time.Minute - 31*time.Second)
		require.NoError(t, verify(w.token(func(c *jose.Claims) { c.Expires += 3600 })))
		w.wait(31 * time.Second)
		require.ErrorIs(t, verify(w.token(func(c *jose.Claims) { c.Expires += 3600 })), bearer.ErrInvalid)
	})
	t.Run("B17 a clock that jumps back fetches again", func(t *testing.T) {
		before := p.fetches.Load()
		p.publish(next.Public())
		w.wait(-time.Minute)
		require.NoError(t, verify(w.token(func(c *jose.Claims) { c.Expires += 3600 })))
		require.Equal(t, before+1, p.fetches.Load())
	})
}

func TestACallerMayHangUp(t *testing.T) {
	w := newWorld(t)
	p := newPublisher(t, w.signer.Public())
	asked, release := make(chan struct{}), make(chan struct{})
	p.fail(func(answer http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		_, _ = answer.Write(jwks(t, w.signer.Public()))
	})
	keys := w.remote(p)
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error), make(chan error)
	go func() { _, err := keys.Key(ctx, "k1"); first <- err }()
	<-asked
	go func() { _, err := keys.Key(context.Background(), "k1"); second <- err }()
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	select {
	case err := <-second:
		t.Fatalf("the second was answered before the issuer was: %v", err)
	default:
	}
	close(release)
	require.NoError(t, <-second)
	require.EqualValues(t, 1, p.fetches.Load())
}

// transport is an issuer without a network, for tests in a synctest bubble.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// synctest fails the test if a goroutine is left running.
func TestRun(t *testing.T) {
	signer := newWorld(t).signer
	set := string(jwks(t, signer.Public()))
	run := func(t *testing.T, issuer transport, now ...func() time.Time) (keys *bearer.RemoteKeys, stop func()) {
		keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
			URL: "https://api.example.com/jwks", Client: &http.Client{Transport: issuer}, Logger: slog.New(slog.DiscardHandler),
			Now: append(now, time.Now)[0],
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- keys.Run(ctx) }()
		synctest.Wait()
		return keys, func() {
			cancel()
			require.NoError(t, <-ended)
		}
	}
	wait := func(d time.Duration) {
		<-time.After(d)
		synctest.Wait()
	}
	t.Run("B17 Run fetches at once and every five minutes, and requests do not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var fetches atomic.Int64
			keys, stop := run(t, func(*http.Request) (*http.Response, error) { fetches.Add(1); return respond(200, set) })
			for n := range int64(10) {
				require.Equal(t, n+1, fetches.Load())
				_, err := keys.Key(t.Context(), "k1")
				require.NoError(t, err)
				wait(bearer.DefaultRefresh)
			}
			stop()
			wait(time.Hour)
			require.EqualValues(t, 11, fetches.Load(), "none after the end")
		})
	})
	t.Run("B19 the issuer's recovery is noticed within seconds, or after a cooldown if there is a set", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var fetches atomic.Int64
			var up atomic.Bool
			keys, stop := run(t, func(*http.Request) (*http.Response, error) {
				fetches.Add(1)
				if up.Load() {
					return respond(200, set)
				}
				return respond(500, set)
			})
			wait(time.Hour)
			require.EqualValues(t, 1801, fetches.Load())
			_, err := keys.Key(t.Context(), "k1")
			require.Error(t, err)
			require.NotErrorIs(t, err, bearer.ErrUnknownKey)
			up.Store(true)
			wait(2 * time.Second)
			_, err = keys.Key(t.Context(), "k1")
			require.NoError(t, err)

			up.Store(false)
			fetches.Store(0)
			wait(bearer.DefaultRefresh + 10*time.Minute)
			require.EqualValues(t, 11, fetches.Load())
			_, err = keys.Key(t.Context(), "k1")
			require.NoError(t, err)
			stop()
		})
	})
	t.Run("B19 Run returns while the issuer hangs, and the fetch ends at its timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var took atomic.Int64
			begin := time.Now()
			_, stop := run(t, func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				took.Store(int64(time.Since(begin)))
				return nil, r.Context().Err()
			})
			stop()
			require.Zero(t, took.Load())
			wait(bearer.DefaultKeysTimeout)
			require.EqualValues(t, bearer.DefaultKeysTimeout, took.Load())
		})
	})
	t.Run("B17 after the clock jumps, as after a suspend, the next request starts a fetch and does not wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var fetches atomic.Int64
			release := make(chan struct{})
			keys, stop := run(t, func(*http.Request) (*http.Response, error) {
				if fetches.Add(1) > 1 {
					<-release
				}
				return respond(200, set)
			}, w.clock.Now)
			w.wait(time.Hour)
			for range 3 {
				_, err := keys.Key(t.Context(), "k1")
				require.NoError(t, err)
				synctest.Wait()
				require.EqualValues(t, 2, fetches.Load())
			}
			close(release)
			stop()
		})
	})
	t.Run("B17 unknown kids and Run together make one fetch a minute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var fetches []time.Time
			keys, stop := run(t, func(*http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				fetches = append(fetches, time.Now())
				return respond(200, set)
			})
			for n := range 7000 {
				_, err := keys.Key(t.Context(), strconv.Itoa(n))
				require.ErrorIs(t, err, bearer.ErrUnknownKey)
				wait(100 * time.Millisecond)
			}
			stop()
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, fetches, 12)
			for i := 1; i < len(fetches); i++ {
				require.GreaterOrEqual(t, fetches[i].Sub(fetches[i-1]), time.Minute)
			}
		})
	})
}

func TestRemoteKeysParse(t *testing.T) {
	w := newWorld(t)
	key := bearer.PublicKey{ID: "own", Algorithm: "ES256", Key: w.signer.Public().Key}
	p := newPublisher(t)
	good := true
	keys := w.remote(p, func(c *bearer.RemoteKeysConfig) {
		c.Parse = func(document []byte) (map[string]bearer.PublicKey, error) {
			if string(document) != "own form" || !good {
				return nil, errors.New("another form")
			}
			return map[string]bearer.PublicKey{"own": key}, nil
		}
	})
	p.fail(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "own form") })
	got, err := keys.Key(t.Context(), "own")
	require.NoError(t, err)
	require.Equal(t, key, got)
	good = false
	w.wait(bearer.DefaultRefresh)
	got, err = keys.Key(t.Context(), "own")
	require.NoError(t, err, "the last good set")
	require.Equal(t, key, got)
	require.Contains(t, w.log.String(), "another form")
}
