package bearer_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// jwt returns an unsigned JWT with these claims.
func jwt(claims string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
}

func TestCarries(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	good := w.token()
	for _, c := range []struct {
		name   string
		header []string
		want   bool
	}{
		{"a token", []string{"Bearer " + good}, true},
		{"the scheme in lower case", []string{"bearer " + good}, true},
		{"a token that was tampered with", []string{"Bearer " + good[:len(good)-8] + "AAAAAAAA"}, true},
		{"an expired token", []string{"Bearer " + w.token(func(c *jose.Claims) { c.Expires = 1 })}, true},
		{"a token for another audience", []string{"Bearer " + w.token(func(c *jose.Claims) { c.Audience = []string{"https://x.example"} })}, true},
		{"a JWT with this issuer and nothing else", []string{"Bearer " + jwt(`{"iss":"`+issuer+`"}`)}, true},
		{"no JWT", []string{"Bearer not-a-token"}, true},
		{"two parts", []string{"Bearer a.b"}, true},
		{"four parts", []string{"Bearer " + jwt(`{"iss":"https://x.example"}`) + ".x"}, true},
		{"claims that are not base64url", []string{"Bearer a.*.c"}, true},
		{"claims that are no JSON", []string{"Bearer a.YQ.c"}, true},
		{"claims twice", []string{"Bearer " + jwt(`{"iss":"https://x.example","iss":"`+issuer+`"}`)}, true},
		{"claims in another case", []string{"Bearer " + jwt(`{"ISS":"https://x.example"}`)}, true},
		{"a long text", []string{"Bearer " + jwt(`{"sub":"`+strings.Repeat("x", jose.MaxToken)+`"}`)}, true},
		{"the scheme alone", []string{"Bearer"}, true},
		{"no space", []string{"Bearer" + good}, true},
		{"two headers", []string{"Bearer " + good, "Basic eDp5"}, true},
		{"two headers of other schemes", []string{"Basic eDp5", "Basic eDp5"}, true},
		{"a token of another issuer", []string{"Bearer " + w.token(func(c *jose.Claims) { c.Issuer = "https://x.example" })}, false},
		{"a JWT without an issuer", []string{"Bearer " + jwt(`{"sub":"ada"}`)}, false},
		{"a JWT whose issuer is no text", []string{"Bearer " + jwt(`{"iss":["`+issuer+`"]}`)}, true},
		{"another scheme", []string{"Basic eDp5"}, false},
		{"an empty header", []string{""}, false},
		{"nothing", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/?access_token="+good, strings.NewReader("access_token="+good))
			r.Header["Authorization"] = c.header
			r.AddCookie(&http.Cookie{Name: "session", Value: good})
			require.Equal(t, c.want, v.Carries(r))
			// What does not count passes no guard either.
			if !c.want {
				_, ok := v.Require().CheckAny(httptest.NewRecorder(), r)
				require.False(t, ok)
			}
		})
	}
}

// TestSessionOrKey: on a route that accepts either, a session never helps a refused
// token.
func TestSessionOrKey(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	answers := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	signedIn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "ada" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		answers("session").ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.Handle("/workspaces/{workspace}", sessionOrKey(v, v.Require("project.list").InPath("workspace")(answers("key")), signedIn))
	good := w.token()
	for _, c := range []struct {
		name, path, authorization, cookie, want string
		status                                  int
	}{
		{"key", "team-a", "Bearer " + good, "", "key", http.StatusOK},
		{"key and session", "team-a", "Bearer " + good, "ada", "key", http.StatusOK},
		{"session", "team-b", "", "ada", "session", http.StatusOK},
		{"neither", "team-a", "", "", "", http.StatusForbidden},
		{"a false session", "team-a", "", "eve", "", http.StatusForbidden},
		{"a bad token and a session", "team-a", "Bearer " + good + "x", "ada", "invalid_token", http.StatusUnauthorized},
		{"no token and a session", "team-a", "Bearer ", "ada", "invalid_request", http.StatusBadRequest},
		{"a key of another workspace and a session", "team-b", "Bearer " + good, "ada", "not_found", http.StatusNotFound},
		{"a key without the permission and a session", "team-a", "Bearer " + w.token(func(c *jose.Claims) { c.Scope = "project.read" }), "ada", "insufficient_scope", http.StatusForbidden},
		{"a token of another issuer", "team-a", "Bearer " + w.token(func(c *jose.Claims) { c.Issuer = "https://x.example" }), "", "", http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/workspaces/"+c.path, nil)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			if c.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "session", Value: c.cookie})
			}
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, r)
			require.Equal(t, c.status, answer.Code, answer.Body.String())
			require.Contains(t, answer.Body.String(), c.want)
		})
	}
}
