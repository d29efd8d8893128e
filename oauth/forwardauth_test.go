package oauth_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// unread is a body that fails the test if it is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestForwardAuth(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	w := newWorld(t, func(s *setup) {
		s.store = st
		s.config.SecretForms.Header = "X-API-Key"
		s.config.Policy = policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
			if r.Key.Workspace == "team-empty" {
				r.Drop(r.Granted())
			}
			return nil
		})
	})
	forward := w.ForwardAuth(w.Require("project.list"), w.LimitRequests(oauth.RequestLimit{Key: perMinute(20)}))
	loginOf := func(workspace, permissions string) (id, token string) {
		key, secret := w.newKey(workspace, permissions)
		return key.ID, w.login(key.ID, secret)
	}
	ask := func(handler http.Handler, token string, headers ...string) answer {
		if token != "" {
			headers = append(headers, "Authorization", "Bearer "+token)
		}
		a := serve(handler, http.MethodGet, "/forward-auth", "", headers...)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		return a
	}
	passes := func(a answer, workspace, id, permissions string) {
		t.Helper()
		require.Equal(t, http.StatusNoContent, a.StatusCode, a.Body)
		require.Equal(t, [][]string{{workspace}, {id}, {permissions}},
			[][]string{a.Header.Values("X-Workspace"), a.Header.Values("X-Client-Id"), a.Header.Values("X-Scope")})
	}
	refused := func(a answer, status int) {
		t.Helper()
		require.Equal(t, status, a.StatusCode, a.Body)
		require.Empty(t, a.Header.Values("X-Workspace"))
	}
	good := w.login(w.key.ID, w.secret)
	passes(ask(forward, good, "X-Workspace", "team-b", "X-Scope", "all", "X-Client-Id", "x"), "team-a", w.key.ID, "project.list project.read")
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
		r := harness.Incoming(method, "/any/path?x=1", "", "Authorization", "Bearer "+good)
		r.Body, r.ContentLength = io.NopCloser(unread{t}), 1000
		passes(harness.Serve(forward, r), "team-a", w.key.ID, "project.list project.read")
	}
	t.Run("no permissions: the header is there all the same", func(t *testing.T) {
		id, token := loginOf("team-empty", "project.read")
		passes(ask(w.ForwardAuth(w.Require()), token), "team-empty", id, "")
	})
	t.Run("B32 a secret, if the guard says OrSecret", func(t *testing.T) {
		key, secret := w.newDirect("team-direct", "project.list")
		direct := w.ForwardAuth(w.Require("project.list").OrSecret())
		passes(ask(direct, "", "X-API-Key", secret), "team-direct", key.ID, "project.list")
		passes(ask(direct, secret), "team-direct", key.ID, "project.list")
		refused(ask(direct, "", "X-API-Key", secret[:len(secret)-1]), http.StatusUnauthorized)
		refused(ask(direct, good, "X-API-Key", secret), http.StatusBadRequest)
		refused(ask(forward, "", "X-API-Key", secret), http.StatusUnauthorized)
	})
	t.Run("refusals", func(t *testing.T) {
		a := ask(forward, "")
		refused(a, http.StatusUnauthorized)
		require.Equal(t, `Bearer realm="api"`, a.Header.Get("WWW-Authenticate"))
		a = ask(forward, "x")
		refused(a, http.StatusUnauthorized)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), "invalid_token")
		refused(ask(forward, good, "Authorization", "Bearer x"), http.StatusBadRequest)
		_, reader := loginOf("team-a", "project.read")
		a = ask(forward, reader)
		refused(a, http.StatusForbidden)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), `scope="project.list"`)
		tapped.Before(func(context.Context, string) error { return store.ErrUnavailable })
		a = ask(forward, good)
		tapped.Before(nil)
		refused(a, http.StatusServiceUnavailable)
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	})
	t.Run("a limit", func(t *testing.T) {
		_, token := loginOf("team-busy", "project.list")
		for range 20 {
			require.Equal(t, http.StatusNoContent, ask(forward, token).StatusCode)
		}
		a := ask(forward, token)
		refused(a, http.StatusTooManyRequests)
		require.Equal(t, "3", a.Header.Get("Retry-After"))
	})
	t.Run("B15 an id that cannot be in a header", func(t *testing.T) {
		for _, workspace := range []string{"équipe", " team", "team ", "\u65e5\u672c"} {
			_, token := loginOf(workspace, "project.list")
			refused(ask(forward, token), http.StatusInternalServerError)
		}
		id, token := loginOf("team %C3%A9, \"a\";b", "project.list")
		passes(ask(forward, token), "team %C3%A9, \"a\";b", id, "project.list")
		require.Contains(t, w.log.String(), "cannot be sent in a header")
	})
	t.Run("mistakes", func(t *testing.T) {
		require.NotNil(t, panicOf(func() { w.ForwardAuth(bearer.Guard{}) }))
		require.NotNil(t, panicOf(func() { w.ForwardAuth(w.Require(), nil) }))
	})
}
