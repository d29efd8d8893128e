package bearer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

const (
	introspectorID     = "key:1 ä"
	introspectorSecret = "lk_s3cr3t+%&:/=canary"
	active             = `{"active":true}`
)

// introspected is an issuer's introspection endpoint. It counts requests, and
// tests can break it.
type introspected struct {
	*httptest.Server
	asked atomic.Int64

	mu      sync.Mutex
	revoked map[string]bool // by token
	broken  http.HandlerFunc
}

func newIntrospected(t testing.TB) *introspected {
	i := &introspected{revoked: map[string]bool{}}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		i.mu.Lock()
		broken := i.broken
		i.mu.Unlock()
		if broken != nil {
			broken(w, r)
			return
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		_, _ = fmt.Fprintf(w, `{"active":%v}`, !i.revoked[r.PostFormValue("token")])
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *introspected) setRevoked(token string, revoked bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.revoked[token] = revoked
}

func (i *introspected) fail(broken http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken = broken
}

// introspecting makes the world's verifier ask the issuer.
func (w *world) introspecting(i *introspected, changes ...func(*bearer.IntrospectorConfig)) *bearer.Introspector {
	w.t.Helper()
	config := bearer.IntrospectorConfig{
		URL: i.URL, InsecureLoopback: true, ClientID: introspectorID, ClientSecret: introspectorSecret,
		Timeout: 30 * time.Second, Now: w.clock.Now, Logger: w.log.Logger(),
	}
	for _, change := range changes {
		change(&config)
	}
	introspector, err := bearer.NewIntrospector(config)
	require.NoError(w.t, err)
	w.config.Epochs = introspector
	return introspector
}

func TestIntrospectionRequest(t *testing.T) {
	w := newWorld(t)
	issuer := newIntrospected(t)
	token := w.token()
	issuer.fail(func(answer http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.RequestURI() != "/" || r.ParseForm() != nil ||
			r.PostForm.Encode() != "token="+token+"&token_type_hint=access_token" ||
			r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Accept") != "application/json" ||
			r.Header["Idempotency-Key"] != nil ||
			// key%3A1+%C3%A4:lk_s3cr3t%2B%25%26%3A%2F%3Dcanary
			r.Header.Get("Authorization") != "Basic a2V5JTNBMSslQzMlQTQ6bGtfczNjcjN0JTJCJTI1JTI2JTNBJTJGJTNEY2FuYXJ5" {
			t.Errorf("%s %s %v %v", r.Method, r.URL, r.Header, r.PostForm)
		}
		_, _ = io.WriteString(answer, active)
	})
	w.introspecting(issuer)
	_, err := w.verifier().Verify(context.Background(), token)
	require.NoError(t, err)
	require.EqualValues(t, 1, issuer.asked.Load())
}

// The host's client is used for other purposes too. Its cookies and its redirect
// policy do not apply here.
func TestTheHostsClientIsLeftAsItIs(t *testing.T) {
	w := newWorld(t)
	issuer := newIntrospected(t)
	issuer.fail(func(answer http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			t.Error("a cookie was sent")
		}
		http.SetCookie(answer, &http.Cookie{Name: "session", Value: "1"})
		_, _ = io.WriteString(answer, active)
	})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	address, err := url.Parse(issuer.URL)
	require.NoError(t, err)
	jar.SetCookies(address, []*http.Cookie{{Name: "host", Value: "1"}})
	client := &http.Client{Jar: jar}
	introspector := w.introspecting(issuer, func(c *bearer.IntrospectorConfig) { c.Client = client })
	_, err = introspector.Revoked(context.Background(), bearer.Token{Raw: "a.b.c"})
	require.NoError(t, err)
	require.Nil(t, client.CheckRedirect)
	require.Len(t, jar.Cookies(address), 1)
}

