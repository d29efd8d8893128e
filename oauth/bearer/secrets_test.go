package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
)

// accepting is a host's own CheckSecret.
func accepting(context.Context, string, bearer.Secret, *http.Request) (*bearer.Principal, error) {
	return &bearer.Principal{KeyID: "key-1", Workspace: "team-a", Permissions: scope.MustParse("project.list")}, nil
}

func TestSecretForms(t *testing.T) {
	for _, tc := range []struct {
		name  string
		forms bearer.SecretForms
		none  bool // no CheckSecret
		wants string
	}{
		{"B32 none", bearer.SecretForms{}, false, ""},
		{"B32 none, without CheckSecret", bearer.SecretForms{}, true, ""},
		{"B32 all", bearer.SecretForms{Header: "x-api-key", Basic: true, ChallengeBasic: true}, false, ""},
		{"B32 an unusual name", bearer.SecretForms{Header: "X!api~key"}, false, ""},
		{"B32 without CheckSecret", bearer.SecretForms{Header: "X-API-Key"}, true, "SecretForms: needs CheckSecret"},
		{"B32 Basic without CheckSecret", bearer.SecretForms{Basic: true}, true, "SecretForms: needs CheckSecret"},
		{"B32 no name", bearer.SecretForms{Header: "X API Key"}, false, "SecretForms.Header: must be the name of a header that HTTP does not define"},
		{"B32 a colon", bearer.SecretForms{Header: "X-API-Key:"}, false, "SecretForms.Header"},
		{"B32 not ASCII", bearer.SecretForms{Header: "X-Schlüssel"}, false, "SecretForms.Header"},
		{"B32 Authorization", bearer.SecretForms{Header: "authorization"}, false, "SecretForms.Header"},
		{"B32 Cookie", bearer.SecretForms{Header: "COOKIE"}, false, "SecretForms.Header"},
		{"B32 Proxy-Authorization", bearer.SecretForms{Header: "Proxy-Authorization"}, false, "SecretForms.Header"},
		{"B32 a challenge without Basic", bearer.SecretForms{ChallengeBasic: true}, false, "SecretForms.ChallengeBasic: needs SecretForms.Basic"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.config.SecretForms = tc.forms
			if !tc.none {
				w.config.CheckSecret = accepting
			}
			_, err := bearer.New(w.config)
			if tc.wants == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.wants)
		})
	}
}

// TestOrSecret tests guards with a host's own CheckSecret.
func TestOrSecret(t *testing.T) {
	w := newWorld(t)
	require.PanicsWithError(t, "bearer: a route's guard: OrSecret: Config.CheckSecret is missing: only the issuer's own process checks secrets", func() {
		w.verifier().Require("project.list").OrSecret()
	}, "B32 a resource server in another process")
	require.Panics(t, func() { bearer.Guard{}.OrSecret() })
	for _, tc := range []struct {
		name      string
		principal *bearer.Principal
		err       error
		status    int
		code      string
		kind      error
	}{
		{"B32 accepted", &bearer.Principal{KeyID: "key-1", Workspace: "team-a", Permissions: scope.MustParse("project.list")}, nil, 200, "", nil},
		{"B32 wrong", nil, bearer.ErrInvalid, 401, "invalid_token", bearer.ErrInvalid},
		{"B32 expired", nil, fmt.Errorf("host: %w", bearer.ErrExpired), 401, "invalid_token", bearer.ErrInvalid},
		{"B32 forbidden", nil, bearer.ErrForbidden, 403, "access_denied", bearer.ErrForbidden},
		{"B32 throttled", nil, bearer.ErrThrottled, 429, "temporarily_unavailable", bearer.ErrThrottled},
		{"B32 an outage", nil, bearer.ErrUnavailable, 503, "temporarily_unavailable", bearer.ErrUnavailable},
		{"B32 any other error", nil, errors.New("broken"), 503, "temporarily_unavailable", bearer.ErrUnavailable},
		{"B32 an outage takes precedence", nil, errors.Join(bearer.ErrInvalid, bearer.ErrUnavailable), 503, "temporarily_unavailable", bearer.ErrUnavailable},
		{"B32 neither a principal nor an error", nil, nil, 503, "temporarily_unavailable", bearer.ErrUnavailable},
		{"B32 a principal without a workspace", &bearer.Principal{KeyID: "key-1"}, nil, 503, "temporarily_unavailable", bearer.ErrUnavailable},
		{"B32 a principal without a key", &bearer.Principal{Workspace: "team-a"}, nil, 503, "temporarily_unavailable", bearer.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.config.CheckSecret = func(context.Context, string, bearer.Secret, *http.Request) (*bearer.Principal, error) {
				return tc.principal, tc.err
			}
			v := w.verifier()
			guard := v.Require("project.list").OrSecret()
			p, err := v.Authorize(t.Context(), "some secret", guard, "team-a")
			if tc.kind == nil {
				require.NoError(t, err)
				require.True(t, p.Direct)
				require.Equal(t, []string{audience}, p.Audience)
			} else {
				require.ErrorIs(t, err, tc.kind)
				require.Nil(t, p)
			}
			kinds := 0
			for _, kind := range []error{bearer.ErrUnauthenticated, bearer.ErrForbidden, bearer.ErrNotFound, bearer.ErrThrottled, bearer.ErrUnavailable} {
				if errors.Is(err, kind) {
					kinds++
				}
			}
			if tc.err != nil && tc.name != "B32 an outage takes precedence" {
				require.Equal(t, 1, kinds, "exactly one")
			}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer secret")
			answer := httptest.NewRecorder()
			_, ok := guard.CheckAny(answer, r)
			require.Equal(t, tc.status == 200, ok)
			if !ok {
				require.Equal(t, tc.status, answer.Code)
				require.Contains(t, answer.Body.String(), `"error":"`+tc.code+`"`)
				require.Equal(t, tc.status == 401, answer.Header().Get("WWW-Authenticate") != "")
			}
		})
	}
	t.Run("a Guard is an immutable value", func(t *testing.T) {
		w.config.CheckSecret = accepting
		v := w.verifier()
		guard := v.Require("project.list")
		_ = guard.OrSecret()
		_, err := v.AuthorizeAny(t.Context(), "secret", guard)
		require.ErrorIs(t, err, bearer.ErrInvalid)
	})
}

