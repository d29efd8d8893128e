package bearer_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// faults returns handlers of a broken issuer, by name. good is the answer that it
// should send, and elsewhere is the URL that redirects lead to.
func faults(good, elsewhere string) map[string]http.HandlerFunc {
	raw := func(text func(r *http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			answer := text(r)
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer connection.Close()
			_, _ = io.WriteString(connection, answer)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, good)
		}
	}
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	return map[string]http.HandlerFunc{
		"connection closed":     raw(func(*http.Request) string { return "" }),
		"no HTTP, echoes":       raw(func(r *http.Request) string { return echo(r) + "\r\n\r\n" }),
		"echoes in status line": raw(func(r *http.Request) string { return "HTTP/1.1 " + echo(r) + "\r\n\r\n" }),
		"echoes in a header":    raw(func(r *http.Request) string { return "HTTP/1.1 200 OK\r\n" + echo(r) + "\r\n\r\n" + good }),
		"echoes as length": raw(func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\nContent-Length: " + echo(r) + "\r\n\r\n" + good
		}),
		"echoes as encoding": raw(func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + echo(r) + "\r\n\r\n" + good
		}),
		"cut off":             raw(func(*http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + good }),
		"500":                 status(500),
		"503":                 status(503),
		"401":                 status(401),
		"404":                 status(404),
		"201":                 status(201),
		"206":                 status(206),
		"redirect 301":        status(301),
		"redirect 302":        status(302),
		"redirect 303":        status(303),
		"redirect 307":        status(307),
		"redirect 308":        status(308),
		"hangs before header": func(_ http.ResponseWriter, r *http.Request) { hang(r) },
		"hangs in the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, good[:1])
			w.(http.Flusher).Flush()
			hang(r)
		},
		"drips":                drip(good),
		"65 KiB":               body(strings.Repeat(" ", 65<<10-len(good)) + good),
		"one byte over 64 KiB": body(strings.Repeat(" ", 64<<10+1-len(good)) + good),
		"endless":              endless,
		"compressed unasked": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			_, _ = io.WriteString(zip, good)
			_ = zip.Close()
		},
		"a header of 64 KiB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
			_, _ = io.WriteString(w, good)
		},
		"empty":           body(""),
		"null":            body("null"),
		"an array":        body("[" + good + "]"),
		"a string":        body(strconv.Quote(good)),
		"HTML":            body("<html>" + good),
		"data after it":   body(good + "x"),
		"twice":           body(good + good),
		"byte order mark": body("\ufeff" + good),
		"not UTF-8":       body(strings.Replace(good, "{", "{\"\xff\":1,", 1)),
		"a member twice":  body(strings.Replace(good, "{", `{"a":1,"a":1,`, 1)),
		"echoes as member twice": func(w http.ResponseWriter, r *http.Request) {
			name := strconv.Quote(echo(r))
			_, _ = io.WriteString(w, strings.Replace(good, "{", "{"+name+":1,"+name+":1,", 1))
		},
	}
}

// echo is what a careless server sends back of a request.
func echo(r *http.Request) string {
	_ = r.ParseForm()
	_, secret, _ := r.BasicAuth()
	return "echo-" + secret + "-" + r.PostForm.Get("token")
}

// slow reports whether a fault lasts until the timeout.
func slow(fault string) bool { return strings.HasPrefix(fault, "hangs") || fault == "drips" }

// soon tries once. Slow faults use a short timeout, which can be too short on a
// busy machine, so for them it tries again.
func soon(fault string, works func() bool) bool {
	for range 20 {
		if works() {
			return true
		}
		if !slow(fault) {
			return false
		}
	}
	return false
}

// hang waits until the caller gives up. net/http notices that only after the
// request was read.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func drip(good string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := io.WriteString(w, " "); err != nil {
					return
				}
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				_, _ = io.WriteString(w, good)
				return
			}
		}
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 4<<10)); err != nil {
			return
		}
	}
}

// elsewhere starts a server that must not get any request.
func elsewhere(t *testing.T, answer string) (url string, hits *atomic.Int64) {
	hits = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, hits
}

// keyFaults returns answers with a key set that must be refused.
func keyFaults(w *world) map[string]http.HandlerFunc {
	set := string(jwks(w.t, w.signer.Public()))
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	many := "{\"keys\":[" + strings.Repeat(`{"kty":"x"},`, 100) + set[len(`{"keys":[`):]
	return map[string]http.HandlerFunc{
		"private key":    body(strings.Replace(set, `"kty"`, `"d":"AAAA","kty"`, 1)),
		"HMAC key":       body(`{"keys":[{"kty":"oct","kid":"k1","alg":"HS256","k":"` + strings.Repeat("A", 43) + `"}]}`),
		"no key":         body(`{"keys":[]}`),
		"no usable key":  body(`{"keys":[{"kty":"EC","crv":"P-384","kid":"k1"}]}`),
		"keys is null":   body(`{"keys":null}`),
		"keys is absent": body(`{}`),
		"101 keys":       body(many),
		"one kid twice":  body(set[:len(set)-2] + "," + set[len(`{"keys":[`):]),
	}
}