func TestARevokedTokenIsRefusedWithinTheBound(t *testing.T) {
	for _, test := range []struct {
		cacheFor, bound time.Duration
	}{{0, bearer.DefaultCacheFor}, {time.Second, time.Second}, {bearer.MaxCacheFor, bearer.MaxCacheFor}} {
		t.Run(fmt.Sprintf("B07 CacheFor %v", test.cacheFor), func(t *testing.T) {
			w := newWorld(t)
			issuer := newIntrospected(t)
			w.introspecting(issuer, func(c *bearer.IntrospectorConfig) { c.CacheFor = test.cacheFor })
			v := w.verifier()
			token := w.token()
			verify := func() error { _, err := v.Verify(context.Background(), token); return err }
			require.NoError(t, verify())
			issuer.setRevoked(token, true)
			w.wait(test.bound - time.Nanosecond)
			require.NoError(t, verify(), "the answer is still used")
			require.EqualValues(t, 1, issuer.asked.Load())
			w.wait(time.Nanosecond)
			require.ErrorIs(t, verify(), bearer.ErrRevoked)
			require.EqualValues(t, 2, issuer.asked.Load())

			issuer.setRevoked(token, false)
			w.wait(test.bound)
			require.ErrorIs(t, verify(), bearer.ErrRevoked, "a revoked token stays revoked")
			require.EqualValues(t, 2, issuer.asked.Load())
		})
	}
	everyTime := func(c *bearer.IntrospectorConfig) { c.CacheFor = -1 }
	t.Run("B07 every request asks", func(t *testing.T) {
		w := newWorld(t)
		issuer := newIntrospected(t)
		w.introspecting(issuer, everyTime)
		v := w.verifier()
		token := w.token()
		for n := range int64(3) {
			_, err := v.Verify(context.Background(), token)
			require.NoError(t, err)
			require.Equal(t, n+1, issuer.asked.Load())
		}
		issuer.setRevoked(token, true)
		for range 2 {
			_, err := v.Verify(context.Background(), token)
			require.ErrorIs(t, err, bearer.ErrRevoked)
			require.EqualValues(t, 4, issuer.asked.Load(), "the answer that it was revoked is final")
		}
	})
	t.Run("B07 an answer to a question from before the revocation does not count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			var asked atomic.Int64
			introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
				URL: "https://api.example.com/introspect", ClientID: "a", ClientSecret: "b", CacheFor: -1,
				Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
					if asked.Add(1) == 1 {
						<-release
						return respond(200, active)
					}
					return respond(200, `{"active":false}`)
				})},
			})
			require.NoError(t, err)
			token := bearer.Token{Raw: "token"}
			answers := make(chan bool, 2)
			ask := func() {
				revoked, err := introspector.Revoked(t.Context(), token)
				if err != nil {
					t.Error(err)
				}
				answers <- revoked
			}
			go ask()
			synctest.Wait()
			go ask() // after the token was revoked
			synctest.Wait()
			require.EqualValues(t, 1, asked.Load())
			close(release)
			require.ElementsMatch(t, []bool{false, true}, []bool{<-answers, <-answers})
			require.EqualValues(t, 2, asked.Load())
		})
	})
	t.Run("B26 a clock that jumps back asks again", func(t *testing.T) {
		w := newWorld(t)
		issuer := newIntrospected(t)
		w.introspecting(issuer)
		v := w.verifier()
		token := w.token()
		_, err := v.Verify(context.Background(), token)
		require.NoError(t, err)
		issuer.setRevoked(token, true)
		w.wait(-time.Second)
		_, err = v.Verify(context.Background(), token)
		require.ErrorIs(t, err, bearer.ErrRevoked)
	})
}

func TestQuestionsAreShared(t *testing.T) {
	w := newWorld(t)
	issuer := newIntrospected(t)
	introspector := w.introspecting(issuer)
	v := w.verifier()
	t.Run("one request for a token", func(t *testing.T) {
		token := w.token()
		var group sync.WaitGroup
		for range 64 {
			group.Go(func() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 1, issuer.asked.Load())
	})
	t.Run("B26 one request for each of several similar tokens", func(t *testing.T) {
		before := issuer.asked.Load()
		token := bearer.Token{Raw: w.token(func(c *jose.Claims) { c.TokenID = "not asked about before" })}
		other := token
		other.Raw = token.Raw[:len(token.Raw)-1] + "_"
		issuer.setRevoked(other.Raw, true)
		for range 2 {
			revoked, err := introspector.Revoked(context.Background(), token)
			require.NoError(t, err)
			require.False(t, revoked)
			revoked, err = introspector.Revoked(context.Background(), other)
			require.NoError(t, err)
			require.True(t, revoked)
		}
		require.Equal(t, before+2, issuer.asked.Load())
	})
	t.Run("one caller gives up, the others get the answer", func(t *testing.T) {
		asked, release := make(chan struct{}), make(chan struct{})
		issuer.fail(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-release
			_, _ = io.WriteString(w, active)
		})
		defer issuer.fail(nil)
		ctx, cancel := context.WithCancel(context.Background())
		token := bearer.Token{Raw: "hang.up.then"}
		first, second := make(chan error), make(chan error)
		go func() { _, err := introspector.Revoked(ctx, token); first <- err }()
		<-asked
		go func() { _, err := introspector.Revoked(context.Background(), token); second <- err }()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		close(release)
		require.NoError(t, <-second)
	})
	t.Run("B26 the memory of a token is used for another one, as fasthttp does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
				URL: "https://api.example.com/introspect", ClientID: "a", ClientSecret: "b",
				Client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
					if r.FormValue("token") == "token.of.b" {
						return respond(200, `{"active":false}`)
					}
					<-release
					return respond(200, active)
				})},
			})
			require.NoError(t, err)
			memory := []byte("token.of.a")
			ctx, cancel := context.WithCancel(t.Context())
			first := make(chan error, 1)
			go func() {
				_, err := introspector.Revoked(ctx, bearer.Token{Raw: unsafe.String(&memory[0], len(memory))}) //nolint:gosec // as fasthttp does
				first <- err
			}()
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-first, context.Canceled)
			copy(memory, "token.of.b")
			close(release)
			synctest.Wait()
			revoked, err := introspector.Revoked(t.Context(), bearer.Token{Raw: "token.of.b"})
			require.NoError(t, err)
			require.True(t, revoked)
		})
	})
	t.Run("a look-up of an active token allocates nothing", func(t *testing.T) {
		token := w.token()
		allocations := testing.AllocsPerRun(100, func() { _, _ = v.Verify(context.Background(), token) })
		require.Zero(t, allocations)
	})
	t.Run("a token without Raw, or with one too long, is refused", func(t *testing.T) {
		for _, raw := range []string{"", strings.Repeat("x", jose.MaxToken+1)} {
			_, err := introspector.Revoked(context.Background(), bearer.Token{Raw: raw})
			require.Error(t, err)
		}
	})
}