func TestCarriesSecrets(t *testing.T) {
	w := newWorld(t)
	none := w.verifier()
	w.config.CheckSecret, w.config.SecretForms = accepting, bearer.SecretForms{Header: "X-API-Key", Basic: true}
	all := w.verifier()
	for _, tc := range []struct {
		name        string
		all, none   bool
		header, has string
	}{
		{"B32 the header", true, false, "X-API-Key", "x"},
		{"B32 an empty header", false, false, "X-API-Key", ""},
		{"B32 Basic", true, false, "Authorization", "Basic x"},
		{"B32 Basic without credentials", true, false, "Authorization", "basic"},
		{"B32 Bearer", true, true, "Authorization", "Bearer lk_secret"},
		{"B32 a cookie", false, false, "Cookie", "X-API-Key=x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/?X-API-Key=x", nil)
			r.Header.Set(tc.header, tc.has)
			require.Equal(t, tc.all, all.Carries(r))
			require.Equal(t, tc.none, none.Carries(r))
		})
	}
}

// FuzzOrSecret: whatever the headers are, at most one secret is checked, and only if it
// is the only credential of the request.
func FuzzOrSecret(f *testing.F) {
	for _, seed := range [][3]string{
		{"Bearer lk_a", "", ""}, {"", "lk_a", ""}, {"Basic aWQ6c2VjcmV0", "", ""}, {"Basic aWQ6", "x", ""}, {"Bearer e30.e30.", "", ""},
		{"Bearer eyJhbGciOiJFUzI1NiJ9.e30.", "x", ""}, {"Digest x", "x", ""}, {"", "x", "y"}, {"Bearer", "x", ""}, {"Bearer  a.b.c", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	w := newWorld(f)
	var checked []string
	w.config.SecretForms = bearer.SecretForms{Header: "X-API-Key", Basic: true}
	w.config.CheckSecret = func(ctx context.Context, keyID string, secret bearer.Secret, r *http.Request) (*bearer.Principal, error) {
		checked = append(checked, string(secret))
		return accepting(ctx, keyID, secret, r)
	}
	v := w.verifier()
	guard := v.Require("project.list").OrSecret()
	f.Fuzz(func(t *testing.T, authorization, first, second string) {
		checked = nil
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		credentials := 0
		scheme, _, _ := strings.Cut(strings.ToLower(authorization), " ")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
			if scheme == "bearer" || scheme == "basic" {
				credentials++
			}
		}
		for _, value := range []string{first, second} {
			if value != "" {
				r.Header["X-Api-Key"] = append(r.Header["X-Api-Key"], value)
				credentials++
			}
		}
		answer := httptest.NewRecorder()
		_, ok := guard.CheckAny(answer, r)
		require.Equal(t, ok, len(checked) == 1, "%v", checked)
		if credentials != 1 {
			require.False(t, ok)
			require.Empty(t, checked)
		}
		if credentials > 1 {
			require.Equal(t, http.StatusBadRequest, answer.Code)
		}
		if ok {
			require.NotEmpty(t, checked[0])
			// Of three parts, Carries reads the second only, and takes it for a host's JWT.
			require.True(t, v.Carries(r) || strings.Count(checked[0], ".") == 2, "Carries knows the form")
		}
	})
}
