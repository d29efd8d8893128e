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

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

func TestMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"} {
		t.Run("6749-07 "+method, func(t *testing.T) {
			w := w.at(t)
			a := w.send(method, "/api/login", w.grant(), append(basic(w.key.ID, w.secret), "Content-Type", form)...)
			require.Equal(t, http.StatusMethodNotAllowed, a.StatusCode)
			require.Equal(t, "POST", a.Header.Get("Allow"))
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
			require.NotContains(t, a.Body, "access_token")
			require.Empty(t, a.Header.Get("Access-Control-Allow-Credentials"))
		})
	}
	t.Run("2.1-01 and 6749-07 credentials in the URL of a GET", func(t *testing.T) {
		w := w.at(t)
		a := w.send(http.MethodGet, "/api/login?"+w.grant(), "")
		require.Equal(t, http.StatusMethodNotAllowed, a.StatusCode)
		require.NotContains(t, w.log.String(), w.secret)
	})
	t.Run("9700-07 no answer redirects", func(t *testing.T) {
		w := w.at(t)
		for pattern, handler := range w.Routes() {
			for _, method := range []string{"GET", "POST"} {
				a := serve(handler, method, pattern, w.grant())
				require.NotEqual(t, 3, a.StatusCode/100, pattern)
			}
		}
	})
}

func TestParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"grant_type", "scope", "client_id", "client_secret", "client_assertion", "foo"} {
		for _, values := range [][2]string{{"a", "a"}, {"a", "b"}, {"", "a"}} {
			t.Run(fmt.Sprintf("6749-08 %s twice, %q and %q", name, values[0], values[1]), func(t *testing.T) {
				w := w.at(t)
				a := w.post(cc + "&" + name + "=" + values[0] + "&" + name + "=" + values[1])
				w.refused(a, http.StatusBadRequest, "invalid_request")
			})
		}
		t.Run("6749-08 "+name+" twice, once with its name encoded", func(t *testing.T) {
			w := w.at(t)
			encoded := fmt.Sprintf("%%%02x%s", name[0], name[1:])
			w.refused(w.post(name+"=a&"+encoded+"=b"), http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("6749-08 every parameter of a good login, twice", func(t *testing.T) {
		w := w.at(t)
		for pair := range strings.SplitSeq(w.grant("scope", "project.list"), "&") {
			w.refused(w.post(w.grant("scope", "project.list")+"&"+pair), http.StatusBadRequest, "invalid_request")
		}
	})
	t.Run("6749-08 only resource may be repeated (RFC 8707, section 2), and says so by its own code", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(w.grant()+"&resource=https%3A%2F%2Fa&resource=https%3A%2F%2Fb"), http.StatusBadRequest, "invalid_target")
	})
	for _, query := range []string{
		"grant_type=client_credentials", "scope=project.list", "client_assertion=x", "resource=x", "access_token=x", "password=x", "scope", "a=%zz", "a;scope=x",
	} {
		t.Run("6749-09 in the query: "+query, func(t *testing.T) {
			w := w.at(t)
			a := w.send(http.MethodPost, "/api/login?"+query, w.grant(), "Content-Type", form)
			w.refused(a, http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("6749-10 unknown parameters are ignored", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.post(w.grant()+"&foo=bar&Scope=nonsense").StatusCode)
		require.Equal(t, http.StatusOK, w.send(http.MethodPost, "/api/login?utm_source=x", w.grant(), "Content-Type", form).StatusCode)
	})
	t.Run("6749-11 an empty scope is the same as no scope", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, w.post(w.grant()).Member("scope"), w.post(w.grant("scope", "")).Member("scope"))
	})
	for _, tc := range []struct{ name, grant, code string }{
		{"absent", "", "invalid_request"},
		{"empty", "&grant_type=", "invalid_request"},
		{"password", "&grant_type=password&username=a&password=b", "unsupported_grant_type"},
		{"implicit", "&grant_type=implicit", "unsupported_grant_type"},
		{"authorization_code", "&grant_type=authorization_code&code=x", "unsupported_grant_type"},
		{"refresh_token", "&grant_type=refresh_token&refresh_token=x", "unsupported_grant_type"},
		{"in another case", "&grant_type=Client_Credentials", "unsupported_grant_type"},
		{"with a space", "&grant_type=client_credentials+", "unsupported_grant_type"},
		{"__proto__", "&grant_type=__proto__", "unsupported_grant_type"},
	} {
		t.Run("6749-12 and 9700-04 grant_type "+tc.name, func(t *testing.T) {
			w := w.at(t)
			a := w.post(strings.TrimPrefix(tc.grant+"&x=y", "&"), basic(w.key.ID, w.secret)...)
			w.refused(a, http.StatusBadRequest, tc.code)
		})
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct{ name, ask, want string }{
		{"6749-16 a part of what the key holds", "project.read", "project.read"},
		{"6749-16 sorted as granted", "project.read project.list", "project.list project.read"},
		{"6749-16 once", "project.read project.read", "project.read"},
		{"6749-19 none asked for: all that the key holds", "", "project.list project.read"},
	} {
		t.Run(tc.name+", and 9068-03", func(t *testing.T) {
			w := w.at(t)
			a := w.post(w.grant("scope", tc.ask))
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			require.Equal(t, tc.want, a.Member("scope"))
			require.Equal(t, tc.want, harness.Claims(t, a.Token())["scope"])
		})
	}
	for _, tc := range []struct{ name, ask string }{
		{"6749-17 one the key does not hold", "project.write"},
		{"6749-17 one more than the key holds", "project.list project.write"},
		{"6749-17 an unknown one", "nonsense"},
		{"6749-17 a wildcard", "project.*"},
		{"6749-18 another case", "Project.List"},
		{"6749-18 two spaces", "project.list  project.read"},
		{"6749-18 a leading space", " project.list"},
		{"6749-18 a trailing space", "project.list "},
		{"6749-18 a quote", `"`},
		{"6749-18 a backslash", `\`},
		{"6749-18 a tab", "project.list\tproject.read"},
		{"6749-18 a line break", "project.list\r\nX: y"},
		{"6749-18 not ASCII", "projét"},
		{"6749-18 a look-alike", "рroject.list"},
		{"6749-18 a comma", "project.list,project.read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(w.grant("scope", tc.ask)), http.StatusBadRequest, "invalid_scope")
		})
	}
	t.Run("6749-18 the secret is checked before the scope", func(t *testing.T) {
		w := w.at(t)
		a := w.post(cc+"&scope=%22", basic(w.key.ID, typo(w.secret))...)
		w.refused(a, http.StatusUnauthorized, "invalid_client")
	})
	t.Run("a key without permissions gets a token that allows nothing", func(t *testing.T) {
		w := w.at(t)
		key, secret := w.newKey("team-a", "")
		a := w.post(cc, basic(key.ID, secret)...)
		require.Empty(t, a.Member("scope"))
		require.Equal(t, http.StatusForbidden,
			w.send(http.MethodGet, "/workspaces/team-a/projects", "", "Authorization", "Bearer "+a.Token()).StatusCode)
	})
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.APIKeys.TokenLifetime = 7 * time.Minute })
	a := w.post(w.grant())
	require.Equal(t, http.StatusOK, a.StatusCode)
	t.Run("6749-20 no refresh token", func(t *testing.T) {
		require.NotContains(t, a.Body, "refresh_token")
	})
	t.Run("6749-22 headers and expires_in", func(t *testing.T) {
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Equal(t, "no-cache", a.Header.Get("Pragma"))
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
		require.Contains(t, a.Body, `"expires_in":420,`, "an integer")
		claims := harness.Claims(t, a.Token())
		require.InEpsilon(t, 420.0, claims["exp"].(float64)-claims["iat"].(float64), 0)
		require.InEpsilon(t, float64(start.Unix()), claims["iat"], 0)
	})
	t.Run("a token does not outlive its key", func(t *testing.T) {
		w := w.at(t)
		expiry := w.clock.Now().Add(90*time.Second + 700*time.Millisecond)
		key, secret, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
			Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), Expiry: apikey.Expiry{At: expiry},
		})
		require.NoError(t, err)
		a := w.post(cc, basic(key.ID, secret.Reveal())...)
		require.InDelta(t, expiry.Unix(), harness.Claims(t, a.Token())["exp"], 0, "cut off, not rounded")
		require.Contains(t, a.Body, `"expires_in":91,`)
	})
	t.Run("a key in its last second gets none", func(t *testing.T) {
		w := w.at(t)
		key, secret, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
			Workspace: "team-a", Name: "ci", Expiry: apikey.Expiry{At: w.clock.Now().Add(500 * time.Millisecond)},
		})
		require.NoError(t, err)
		w.refused(w.post(cc, basic(key.ID, secret.Reveal())...), http.StatusUnauthorized, "invalid_client")
	})
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := w.grant()
	for _, tc := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"form", []string{"Content-Type", form}, 200},
		{"form with charset", []string{"Content-Type", form + "; charset=utf-8"}, 200},
		{"form with a quoted charset in capitals", []string{"Content-Type", "Application/X-WWW-Form-Urlencoded;charset=\"UTF-8\""}, 200},
		{"form in another charset, of ASCII", []string{"Content-Type", form + "; charset=utf-7"}, 200},
		{"text/plain", []string{"Content-Type", "text/plain"}, 400},
		{"multipart/form-data", []string{"Content-Type", "multipart/form-data; boundary=x"}, 400},
		{"absent", nil, 400},
		{"empty", []string{"Content-Type", ""}, 400},
		{"twice", []string{"Content-Type", form, "Content-Type", form}, 400},
		{"a list", []string{"Content-Type", form + ", text/plain"}, 400},
		{"JSON of another kind", []string{"Content-Type", "application/ld+json"}, 400},
		{"malformed", []string{"Content-Type", "application/"}, 400},
		{"gzip", []string{"Content-Type", form, "Content-Encoding", "gzip"}, 400},
		{"identity and gzip", []string{"Content-Type", form, "Content-Encoding", "identity", "Content-Encoding", "gzip"}, 400},
		{"identity", []string{"Content-Type", form, "Content-Encoding", "identity"}, 200},
	} {
		t.Run("6749-24 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			a := w.send(http.MethodPost, "/api/login", body, tc.headers...)
			if tc.want == http.StatusOK {
				require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
				return
			}
			w.refused(a, tc.want, "invalid_request")
		})
	}
}

func TestNothingIsReflected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const evil = "evil\"\r\nX-Evil: yes\r\n\r\n<script>\u2028\u202e\\"
	for _, name := range []string{"grant_type", "scope", "client_id", "client_secret", "foo", evil} {
		t.Run(fmt.Sprintf("6749-23 and B15 in %.12q", name), func(t *testing.T) {
			w := w.at(t)
			for _, body := range []string{w.grant(name, evil), w.grant("grant_type", "x", name, evil)} {
				a := w.post(body)
				require.Empty(t, a.Header.Get("X-Evil"))
				require.NotContains(t, strings.ToLower(a.Body+fmt.Sprint(a.Header)), "evil")
				if name != "foo" && name != evil {
					require.NotEqual(t, http.StatusOK, a.StatusCode)
				}
			}
			require.NotContains(t, w.log.String(), "\nX-Evil", "no forged line in the log")
		})
	}
}

// TestUnauthorizedClient tests the only case in which a client may not use the
// grant: a policy refuses it.
func TestUnauthorizedClient(t *testing.T) {
	t.Parallel()
	var verdict error
	w := newWorld(t, func(s *setup) {
		s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return verdict })
	})
	for _, tc := range []struct {
		name    string
		verdict error
		status  int
		code    string
		text    string
	}{
		{"a reason", &policy.Denied{Rule: "hours", Reason: "Only during office hours."}, 400, "unauthorized_client", "Only during office hours."},
		{"no reason", &policy.Denied{Rule: "hours"}, 400, "unauthorized_client", "A policy of this service refused the request."},
		{"any other error", errors.New("canary: internal"), 400, "unauthorized_client", "A policy of this service refused the request."},
		{"wrapped", fmt.Errorf("more: %w", &policy.Denied{Rule: "hours", Reason: "No."}), 400, "unauthorized_client", "No."},
		{"an unhashable error", unhashable{"canary"}, 400, "unauthorized_client", "A policy of this service refused the request."},
		{"a nil *Denied", (*policy.Denied)(nil), 400, "unauthorized_client", "A policy of this service refused the request."},
		{"too often", &policy.Denied{Rule: "rate", Reason: "Too many.", RetryAfter: 1500 * time.Millisecond}, 429, "temporarily_unavailable", "Too many."},
		{"expired", &policy.Denied{Rule: "age", Reason: "Too old.", Expired: true}, 401, "invalid_client", "Too old."},
		{"a reason that could forge", &policy.Denied{Rule: "x", Reason: "a\"b\\c\r\nd é"}, 400, "unauthorized_client", "a'b'c??d ?"},
	} {
		t.Run("6749-13 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			verdict = tc.verdict
			a := w.post(w.grant())
			w.refused(a, tc.status, tc.code)
			require.Equal(t, tc.text, a.Description())
			require.NotContains(t, a.Body, "canary")
			if tc.status == http.StatusTooManyRequests {
				require.Equal(t, "2", a.Header.Get("Retry-After"), "rounded up")
			}
		})
	}
	t.Run("6749-13 hooks are not called for a client that is not authenticated", func(t *testing.T) {
		w := w.at(t)
		verdict = &policy.Denied{Rule: "x", Reason: "seen"}
		a := w.post(cc, basic(w.key.ID, typo(w.secret))...)
		w.refused(a, http.StatusUnauthorized, "invalid_client")
	})
}

// unhashable is an error that cannot be a map key.
type unhashable []string

func (u unhashable) Error() string { return "unhashable " + u[0] }

// TestOneGrantServesOneLogin tests that go-oauth2's manager makes a token only for
// the key of the grant.
func TestOneGrantServesOneLogin(t *testing.T) {
	w := newWorld(t)
	grant := &apikey.Grant{Key: w.key, Expires: time.Now().Add(time.Hour)}
	require.NoError(t, w.Generate(t.Context(), grant, w.key.ID))
	require.Error(t, w.Generate(t.Context(), grant, "another"))
	require.Error(t, w.Generate(t.Context(), nil, w.key.ID))
}
