package bearer_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

const bare = `Bearer realm="api"`

// requireRefusal checks what all refusals have in common.
func requireRefusal(t *testing.T, answer *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	require.Equal(t, status, answer.Code, answer.Body.String())
	require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
	var body map[string]string
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body))
	require.Equal(t, code, body["error"])
	require.NotEmpty(t, body["error_description"])
	require.Len(t, body, 2)
}

func TestAuthorizationHeader(t *testing.T) {
	w := newWorld(t)
	token := w.token()
	route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
	tests := []struct {
		name   string
		values []string
		status int
		code   string // in the challenge
	}{
		{"6750-01 good", []string{"Bearer " + token}, 204, ""},
		{"6750-01 scheme is case-insensitive: bearer", []string{"bearer " + token}, 204, ""},
		{"6750-01 scheme is case-insensitive: BEARER", []string{"BEARER " + token}, 204, ""},
		{"6750-01 tab", []string{"Bearer\t" + token}, 400, "invalid_request"},
		{"6750-01 tab after the space", []string{"Bearer \t" + token}, 400, "invalid_request"},
		{"6750-01 two spaces", []string{"Bearer  " + token}, 204, ""},
		{"6750-01 trailing junk", []string{"Bearer " + token + " x"}, 400, "invalid_request"},
		{"6750-01 trailing space", []string{"Bearer " + token + " "}, 400, "invalid_request"},
		{"6750-01 comma list", []string{"Bearer " + token + ", Bearer " + token}, 400, "invalid_request"},
		{"6750-01 comma without space", []string{"Bearer " + token + ",Bearer"}, 400, "invalid_request"},
		{"6750-01 quoted", []string{`Bearer "` + token + `"`}, 400, "invalid_request"},
		{"6750-01 line break", []string{"Bearer " + token + "\r\nX: y"}, 400, "invalid_request"},
		{"6750-01 NUL", []string{"Bearer " + token + "\x00"}, 400, "invalid_request"},
		{"6750-01 no space", []string{"Bearer" + token}, 400, "invalid_request"},
		{"6750-01 no token", []string{"Bearer"}, 400, "invalid_request"},
		{"6750-01 many spaces", []string{"bearer     " + token}, 204, ""},
		{"6750-01 two spaces and a tab", []string{"Bearer  \t" + token}, 400, "invalid_request"},
		{"6750-01 two spaces and no token", []string{"Bearer  "}, 400, "invalid_request"},
		{"6750-01 space and no token", []string{"Bearer "}, 400, "invalid_request"},
		{"6750-02 no header", nil, 401, ""},
		{"6750-02 empty header", []string{""}, 401, ""},
		{"6750-02 another scheme", []string{"Basic a2V5OnNlY3JldA=="}, 401, ""},
		{"6750-02 another scheme first", []string{"Basic a2V5, Bearer " + token}, 401, ""},
		{"6750-05 two headers", []string{"Bearer " + token, "Bearer " + token}, 400, "invalid_request"},
		{"6750-05 two headers, one empty", []string{"Bearer " + token, ""}, 400, "invalid_request"},
		{"6750-05 two headers, two schemes", []string{"Basic a2V5", "Bearer " + token}, 400, "invalid_request"},
		{"6750-10 longer than 8 KiB", []string{"Bearer " + strings.Repeat("a", 8<<10+1)}, 401, "invalid_token"},
		{"6750-10 longer than 8 KiB, whatever it holds", []string{"Bearer " + strings.Repeat("a ", 4<<10) + "a"}, 401, "invalid_token"},
		{"6750-10 four dots, a JWE", []string{"Bearer a.b.c.d.e"}, 401, "invalid_token"},
		{"6750-10 one dot", []string{"Bearer a.b"}, 401, "invalid_token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			route.ran = 0
			answer := route.get("/", test.values...)
			if test.status == 204 {
				require.Equal(t, 204, answer.Code, answer.Body.String())
				require.Equal(t, 1, route.ran)
				require.Equal(t, "key-1", route.seen.KeyID)
				return
			}
			require.Zero(t, route.ran, "the handler ran")
			if test.code == "" {
				requireRefusal(t, answer, test.status, "unauthorized")
				require.Equal(t, bare, answer.Header().Get("WWW-Authenticate"))
				return
			}
			requireRefusal(t, answer, test.status, test.code)
			require.Contains(t, answer.Header().Get("WWW-Authenticate"), bare+`, error="`+test.code+`", error_description="`)
		})
	}
}

