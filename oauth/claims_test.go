package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.login(w.key.ID, w.secret)
	claims := harness.Claims(t, token)
	t.Run("9068-02 the claims, and no others", func(t *testing.T) {
		jti, secretID := claims["jti"], claims["credential_id"]
		require.NotEmpty(t, jti)
		require.NotEmpty(t, secretID)
		require.Equal(t, map[string]any{
			"iss": w.base, "sub": w.key.ID, "aud": w.base, "client_id": w.key.ID,
			"exp": float64(start.Unix() + 300), "iat": float64(start.Unix()), "jti": jti,
			"scope": "project.list project.read", "workspace": "team-a", "credential_id": secretID,
			"epochs": claims["epochs"],
		}, claims)
		epochs, _ := claims["epochs"].([]any)
		require.Len(t, epochs, 3)
		require.Equal(t, []any{0.0, 0.0}, epochs[:2])
		require.Positive(t, epochs[2])
	})
	t.Run("9068-01 header", func(t *testing.T) {
		head := harness.Head(t, token)
		require.Len(t, head, 3)
		require.Equal(t, "at+jwt", head["typ"])
		require.Equal(t, "ES256", head["alg"])
	})
	t.Run("9700-02 and 9068-04 one audience: the issuer unless configured", func(t *testing.T) {
		require.Equal(t, w.base, claims["aud"])
		one := newWorld(t, func(s *setup) { s.config.Audience = []string{"https://rs.example"} })
		require.Equal(t, "https://rs.example", harness.Claims(t, one.login(one.key.ID, one.secret))["aud"])
		two := newWorld(t, func(s *setup) { s.config.Audience = []string{"a", "b"} })
		require.Equal(t, []any{"a", "b"}, harness.Claims(t, two.login(two.key.ID, two.secret))["aud"])
		require.Equal(t, http.StatusUnauthorized, one.call(two.login(two.key.ID, two.secret)))
	})
	t.Run("the secret's id reveals nothing about the secret", func(t *testing.T) {
		require.NotContains(t, w.secret, claims["credential_id"])
		require.NotContains(t, token, w.secret)
	})
}

// TestTokenIDs issues many tokens within one frozen second.
func TestTokenIDs(t *testing.T) {
	t.Parallel()
	n := harness.Rounds(5_000, 1_000_000)
	w := newWorld(t, func(s *setup) { s.config.Signers = []oauth.SigningKey{{Secret: make([]byte, 32)}} })
	seen := make(map[string]bool, n)
	body := w.grant()
	for range n {
		token := serve(w.Token(), http.MethodPost, "/", body).Token()
		id, _ := harness.Claims(t, token)["jti"].(string)
		require.Len(t, id, 22)
		if seen[id] {
			t.Fatal("9068-02 jti appears twice")
		}
		seen[id] = true
	}
}

