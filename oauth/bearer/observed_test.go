package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/observe"
)

// TestEveryCallIsObserved tests each function that decides about a token, with each
// outcome: one call, one decision.
func TestEveryCallIsObserved(t *testing.T) {
	w := newWorld(t)
	var seen []observe.Decision
	w.config.Observer = func(_ context.Context, d observe.Decision) {
		seen = append(seen, d)
		w.log.Show(d)
	}
	v := w.verifier()
	guard := v.Require("project.list")
	good := w.token()
	request := func(token string) *http.Request {
		r := httptest.NewRequest(http.MethodPut, "/x/"+token, nil)
		r.Pattern = "PUT /x/{token}"
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return r
	}
	type call struct {
		name                   string
		do                     func(token string)
		method, route          string
		permissions, elsewhere bool // it checks them
	}
	put, route := http.MethodPut, "PUT /x/{token}"
	elsewhere := false
	workspace := func() string { return map[bool]string{false: "team-a", true: "team-b"}[elsewhere] }
	calls := []call{
		{"Check", func(token string) { guard.Check(httptest.NewRecorder(), request(token), workspace()) }, put, route, true, true},
		{"CheckAny", func(token string) { guard.CheckAny(httptest.NewRecorder(), request(token)) }, put, route, true, false},
		{"InFunc", func(token string) {
			h := guard.InFunc(func(*http.Request) string { return workspace() })(http.NotFoundHandler())
			h.ServeHTTP(httptest.NewRecorder(), request(token))
		}, put, route, true, true},
		{"Authorize", func(token string) { _, _ = v.Authorize(t.Context(), token, guard, workspace()) }, "", "", true, true},
		{"AuthorizeAny", func(token string) { _, _ = v.AuthorizeAny(t.Context(), token, guard) }, "", "", true, false},
		{"Verify", func(token string) { _, _ = v.Verify(t.Context(), token) }, "", "", false, false},
		{"VerifyRequest", func(token string) { _, _ = v.VerifyRequest(request(token)) }, put, route, false, false},
	}
	for _, tc := range []struct {
		name, token string
		do          func()
		reason      string
		known       bool // the signature was right
		permissions bool // about permissions
		elsewhere   bool // about the workspace
	}{
		{"accepted", good, nil, "", true, false, false},
		{"no token", "", nil, "no_token", false, false, false},
		{"not a JWT", "abc", nil, "invalid_token", false, false, false},
		{"another signature", good[:len(good)-4] + "AAAA", nil, "invalid_token", false, false, false},
		{"another audience", w.token(func(c *jose.Claims) { c.Audience = []string{"other"} }), nil, "invalid_token", true, false, false},
		{"expired", w.token(func(c *jose.Claims) { c.Expires = start.Unix() - 1 }), nil, "expired", true, false, false},
		{"a permission is missing", w.token(func(c *jose.Claims) { c.Scope = "project.save" }), nil, "scope", true, true, false},
		{"another workspace", good, func() { elsewhere = true }, "workspace", true, false, true},
		{"revoked", good, func() { w.epochs.low = 9 }, "revoked", true, false, false},
		{"the epochs cannot be read", good, func() { w.epochs.err = errors.New("down") }, "unavailable", true, false, false},
		{"the keys cannot be read", good, func() { w.keys.err = errors.New("down") }, "unavailable", false, false, false},
	} {
		for _, c := range calls {
			t.Run(tc.name+" "+c.name, func(t *testing.T) {
				elsewhere, w.epochs.low, w.epochs.err, w.keys.err = false, 0, nil, nil
				if tc.do != nil {
					tc.do()
				}
				seen = nil
				c.do(tc.token)
				want := observe.Decision{Time: start, Use: observe.Guard, Reason: tc.reason, Method: c.method, Route: c.route}
				if tc.known {
					want.KeyID, want.Workspace, want.CredentialID = "key-1", "team-a", "secret-1"
				}
				if tc.permissions && !c.permissions || tc.elsewhere && !c.elsewhere {
					want.Reason = ""
				}
				if c.name == "Verify" && tc.token == "" {
					want.Reason = "invalid_token"
				}
				require.Equal(t, []observe.Decision{want}, seen)
			})
		}
	}
	t.Run("a guard of another verifier", func(t *testing.T) {
		elsewhere, w.epochs.low, w.epochs.err, w.keys.err, seen = false, 0, nil, nil, nil
		_, err := v.AuthorizeAny(t.Context(), good, w.verifier().Require())
		require.Error(t, err)
		require.Equal(t, "misconfigured", seen[0].Reason)
	})
	w.log.Keep(good)
	w.log.Search(t)
}

// TestVerifyRequest tests the principal and the errors of VerifyRequest.
func TestVerifyRequest(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	p, err := v.VerifyRequest(r)
	require.Nil(t, p)
	require.ErrorIs(t, err, bearer.ErrUnauthenticated)
	require.NotErrorIs(t, err, bearer.ErrInvalid)
	r.Header.Set("Authorization", "Bearer "+w.token())
	p, err = v.VerifyRequest(r)
	require.NoError(t, err)
	require.Equal(t, "key-1", p.KeyID)
	r.Header.Set("Authorization", "Bearer "+w.token(func(c *jose.Claims) { c.Expires = start.Unix() - 1 }))
	p, err = v.VerifyRequest(r)
	require.Nil(t, p, "the principal of a refused token is for the Observer only")
	require.ErrorIs(t, err, bearer.ErrExpired)
}