func TestTokensElsewhere(t *testing.T) {
	w := newWorld(t)
	token := w.token()
	body := &countingReader{}
	route := newRoute("/", w.verifier().Require("project.list").AnyWorkspace())
	tests := []struct {
		name   string
		method string
		target string
		header http.Header
		status int
	}{
		{"6750-06 B10 query", "GET", "/?access_token=" + token, nil, 401},
		{"6750-06 B10 query beside a good header", "GET", "/?access_token=junk", http.Header{"Authorization": {"Bearer " + token}}, 204},
		{"6750-07 form", "POST", "/", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 401},
		{"6750-07 form on GET", "GET", "/", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 401},
		{"6750-05 form beside a good header: the body is the handler's", "POST", "/",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Bearer " + token}}, 204},
		{"6750-06 cookie", "GET", "/", http.Header{"Cookie": {"access_token=" + token}}, 401},
		{"6750-06 Proxy-Authorization", "GET", "/", http.Header{"Proxy-Authorization": {"Bearer " + token}}, 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body.reset("access_token=" + token)
			request := httptest.NewRequest(test.method, test.target, body)
			for name, values := range test.header {
				request.Header[name] = values
			}
			answer := httptest.NewRecorder()
			route.handler.ServeHTTP(answer, request)
			require.Equal(t, test.status, answer.Code)
			require.Zero(t, body.reads, "the body was read")
			if test.status == 401 {
				require.Equal(t, bare, answer.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

type countingReader struct {
	io.Reader
	reads int
}

func (r *countingReader) reset(text string) { r.Reader, r.reads = strings.NewReader(text), 0 }
func (r *countingReader) Read(p []byte) (int, error) {
	r.reads++
	return r.Reader.Read(p)
}

func TestInvalidTokens(t *testing.T) {
	w := newWorld(t)
	route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
	good := w.token()
	tests := []struct {
		name  string
		token string
		does  func()
		says  string
	}{
		{"6750-03 malformed", "nonsense", nil, "not a JWT"},
		{"6750-03 bad signature", good[:len(good)-8] + "AAAAAAAA", nil, "signature"},
		{"6750-03 revoked", good, func() { w.epochs.raise(4) }, "was revoked"},
		{"6750-03 expired", good, func() { w.wait(10 * time.Minute) }, "expired"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.does != nil {
				test.does()
			}
			answer := route.get("/", "Bearer "+test.token)
			requireRefusal(t, answer, 401, "invalid_token")
			require.Contains(t, answer.Header().Get("WWW-Authenticate"), `error="invalid_token"`)
			require.Contains(t, answer.Header().Get("WWW-Authenticate"), test.says)
			require.NotContains(t, answer.Body.String(), test.token)
		})
	}
	require.Zero(t, route.ran)
}

func TestInsufficientScope(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	t.Run("6750-04 one permission", func(t *testing.T) {
		route := newRoute("GET /{$}", v.Require("project.save").AnyWorkspace())
		answer := route.get("/", "Bearer "+w.token())
		requireRefusal(t, answer, 403, "insufficient_scope")
		require.Contains(t, answer.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`)
		require.Contains(t, answer.Header().Get("WWW-Authenticate"), `scope="project.save"`)
		require.Zero(t, route.ran)
	})
	t.Run("6750-04 all of two are asked for", func(t *testing.T) {
		route := newRoute("GET /{$}", v.Require("project.save", "project.list").AnyWorkspace())
		answer := route.get("/", "Bearer "+w.token())
		require.Equal(t, 403, answer.Code)
		require.Contains(t, answer.Header().Get("WWW-Authenticate"), `scope="project.list project.save"`)
	})
	t.Run("6750-04 Read is not read", func(t *testing.T) {
		route := newRoute("GET /{$}", v.Require("project.list").AnyWorkspace())
		answer := route.get("/", "Bearer "+w.token(func(c *jose.Claims) { c.Scope = "Project.List" }))
		require.Equal(t, 403, answer.Code)
	})
}

func TestChallengeCannotBeSplit(t *testing.T) {
	w := newWorld(t)
	t.Run("6750-08 B15 quotes in the realm are escaped", func(t *testing.T) {
		w.config.Realm = `a", error="none\`
		answer := newRoute("GET /{$}", w.verifier().Require().AnyWorkspace()).get("/")
		require.Equal(t, `Bearer realm="a\", error=\"none\\"`, answer.Header().Get("WWW-Authenticate"))
	})
	for name, realm := range map[string]string{
		"CRLF": "a\r\nSet-Cookie: b", "NUL": "a\x00", "U+2028": "a\u2028", "bidi": "\u202Ea", "DEL": "\x7f",
	} {
		t.Run("6750-08 B15 realm with "+name+" is refused", func(t *testing.T) {
			w.config.Realm = realm
			_, err := bearer.New(w.config)
			require.ErrorContains(t, err, "Realm")
		})
	}
	t.Run("6750-08 B15 a scope that could split the header never becomes a guard", func(t *testing.T) {
		w.config.Realm, w.config.Permissions = "api", nil
		v := w.verifier()
		for _, name := range []string{`a"`, "a\r\nX: y", `a\`, "a b", ""} {
			require.Panics(t, func() { v.Require(name) }, "%q", name)
		}
	})
	t.Run("9728-02 metadata URL", func(t *testing.T) {
		w.config.ResourceMetadata = "https://api.example.com/.well-known/oauth-protected-resource"
		answer := newRoute("GET /{$}", w.verifier().Require().AnyWorkspace()).get("/")
		require.Equal(t, bare+`, resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`,
			answer.Header().Get("WWW-Authenticate"))
	})
}

func TestSuccessIsLeftToTheHandler(t *testing.T) {
	w := newWorld(t)
	route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
	t.Run("6750-09 no header is added", func(t *testing.T) {
		answer := route.get("/", "Bearer "+w.token())
		require.Equal(t, 204, answer.Code)
		require.Empty(t, answer.Header())
	})
}

func TestOutages(t *testing.T) {
	w := newWorld(t)
	route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
	token := w.token()
	require.Equal(t, 204, route.get("/", "Bearer "+token).Code)
	outage := errors.New("connection refused")
	refused := func(t *testing.T, token string) {
		answer := route.get("/", "Bearer "+token)
		requireRefusal(t, answer, 503, "temporarily_unavailable")
		require.NotEmpty(t, answer.Header().Get("Retry-After"))
		require.Empty(t, answer.Header().Get("WWW-Authenticate"))
		require.NotContains(t, answer.Body.String(), "connection")
		require.Contains(t, w.log.String(), "connection refused")
		require.NotContains(t, w.log.String(), token)
	}
	for name, token := range map[string]string{"token seen before": token, "new token": w.token(func(c *jose.Claims) { c.TokenID = "2" })} {
		t.Run("B19 epochs, "+name, func(t *testing.T) {
			w.epochs.err = outage
			defer func() { w.epochs.err = nil }()
			refused(t, token)
		})
		t.Run("B19 keys, "+name, func(t *testing.T) {
			w.keys.err = outage
			defer func() { w.keys.err = nil }()
			refused(t, token)
		})
	}
	t.Run("a key set that answers with another key", func(t *testing.T) {
		key := w.keys.keys["k1"]
		w.keys.keys["k1"] = bearer.PublicKey{ID: "k2", Algorithm: key.Algorithm, Key: key.Key}
		defer func() { w.keys.keys["k1"] = key }()
		require.Equal(t, 503, route.get("/", "Bearer "+token).Code)
	})
	t.Run("a key set that answers with an unusable key", func(t *testing.T) {
		key := w.keys.keys["k1"]
		w.keys.keys["k1"] = bearer.PublicKey{ID: "k1", Algorithm: "ES256"}
		defer func() { w.keys.keys["k1"] = key }()
		require.Equal(t, 503, route.get("/", "Bearer "+token).Code)
	})
	require.Equal(t, 204, route.get("/", "Bearer "+token).Code)
}