// TestHostClaims tests B21 for the hook that adds claims.
func TestHostClaims(t *testing.T) {
	t.Parallel()
	var extra map[string]any
	var fail error
	var touch func(*apikey.Grant)
	w := newWorld(t, func(s *setup) {
		s.config.Claims = func(_ context.Context, g *apikey.Grant) (map[string]any, error) {
			if touch != nil {
				touch(g)
			}
			return extra, fail
		}
	})
	t.Run("the host's own claims", func(t *testing.T) {
		w := w.at(t)
		extra = map[string]any{"team": map[string]any{"plan": "gold"}, "n": 1}
		token := w.login(w.key.ID, w.secret)
		require.Equal(t, map[string]any{"plan": "gold"}, harness.Claims(t, token)["team"])
		p, err := w.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
		var n int
		require.NoError(t, p.Claim("n", &n))
		require.Equal(t, 1, n)
	})
	for _, name := range []string{
		"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "workspace", "credential_id", "epochs", "cnf",
		"ISS", "Client_ID", "\u017fcope", "", "a\x00b", strings.Repeat("n", 65), "act", "azp",
	} {
		t.Run(fmt.Sprintf("B21 a hook cannot set %q", name), func(t *testing.T) {
			w := w.at(t)
			extra = map[string]any{name: "x"}
			w.refused(w.post(w.grant()), http.StatusInternalServerError, "server_error")
		})
	}
	t.Run("B21 a value that no JSON can hold", func(t *testing.T) {
		w := w.at(t)
		extra = map[string]any{"f": func() {}}
		w.refused(w.post(w.grant()), http.StatusInternalServerError, "server_error")
	})
	t.Run("B21 a value that would end its JSON string", func(t *testing.T) {
		w := w.at(t)
		extra = map[string]any{"x": raw(`1,"scope":"root"`)}
		w.refused(w.post(w.grant()), http.StatusInternalServerError, "server_error")
	})
	t.Run("a hook that fails: no token, and the error is for the log", func(t *testing.T) {
		w := w.at(t)
		extra, fail = nil, errors.New("canary-hook")
		defer func() { fail = nil }()
		a := w.post(w.grant())
		w.refused(a, http.StatusInternalServerError, "server_error")
		require.NotContains(t, a.Body, "canary")
		require.Contains(t, w.log.String(), "canary-hook")
	})
	t.Run("a hook that fails because a store is unavailable", func(t *testing.T) {
		w := w.at(t)
		fail = fmt.Errorf("directory: %w", store.ErrUnavailable)
		defer func() { fail = nil }()
		w.refused(w.post(w.grant()), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
	t.Run("claims larger than a verifier accepts: no token", func(t *testing.T) {
		w := w.at(t)
		extra = map[string]any{"big": strings.Repeat("x", 8<<10)}
		w.refused(w.post(w.grant()), http.StatusInternalServerError, "server_error")
	})
	t.Run("B21 what a hook writes into the grant is lost", func(t *testing.T) {
		w := w.at(t)
		extra = nil
		touch = func(g *apikey.Grant) {
			g.Permissions = scope.MustParse("project.write admin.project.list")
			g.Expires = g.Expires.Add(time.Hour)
			g.Key.ID, g.Key.Workspace, g.CredentialID, g.Epochs = "other", "team-b", "other", [3]int64{9, 9, 9}
		}
		defer func() { touch = nil }()
		a := w.post(w.grant())
		require.Equal(t, "project.list project.read", a.Member("scope"))
		require.InEpsilon(t, 300.0, a.Member("expires_in"), 0)
		unchanged(t, w, a)
	})
}

func TestSignShowsACopy(t *testing.T) {
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com", Permissions: catalog, Logger: quiet,
		Claims: func(_ context.Context, g *apikey.Grant) (map[string]any, error) {
			g.Key.Credentials[0].ID, g.Key.Resources[0] = "other", "other"
			return nil, nil
		},
	})
	require.NoError(t, err)
	grant := &apikey.Grant{Key: apikey.Key{Credentials: []store.Credential{{ID: "own"}}, Resources: []string{"own"}}}
	_, err = srv.Sign(t.Context(), grant)
	require.NoError(t, err)
	require.Equal(t, "own", grant.Key.Credentials[0].ID)
	require.Equal(t, "own", grant.Key.Resources[0])
}

// raw is invalid JSON.
type raw string

func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func unchanged(t *testing.T, w *world, a answer) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
	claims := harness.Claims(t, a.Token())
	require.Equal(t, "project.list project.read", claims["scope"])
	require.Equal(t, w.key.ID, claims["sub"])
	require.Equal(t, w.key.ID, claims["client_id"])
	require.Equal(t, "team-a", claims["workspace"])
	require.InEpsilon(t, float64(start.Unix()+300), claims["exp"], 0)
	require.NotContains(t, claims["epochs"], 9.0)
	require.Equal(t, http.StatusOK, w.call(a.Token()))
}

// TestPolicyNarrows tests B21 for policies.
func TestPolicyNarrows(t *testing.T) {
	t.Parallel()
	var rule func(*policy.TokenRequest)
	w := newWorld(t, func(s *setup) {
		s.config.Policy = policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error { rule(r); return nil })
	})
	t.Run("6749-16 what a policy drops is missing from the answer", func(t *testing.T) {
		w := w.at(t)
		rule = func(r *policy.TokenRequest) { r.Drop(scope.MustParse("project.read")) }
		a := w.post(w.grant("scope", "project.list project.read"))
		require.Equal(t, "project.list", a.Member("scope"))
		require.Equal(t, "project.list", harness.Claims(t, a.Token())["scope"])
	})
	t.Run("a policy shortens", func(t *testing.T) {
		w := w.at(t)
		rule = func(r *policy.TokenRequest) { r.ShortenTo(r.Now.Add(time.Minute)) }
		require.InEpsilon(t, 60.0, w.post(w.grant()).Member("expires_in"), 0)
	})
	t.Run("B21 a policy neither prolongs nor widens nor renames", func(t *testing.T) {
		w := w.at(t)
		rule = func(r *policy.TokenRequest) {
			r.ShortenTo(r.Now.Add(time.Hour))
			r.Key.Permissions = scope.MustParse("project.write")
			r.Key.ID, r.Key.Workspace = "other", "team-b"
			r.Key.Epoch, r.Instance.Epoch, r.Workspace.Epoch = 9, 9, 9
			r.Key.NotAfter = time.Time{}
			r.Credential.ID = "other"
			r.Now = r.Now.Add(time.Hour)
		}
		unchanged(t, w, w.post(w.grant()))
	})
}