func TestAnOutageKeepsTheLastGoodKeys(t *testing.T) {
	set := string(jwks(t, newWorld(t).signer.Public()))
	target, hits := elsewhere(t, set)
	run := func(t *testing.T, name string, broken func(*world, *publisher)) {
		t.Run("B17 B19 "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := newPublisher(t, w.signer.Public())
			w.remote(p, func(c *bearer.RemoteKeysConfig) {
				c.Client = nil
				if slow(name) {
					c.Timeout = 150 * time.Millisecond
				}
			})
			long := w.token(func(c *jose.Claims) { c.Expires += 100 * 3600 })
			unknown := w.resign(`{"alg":"ES256","typ":"at+jwt","kid":"k9"}`, "{}")
			route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
			works := func() bool { w.wait(2 * time.Second); return route.get("/", "Bearer "+long).Code == 204 }
			require.True(t, soon(name, works))
			fetched := w.clock.Now()

			broken(w, p)
			outage := func(token string) {
				answer := route.get("/", "Bearer "+token)
				requireRefusal(t, answer, 503, "temporarily_unavailable")
				for _, leak := range []string{"127.0.0.1", "status", "time", "JSON", "key"} {
					require.NotContains(t, answer.Body.String(), leak)
				}
			}
			w.wait(bearer.DefaultRefresh)
			require.Equal(t, 204, route.get("/", "Bearer "+long).Code)
			require.Contains(t, w.log.String(), "could not be fetched")
			outage(unknown)
			w.wait(fetched.Add(bearer.DefaultMaxStale - time.Nanosecond).Sub(w.clock.Now()))
			require.Equal(t, 204, route.get("/", "Bearer "+long).Code, "the last good set is used")
			w.wait(time.Minute)
			outage(long)
			require.NotContains(t, w.log.String(), long)
			require.NotContains(t, w.log.String(), "echo-")
			require.NotContains(t, w.log.String(), `"kty"`)
			require.Zero(t, hits.Load(), "a redirect was followed")

			if p.Server != nil {
				p.fail(nil)
				require.True(t, soon(name, works), "recovers")
				require.Contains(t, w.log.String(), "are fetched again")
				require.Equal(t, 401, route.get("/", "Bearer "+unknown).Code)
			}
		})
	}
	for name, broken := range faults(set, target) {
		run(t, name, func(_ *world, p *publisher) { p.fail(broken) })
	}
	for name := range keyFaults(newWorld(t)) {
		run(t, name, func(w *world, p *publisher) { p.fail(keyFaults(w)[name]) })
	}
	run(t, "no server listens", func(_ *world, p *publisher) { p.Close(); p.Server = nil })
}

func TestKeysThatWereNeverFetched(t *testing.T) {
	w := newWorld(t)
	p := newPublisher(t, w.signer.Public())
	p.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	keys := w.remote(p)
	for range 3 {
		found, unknown, outages := fromMany(t, keys, func(n int) string { return "k" + strconv.Itoa(n%2) })
		require.Equal(t, [3]int64{0, 0, 1000}, [3]int64{found, unknown, outages})
	}
	require.EqualValues(t, 1, p.fetches.Load())
	p.fail(nil)
	_, err := keys.Key(context.Background(), "k1")
	require.Error(t, err, "B17 not asked again within two seconds")
	w.wait(2 * time.Second)
	_, err = keys.Key(context.Background(), "k1")
	require.NoError(t, err, "B19 recovery within five seconds")
}

func TestKeysThatAreTooOldOnArrival(t *testing.T) {
	w := newWorld(t)
	p := newPublisher(t, w.signer.Public())
	p.fail(func(answer http.ResponseWriter, _ *http.Request) {
		w.wait(2 * time.Second)
		_, _ = answer.Write(jwks(t, w.signer.Public()))
	})
	keys := w.remote(p, func(c *bearer.RemoteKeysConfig) { c.Refresh, c.MaxStale = time.Second, time.Second })
	_, err := keys.Key(context.Background(), "k1")
	require.Error(t, err)
	require.NotErrorIs(t, err, bearer.ErrUnknownKey)
}