func TestAnswersAreBounded(t *testing.T) {
	var asked atomic.Int64
	answer := active
	w := newWorld(t)
	newIntrospector := func(entries int) *bearer.Introspector {
		introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
			URL: "https://api.example.com/introspect", ClientID: "a", ClientSecret: "b", CacheEntries: entries, Now: w.clock.Now,
			Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
				asked.Add(1)
				return respond(200, answer)
			})},
		})
		require.NoError(t, err)
		return introspector
	}
	ask := func(i *bearer.Introspector, n, size int) {
		raw := strconv.Itoa(n) + strings.Repeat("x", size)
		header := raw + strings.Repeat("y", 4<<10) // the token is a substring of it
		revoked, err := i.Revoked(context.Background(), bearer.Token{Raw: header[:len(raw)]})
		require.NoError(t, err)
		require.Equal(t, answer != active, revoked)
	}
	for _, kind := range []string{active, `{"active":false}`} {
		answer = kind
		t.Run("B26 no more than CacheEntries, "+kind, func(t *testing.T) {
			before := heap()
			introspector := newIntrospector(100)
			for n := range 5000 {
				ask(introspector, n, 700)
			}
			require.Less(t, heap()-before, 1<<20)
			asked.Store(0)
			for n := 4999; n >= 0; n-- {
				ask(introspector, n, 700)
			}
			require.GreaterOrEqual(t, asked.Load(), int64(4900))
			require.Less(t, asked.Load(), int64(5000))
			runtime.KeepAlive(introspector)
		})
	}
	t.Run("B26 long tokens are bounded by their bytes", func(t *testing.T) {
		before := heap()
		introspector := newIntrospector(0)
		for n := range 6000 {
			ask(introspector, n, 7<<10)
		}
		require.Less(t, heap()-before, 40<<20)
		runtime.KeepAlive(introspector)
	})
	t.Run("no cache", func(t *testing.T) {
		introspector := newIntrospector(-1)
		asked.Store(0)
		ask(introspector, 1, 1)
		ask(introspector, 1, 1)
		require.EqualValues(t, 2, asked.Load())
	})
}

func TestTheIntrospectorsSecretIsNotPrinted(t *testing.T) {
	config := bearer.IntrospectorConfig{URL: "https://api.example.com/i", ClientID: "a", ClientSecret: introspectorSecret}
	introspector, err := bearer.NewIntrospector(config)
	require.NoError(t, err)
	token := bearer.Token{KeyID: "key-1", TokenID: "token-1", Raw: "eyJraw.eyJraw.raw"}
	type holder struct{ inner *bearer.Introspector }
	var texts strings.Builder
	for _, value := range []any{config, &config, introspector, holder{introspector}, config.ClientSecret, token, &token, []any{token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&texts, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&texts, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&texts, nil)).Info("x", "value", value)
	}
	for _, value := range []any{config.ClientSecret, token, map[string]any{"t": token, "s": config.ClientSecret}} {
		data, err := json.Marshal(value)
		require.NoError(t, err)
		texts.Write(data)
	}
	for _, leak := range []string{introspectorSecret, "s3cr3t", fmt.Sprintf("%x", introspectorSecret), "Basic ", token.Raw, "eyJraw", fmt.Sprintf("%x", token.Raw)} {
		require.NotContains(t, texts.String(), leak)
	}
	require.Contains(t, texts.String(), "(redacted)")
	require.Contains(t, texts.String(), "token token-1 of key key-1")
	require.Empty(t, fmt.Sprint(bearer.Secret("")), "an empty secret is shown as empty")
}
