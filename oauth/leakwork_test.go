package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// works reports whether a login with the secret still works.
func (l *leaks) works(id, secret string) bool {
	return l.post("grant_type=client_credentials", basic(id, secret)...).StatusCode == http.StatusOK
}

// TestLeakReportsAtOnce tests that the secrets of a report are handled 16 at once.
func TestLeakReportsAtOnce(t *testing.T) {
	t.Parallel()
	var tap storetest.Tap
	l := newLeaks(t, nil, func(s *setup) { s.store = tap.Over(memstore.New()) })
	var found []string
	for range 64 {
		found = append(found, unknownSecret())
	}
	var now, most atomic.Int64
	full := make(chan struct{})
	var once sync.Once
	tap.Before(func(ctx context.Context, _ string) error {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == 16 {
			once.Do(func() { close(full) })
		}
		select {
		case <-full:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	a := l.report(reportOf(found...)).Wants(http.StatusOK)
	require.EqualValues(t, 16, most.Load(), "B33")
	var labels []struct {
		Hash  string `json:"token_hash"`
		Type  string `json:"token_type"`
		Label string `json:"label"`
	}
	a.Into(&labels)
	for n, secret := range found {
		require.Equal(t, hashOf(secret), labels[n].Hash, "B33 the labels are in the order of the report")
	}
}

// TestLeakReportsEachAlone tests that what is wrong with one entry does not keep the
// others alive.
func TestLeakReportsEachAlone(t *testing.T) {
	t.Parallel()
	t.Run("B33 a report that is always cut off comes to its end by repetition", func(t *testing.T) {
		var tap storetest.Tap
		l := newLeaks(t, nil, func(s *setup) { s.store = tap.Over(memstore.New()) })
		found := make([]string, 50, 51)
		for n := range found {
			found[n] = unknownSecret()
		}
		body := reportOf(append(found, l.secret)...)
		for n := 0; len(l.hooked) == 0 && n < 500; n++ {
			var calls atomic.Int64
			tap.Before(func(context.Context, string) error {
				if calls.Add(1) > 25 {
					return store.ErrUnavailable
				}
				return nil
			})
			l.refused(l.report(body), http.StatusServiceUnavailable, "temporarily_unavailable")
		}
		tap.Before(nil)
		require.NotEmpty(t, l.hooked)
		require.False(t, l.works(l.key.ID, l.secret))
	})
	t.Run("B33 a digest that cannot be verified", func(t *testing.T) {
		st := memstore.New()
		l := newLeaks(t, nil, func(s *setup) { s.store = st })
		bad, badSecret := l.newKey("team-b", "project.list")
		found, err := st.Keys.Lookup(t.Context(), bad.ID)
		require.NoError(t, err)
		damaged := found.Key.Credentials[0]
		require.NoError(t, st.Upkeep.Rehash(t.Context(), bad.ID, damaged.ID, damaged.Digest, "hmac-sha256$9$damaged"))
		for range 3 {
			l.refused(l.report(reportOf(badSecret, l.secret)), http.StatusServiceUnavailable, "temporarily_unavailable")
		}
		require.False(t, l.works(l.key.ID, l.secret))
		require.Len(t, l.hooked, 3)
	})
	for name, entry := range map[string]string{
		"half a surrogate pair in a URL": `{"token":"x","url":"https://x/\ud83d"}`,
		"no token":                       `{"type":"t"}`,
		"a number as token":              `{"token":1}`,
		"two tokens":                     `{"token":"x","token":"y"}`,
		"another case":                   `{"token":"x","URL":"https://x/"}`,
		"no UTF-8":                       "{\"token\":\"\xff\"}",
		"a text":                         `"x"`,
		"nested deeply":                  strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
	} {
		t.Run("B33 malformed: "+name, func(t *testing.T) {
			l := newLeaks(t, nil)
			body := reportOf(l.secret)
			a := l.report("[" + entry + "," + entry + "," + body[1:])
			l.refused(a, http.StatusBadRequest, "invalid_request")
			require.Contains(t, a.Description(), "2 entries of the report are malformed")
			require.False(t, l.works(l.key.ID, l.secret))
			require.Len(t, l.hooked, 1)
		})
	}
	for _, field := range []string{"url", "source", "type"} {
		t.Run("B33 only the token can be read, not the "+field, func(t *testing.T) {
			l := newLeaks(t, nil)
			a := l.report(`[{"` + field + `":{},"token":"` + l.secret + `"}]`)
			l.refused(a, http.StatusBadRequest, "invalid_request")
			require.Contains(t, a.Description(), "1 entries")
			require.False(t, l.works(l.key.ID, l.secret))
			require.Len(t, l.hooked, 1)
		})
	}
	t.Run("B33 a hook that panics", func(t *testing.T) {
		var reported []string
		l := newLeaks(t, func(c *oauth.LeakConfig) {
			c.Hook = func(_ context.Context, k apikey.Leak) error {
				if reported = append(reported, k.Workspace); k.Workspace == "team-a" {
					panic("a broken template")
				}
				return nil
			}
		})
		_, other := l.newKey("team-b", "project.list")
		l.refused(l.report(reportOf(l.secret, other)), http.StatusServiceUnavailable, "temporarily_unavailable")
		require.Equal(t, []string{"team-a", "team-b"}, reported)
		require.Contains(t, l.log.String(), "a broken template")
	})
	t.Run("B33 an Observer that panics", func(t *testing.T) {
		l := newLeaks(t, nil, func(s *setup) {
			s.config.Observer = func(_ context.Context, d observe.Decision) {
				if d.Use == observe.LeakReport && d.KeyID == "" {
					panic(errors.New("a broken metric"))
				}
			}
		})
		l.refused(l.report(reportOf(unknownSecret(), l.secret)), http.StatusServiceUnavailable, "temporarily_unavailable")
		require.False(t, l.works(l.key.ID, l.secret))
		require.Len(t, l.hooked, 1)
		require.Contains(t, l.log.String(), "a broken metric")
	})
	t.Run("B33 the hook gets every entry, the audit log one event", func(t *testing.T) {
		l := newLeaks(t, nil)
		var all []map[string]string
		for n := range 100 {
			all = append(all, map[string]string{"token": l.secret, "url": fmt.Sprint("https://x/", n)})
		}
		body, err := json.Marshal(all)
		require.NoError(t, err)
		l.report(string(body)).Wants(http.StatusOK)
		require.Len(t, l.hooked, 100)
		require.Equal(t, "https://x/99", l.hooked[99].URL)
		require.Len(t, l.events(), 1)
		require.NotEmpty(t, l.events()[0].Changes)
	})
}

// TestLeakReportsUnverified tests that unsigned reports cannot make the server hold many bodies.
func TestLeakReportsUnverified(t *testing.T) {
	t.Parallel()
	var l *leaks
	var within int
	l = newLeaks(t, func(c *oauth.LeakConfig) {
		c.Hook = func(context.Context, apikey.Leak) error {
			within = l.report(reportOf(unknownSecret())).StatusCode
			return nil
		}
	})
	l.report("[]").Wants(http.StatusOK)
	var unsigned sync.WaitGroup
	var bodies []*io.PipeWriter
	send := func() {
		body, w := io.Pipe()
		r := harness.Incoming(http.MethodPost, "/leaks", "", "Content-Type", "application/json", "Github-Public-Key-Identifier", "k1", "Github-Public-Key-Signature", "AAAA")
		r.Body, r.ContentLength = body, -1
		unsigned.Go(func() { harness.Serve(l.handler, r) })
		_, err := w.Write([]byte("["))
		require.NoError(t, err)
		bodies = append(bodies, w)
	}
	for range 3 {
		send()
	}
	l.report(reportOf(l.secret)).Wants(http.StatusOK)
	require.Equal(t, http.StatusOK, within, "B33 a verified body does not count")
	send()
	logged := l.log.String()
	a := l.report(reportOf(l.secret))
	l.refused(a, http.StatusServiceUnavailable, "temporarily_unavailable")
	require.Contains(t, a.Description(), "Too many reports")
	require.Equal(t, logged, l.log.String(), "B33 unsigned reports do not fill the log")
	for _, w := range bodies {
		require.NoError(t, w.Close())
	}
	unsigned.Wait()
	l.report(reportOf(l.secret)).Wants(http.StatusOK)
}
