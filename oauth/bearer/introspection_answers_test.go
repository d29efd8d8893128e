package bearer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// answers returns bodies of a 200 answer about the world's token, each with the
// status that the route must then answer: 204 active, 401 revoked, 503 unclear.
func answers() map[string]int {
	exp := claims().Expires
	return map[string]int{
		`{"active":true}`: 204,
		` { "active" : true , "scope" : "x", "workspace": "team-b", "unknown": [1] } `: 204,
		`{"active":true,"jti":"token-1","client_id":"key-1"}`:                          204,
		fmt.Sprintf(`{"active":true,"exp":%d}`, exp):                                   204,
		fmt.Sprintf(`{"active":true,"exp":%d.5}`, exp):                                 204,
		`{"active":false}`:                             401,
		`{"active":false,"jti":"token-2"}`:             401,
		`{"\u0061ctive":false}`:                        401,
		`{}`:                                           503,
		`{"active":"true"}`:                            503,
		`{"active":1}`:                                 503,
		`{"active":null}`:                              503,
		`{"active":[true]}`:                            503,
		`{"active":{}}`:                                503,
		`{"Active":true}`:                              503,
		`{"ACTIVE":true}`:                              503,
		`{"active":true,"Active":false}`:               503,
		`{"active":true,"active":false}`:               503,
		`{"active":false,"active":true}`:               503,
		`{"active":true,"\u0061ctive":false}`:          503,
		`{"x":{"active":true}}`:                        503,
		`{"active":true,"jti":"token-2"}`:              503,
		`{"active":true,"jti":""}`:                     503,
		`{"active":true,"jti":null}`:                   503,
		`{"active":true,"jti":1}`:                      503,
		`{"active":true,"JTI":"token-1"}`:              503,
		`{"active":true,"client_id":"key-2"}`:          503,
		`{"active":true,"client_id":"KEY-1"}`:          503,
		`{"active":true,"client_id":["key-1"]}`:        503,
		fmt.Sprintf(`{"active":true,"exp":%d}`, exp+1): 503,
		fmt.Sprintf(`{"active":true,"exp":%d}`, exp-1): 503,
		fmt.Sprintf(`{"active":true,"exp":"%d"}`, exp): 503,
		`{"active":true,"exp":null}`:                   503,
		`{"active":true,"exp":1e999}`:                  503,
		`true`:                                         503,
		`{"error":"invalid_client"}`:                   503,
		`{"active":true`:                               503,
		`{'active':true}`:                              503,
		`{"active":true,}`:                             503,
		`{"active":true,"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: 503,
	}
}

func TestAnswers(t *testing.T) {
	for body, want := range answers() {
		t.Run("7662-01 "+body, func(t *testing.T) {
			w := newWorld(t)
			issuer := newIntrospected(t)
			issuer.fail(func(answer http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(answer, body) })
			w.introspecting(issuer)
			route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
			requireAnswer(t, w, route, w.token(), want)
		})
	}
}

// requireAnswer sends a token twice.
func requireAnswer(t *testing.T, w *world, route *route, token string, want int) {
	t.Helper()
	for range 2 {
		answer := route.get("/", "Bearer "+token)
		require.Equal(t, want, answer.Code)
		switch want {
		case 401:
			requireRefusal(t, answer, 401, "invalid_token")
		case 503:
			requireRefusal(t, answer, 503, "temporarily_unavailable")
			require.NotEmpty(t, answer.Header().Get("Retry-After"))
			require.Contains(t, w.log.String(), "the issuer cannot be asked")
			for _, leak := range []string{"status", "JSON", "answer", "127.0.0.1", "issuer"} {
				require.NotContains(t, answer.Body.String(), leak)
			}
		}
		all := w.log.String() + answer.Body.String() + fmt.Sprint(answer.Header())
		for _, leak := range []string{token, introspectorSecret, url.QueryEscape(introspectorSecret), "echo-", "a2V5JTNBMSslQzM"} {
			require.NotContains(t, all, leak)
		}
	}
}

func TestIntrospectionOutages(t *testing.T) {
	target, hits := elsewhere(t, active)
	run := func(t *testing.T, name string, broken func(*introspected)) {
		t.Run("B19 "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			issuer := newIntrospected(t)
			w.introspecting(issuer, func(c *bearer.IntrospectorConfig) {
				if slow(name) {
					c.Timeout = 150 * time.Millisecond
				}
			})
			v := w.verifier()
			route := newRoute("GET /{$}", v.Require("project.list").AnyWorkspace())
			token := w.token()
			works := func() bool { return route.get("/", "Bearer "+token).Code == 204 }
			require.True(t, soon(name, works))
			broken(issuer)
			require.True(t, works(), "the last answer is used until it expires, as before")
			w.wait(bearer.DefaultCacheFor)
			requireAnswer(t, w, route, token, 503)
			_, err := v.Verify(context.Background(), token)
			require.ErrorIs(t, err, bearer.ErrUnavailable)
			require.NotContains(t, err.Error(), "127.0.0.1")
			require.Zero(t, hits.Load(), "a redirect was followed")
			if issuer.Server != nil {
				issuer.fail(nil)
				require.True(t, soon(name, works), "recovers")
				require.Contains(t, w.log.String(), "answers introspection again")
			}
			if !slow(name) {
				require.Equal(t, 1, strings.Count(w.log.String(), "cannot be asked"), "one line while the reason is the same")
			}
		})
	}
	for name, broken := range faults(active, target) {
		run(t, name, func(i *introspected) { i.fail(broken) })
	}
	run(t, "no server listens", func(i *introspected) { i.Close(); i.Server = nil })
}

func TestAnOutageIsAnsweredWithinASecond(t *testing.T) {
	require.Less(t, bearer.DefaultIntrospectionTimeout, time.Second)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		silent := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
			URL: "https://api.example.com/introspect", ClientID: "a", ClientSecret: "b", Now: w.clock.Now, Logger: w.log.Logger(), Client: silent,
		})
		require.NoError(t, err)
		w.config.Epochs = introspector
		route := newRoute("GET /{$}", w.verifier().Require().AnyWorkspace())
		began := time.Now()
		require.Equal(t, 503, route.get("/", "Bearer "+w.token()).Code)
		require.Equal(t, bearer.DefaultIntrospectionTimeout, time.Since(began))
	})
}

func TestRemoteConfigurations(t *testing.T) {
	urls := []struct {
		url, wrong string
		loopback   bool
	}{
		{"https://api.example.com/jwks", "", false},
		{"https://api.example.com:8443/jwks?x=1", "", false},
		{"https://127.0.0.1/jwks", "", false},
		{"http://localhost:8080/jwks", "", true},
		{"http://127.0.0.1/jwks", "", true},
		{"http://127.8.9.1:1/jwks", "", true},
		{"http://[::1]:80/", "", true},
		{"http://127.0.0.1/jwks", "InsecureLoopback", false},
		{"http://api.example.com/jwks", "must be localhost or a loopback address", true},
		{"http://localhost.example.com/jwks", "must be localhost or a loopback address", true},
		{"http://127.0.0.1.example.com/", "must be localhost or a loopback address", true},
		{"http://10.0.0.1/", "must be localhost or a loopback address", true},
		{"http://0.0.0.0/", "must be localhost or a loopback address", true},
		{"http://2130706433/", "must be localhost or a loopback address", true},
		{"http://0x7f.1/", "must be localhost or a loopback address", true},
		{"https://user:hunter2@api.example.com/", "user name", false},
		{"https://@api.example.com/", "user name", false},
		{"https://api.example.com/#x", "fragment", false},
		{"https://api.example.com/#", "fragment", false},
		{"", "absolute", false},
		{"/jwks", "absolute", false},
		{"//api.example.com/jwks", "https", false},
		{"https:api.example.com", "absolute", false},
		{"https:///jwks", "absolute", false},
		{"https://:443/jwks", "absolute", false},
		{"https://api.example.com/\r\nX: y", "absolute", false},
		{"https://api.example.com/\u00e4", "absolute", false},
		{"ftp://api.example.com/", "https", true},
		{"file:///etc/passwd", "absolute", true},
		{"unix://socket/x", "https", true},
	}
	for _, test := range urls {
		t.Run(fmt.Sprintf("B17 %q %v", test.url, test.loopback), func(t *testing.T) {
			_, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{URL: test.url, InsecureLoopback: test.loopback})
			_, err2 := bearer.NewIntrospector(bearer.IntrospectorConfig{URL: test.url, InsecureLoopback: test.loopback, ClientID: "a", ClientSecret: "b"})
			if test.wrong == "" {
				require.NoError(t, err)
				require.NoError(t, err2)
				return
			}
			for _, err := range []error{err, err2} {
				require.ErrorContains(t, err, "URL: ")
				require.ErrorContains(t, err, test.wrong)
				require.NotContains(t, err.Error(), "hunter2")
			}
		})
	}
	const good = "https://api.example.com/"
	for field, configs := range map[string][]bearer.RemoteKeysConfig{
		"Timeout":  {{Timeout: -1}, {Timeout: time.Minute + 1}},
		"Refresh":  {{Refresh: -1}, {Refresh: time.Second - 1}, {Refresh: 24*time.Hour + 1}},
		"Cooldown": {{Cooldown: -1}, {Cooldown: time.Second - 1}, {Cooldown: 6 * time.Minute}, {Cooldown: time.Minute, Refresh: 30 * time.Second}},
		"Retry":    {{Retry: -1}, {Retry: time.Second - 1}, {Retry: 61 * time.Second}},
		"MaxStale": {{MaxStale: -1}, {MaxStale: time.Minute}, {MaxStale: 31 * 24 * time.Hour}},
	} {
		for _, config := range configs {
			config.URL = good
			_, err := bearer.NewRemoteKeys(config)
			require.ErrorContains(t, err, field+": ")
		}
	}
	_, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{Issuer: good + "?a=b"})
	require.ErrorContains(t, err, "Issuer: must not have a query")
	_, err = bearer.NewRemoteKeys(bearer.RemoteKeysConfig{URL: good, Refresh: 24 * time.Hour})
	require.NoError(t, err)
	_, err = bearer.NewRemoteKeys(bearer.RemoteKeysConfig{URL: good, Refresh: time.Second})
	require.NoError(t, err)
	_, err = bearer.NewIntrospector(bearer.IntrospectorConfig{Timeout: -1, CacheFor: time.Minute + 1, CacheEntries: 1 << 30})
	for _, field := range []string{"URL", "ClientID", "ClientSecret", "Timeout", "CacheFor", "CacheEntries"} {
		require.ErrorContains(t, err, field+": ")
	}
}

// FuzzIntrospectionAnswer: a token is active only if encoding/json also reads
// the answer as an object that says so.
func FuzzIntrospectionAnswer(f *testing.F) {
	for body := range answers() {
		f.Add(body)
	}
	var body string
	introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
		URL: "https://api.example.com/", ClientID: "a", ClientSecret: "b", CacheEntries: -1, Logger: slog.New(slog.DiscardHandler),
		Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return respond(200, body) })},
	})
	if err != nil {
		f.Fatal(err)
	}
	token := bearer.Token{Raw: "t", TokenID: "token-1", KeyID: "key-1", Expires: time.Unix(claims().Expires, 0)}
	f.Fuzz(func(t *testing.T, sent string) {
		body = sent
		revoked, err := introspector.Revoked(context.Background(), token)
		if err != nil {
			return
		}
		// Numbers stay text: 1e700 is valid JSON but not a float64 (RFC 8259,
		// section 6).
		loose, decoder := map[string]any{}, json.NewDecoder(strings.NewReader(sent))
		decoder.UseNumber()
		if decoder.Decode(&loose) != nil || loose["active"] != !revoked {
			t.Fatalf("revoked = %v for %q", revoked, sent)
		}
		jti, ok := loose["jti"]
		if !revoked && ok && jti != "token-1" {
			t.Fatalf("an answer about another token was accepted: %q", sent)
		}
	})
}
