package oauth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// newDirect makes a key that allows direct use.
func (w *world) newDirect(workspace, permissions string) (apikey.Key, string) {
	w.t.Helper()
	key, secret, err := w.APIKeys().Create(w.t.Context(), admin, apikey.Spec{
		Workspace: workspace, Name: "direct", Permissions: scope.MustParse(permissions), Direct: true,
	})
	require.NoError(w.t, err)
	w.log.Keep(secret.Reveal())
	return key, secret.Reveal()
}

// directly requests a route with OrSecret. The answer to a request that passes is the
// principal.
func (w *world) directly(target string, headers ...string) answer {
	w.t.Helper()
	mux := http.NewServeMux()
	guard := w.Require("project.list").Or("admin.project.list").OrSecret()
	show := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprintf(rw, "%s %s %t %s", p.KeyID, p.Workspace, p.Direct, p.Permissions)
	})
	mux.Handle("GET /workspaces/{workspace}/projects", guard.InPath("workspace")(show))
	mux.Handle("GET /tokens/{workspace}", w.Require("project.list").InPath("workspace")(show))
	a := harness.Serve(mux, harness.Incoming(http.MethodGet, target, "", headers...))
	w.log.Note(fmt.Sprint(a.Header), a.Body)
	return a
}

const projectsOfA = "/workspaces/team-a/projects"

func basicText(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

func allForms(s *setup) {
	s.config.SecretForms = bearer.SecretForms{Header: "X-API-Key", Basic: true}
}

func TestDirectForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, allForms)
	key, secret := w.newDirect("team-a", "project.list")
	token := w.login(key.ID, secret)
	const one = "The request needs one well-formed credential, in one header: a token, or the secret of an API key."
	good := key.ID + " team-a true project.list"
	basic := basic(key.ID, secret)[1]
	for _, tc := range []struct {
		name    string
		status  int
		says    string
		headers []string
	}{
		{"B32 Bearer", 200, good, []string{"Authorization", "Bearer " + secret}},
		{"B32 bearer, spaces", 200, good, []string{"Authorization", "bearer  " + secret}},
		{"B32 the header", 200, good, []string{"X-API-Key", secret}},
		{"B32 the header beside another scheme", 200, good, []string{"X-API-Key", secret, "Authorization", "Digest x"}},
		{"B32 the header beside an empty Authorization", 200, good, []string{"X-API-Key", secret, "Authorization", ""}},
		{"B32 Basic", 200, good, []string{"Authorization", basic}},
		{"B32 Basic beside an empty header", 200, good, []string{"Authorization", basic, "X-API-Key", ""}},
		{"B32 Basic, percent-encoded", 200, good, []string{"Authorization", basicText(strings.ReplaceAll(key.ID, "-", "%2D") + ":" + secret)}},
		{"B32 a token", 200, key.ID + " team-a false project.list", []string{"Authorization", "Bearer " + token}},
		{"B32 nothing", 401, "This request needs a bearer token or the secret of an API key: as Authorization: Bearer, or the secret in X-API-Key, or the key's id and secret with Basic.", nil},
		{"B32 an empty header", 401, "needs a bearer token", []string{"X-API-Key", ""}},
		{"B32 another header", 401, "needs a bearer token", []string{"X-Api-Secret", secret}},
		{"B32 a cookie", 401, "needs a bearer token", []string{"Cookie", "X-API-Key=" + secret + "; access_token=" + secret}},
		{"B32 token and secret at once", 400, one, []string{"Authorization", "Bearer " + token, "X-API-Key", secret}},
		{"B32 token and secret in two Authorization headers", 400, one, []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + secret}},
		{"B32 Basic and token", 400, one, []string{"Authorization", basic, "Authorization", "Bearer " + token}},
		{"B32 Basic and the header", 400, one, []string{"Authorization", basic, "X-API-Key", secret}},
		{"B32 Bearer and the header", 400, one, []string{"Authorization", "Bearer " + secret, "X-API-Key", secret}},
		{"B32 the header twice", 400, one, []string{"X-API-Key", secret, "X-API-Key", secret}},
		{"B32 the header twice, one empty", 400, one, []string{"X-API-Key", "", "X-API-Key", secret}},
		{"B32 Bearer without credentials", 400, one, []string{"Authorization", "Bearer"}},
		{"B32 malformed Basic", 400, one, []string{"Authorization", "Basic " + secret}},
		{"B32 Basic without an id", 400, one, []string{"Authorization", basicText(":" + secret)}},
		{"B32 Basic without a secret", 401, "needs a bearer token", []string{"Authorization", basicText(key.ID + ":")}},
		{"B32 Basic with another id", 401, "The secret is wrong, or it is of no API key.", []string{"Authorization", basicText(w.key.ID + ":" + secret)}},
		{"B32 a JWT that is no token", 401, "The token", []string{"Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."}},
		{"B32 a text too long for a token", 401, "The token is not a JWT", []string{"Authorization", "Bearer " + strings.Repeat("x", 9000)}},
		{"B32 a header too long for a secret", 401, "The secret is wrong", []string{"X-API-Key", strings.Repeat("x", 9000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.at(t)
			a := w.directly(projectsOfA, tc.headers...)
			require.Equal(t, tc.status, a.StatusCode, a.Body)
			if tc.status == http.StatusOK {
				require.Equal(t, tc.says, a.Body)
				return
			}
			require.Contains(t, a.Description(), tc.says)
			require.True(t, strings.HasPrefix(a.Header.Get("WWW-Authenticate"), `Bearer realm="api"`))
			require.Len(t, a.Header.Values("WWW-Authenticate"), 1, "Basic is not challenged for")
		})
	}
	t.Run("B32 a secret in the query", func(t *testing.T) {
		q := url.QueryEscape(secret)
		a := w.at(t).directly(projectsOfA + "?X-API-Key=" + q + "&access_token=" + q + "&api_key=" + q)
		require.Equal(t, http.StatusUnauthorized, a.StatusCode)
	})
	t.Run("B32 a guard without OrSecret looks no secret up", func(t *testing.T) {
		for _, headers := range [][]string{{"Authorization", "Bearer " + secret}, {"X-API-Key", secret}, {"Authorization", basic}} {
			require.Equal(t, http.StatusUnauthorized, w.at(t).directly("/tokens/team-a", headers...).StatusCode)
		}
		require.Equal(t, http.StatusOK, w.at(t).directly("/tokens/team-a", "Authorization", "Bearer "+token, "X-API-Key", secret).StatusCode, "it does not read the header")
	})
	t.Run("B32 forms that are not configured", func(t *testing.T) {
		w := newWorld(t)
		key, secret := w.newDirect("team-a", "project.list")
		for _, headers := range [][]string{{"X-API-Key", secret}, {"Authorization", basicText(key.ID + ":" + secret)}} {
			require.Equal(t, http.StatusUnauthorized, w.directly(projectsOfA, headers...).StatusCode)
		}
		require.Equal(t, http.StatusOK, w.directly(projectsOfA, "Authorization", "Bearer "+secret, "X-API-Key", "of a proxy").StatusCode)
	})
}

// TestDirectBasicOfBrowsers: browsers send Basic credentials by themselves, also for
// pages of other sites.
func TestDirectBasicOfBrowsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		s.config.SecretForms = bearer.SecretForms{Header: "X-API-Key", Basic: true, ChallengeBasic: true}
	})
	key, secret := w.newDirect("team-a", "project.list")
	for _, tc := range []struct {
		name    string
		status  int
		headers []string
	}{
		{"B32 no browser", 200, nil},
		{"B32 same origin", 200, []string{"Sec-Fetch-Site", "same-origin"}},
		{"B32 the address bar", 200, []string{"Sec-Fetch-Site", "none"}},
		{"B32 another site", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"B32 another origin of the site", 403, []string{"Sec-Fetch-Site", "same-site"}},
		{"B32 another origin, an old browser", 403, []string{"Origin", "https://evil.example"}},
		{"B32 an opaque origin", 403, []string{"Origin", "null"}},
		{"B32 the own origin, an old browser", 200, []string{"Origin", "https://example.com"}},
		{"B32 a link or an image over http", 403, []string{"Referer", "http://evil.example/page"}},
		{"B32 the own page over http", 200, []string{"Referer", "http://example.com/page"}},
		{"B32 Sec-Fetch-Site takes precedence", 200, []string{"Sec-Fetch-Site", "none", "Referer", "http://evil.example/page"}},
		{"B32 Origin takes precedence", 403, []string{"Origin", "null", "Referer", "http://example.com/page"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := w.at(t).directly(projectsOfA, append(tc.headers, basic(key.ID, secret)...)...)
			require.Equal(t, tc.status, a.StatusCode, a.Body)
			if tc.status == http.StatusForbidden {
				require.Equal(t, "access_denied", a.Code())
				require.Contains(t, a.Description(), "A page of another origin sent this request")
				require.Empty(t, a.Header.Values("WWW-Authenticate"))
			}
			for _, other := range [][]string{{"X-API-Key", secret}, {"Authorization", "Bearer " + secret}} {
				require.Equal(t, http.StatusOK, w.at(t).directly(projectsOfA, append(tc.headers, other...)...).StatusCode, "no browser sends these by itself")
			}
		})
	}
	t.Run("B32 Basic is challenged for", func(t *testing.T) {
		a := w.at(t).directly(projectsOfA)
		require.Equal(t, []string{`Bearer realm="api"`, `Basic realm="api", charset="UTF-8"`}, a.Header.Values("WWW-Authenticate"))
		a = w.at(t).directly("/tokens/team-a")
		require.Equal(t, []string{`Bearer realm="api"`}, a.Header.Values("WWW-Authenticate"), "not by a guard that does not accept it")
	})
}

// TestDirectRefusals: the same rules as at the login, then those of direct use.
func TestDirectRefusals(t *testing.T) {
	t.Parallel()
	var verdict, hookErr error
	suspended := false
	st, tapped := harness.NewTap()
	w := newWorld(t, allForms, func(s *setup) {
		s.store = st
		s.config.Policy = policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
			if r.Use != policy.UseDirect {
				return nil
			}
			return verdict
		})
		s.config.APIKeys.Workspaces = func(context.Context, string) (bool, error) { return !suspended, hookErr }
	})
	w.key, w.secret = w.newDirect("team-a", "project.list")
	keys := w.APIKeys()
	set := func(change func(*store.Instance)) func(*testing.T) {
		return func(t *testing.T) {
			settings, err := keys.Settings(t.Context(), admin)
			require.NoError(t, err)
			before := settings.Instance
			change(&settings.Instance)
			saved, err := keys.SaveSettings(t.Context(), admin, settings)
			require.NoError(t, err)
			t.Cleanup(func() {
				saved.KeysOff, saved.DirectOff = before.KeysOff, before.DirectOff
				_, err := keys.SaveSettings(context.Background(), admin, saved)
				require.NoError(t, err)
			})
		}
	}
	for _, tc := range []struct {
		name   string
		do     func(t *testing.T)
		status int
		code   string
		says   string
	}{
		{"B32 nothing is wrong", func(*testing.T) {}, 200, "", ""},
		{"B32 keys are off", set(func(i *store.Instance) { i.KeysOff = true }), 401, "invalid_token", "API keys are switched off."},
		{"B32 direct use is off", set(func(i *store.Instance) { i.DirectOff = true }), 401, "invalid_token", "may not be used in place of a token: log in with it, or ask"},
		{"B32 the host suspended the workspace", func(t *testing.T) { suspended = true; t.Cleanup(func() { suspended = false }) }, 401, "invalid_token", "is suspended."},
		{"B32 the host's hook fails", func(t *testing.T) { hookErr = errors.New("down"); t.Cleanup(func() { hookErr = nil }) }, 503, "temporarily_unavailable", ""},
		{"B32 a policy refuses", func(t *testing.T) {
			verdict = &policy.Denied{Rule: "x", Reason: "Not on Sundays."}
			t.Cleanup(func() { verdict = nil })
		}, 403, "access_denied", "Not on Sundays."},
		{"B32 a policy refuses for now", func(t *testing.T) {
			verdict = &policy.Denied{Rule: "x", RetryAfter: time.Minute}
			t.Cleanup(func() { verdict = nil })
		}, 429, "temporarily_unavailable", ""},
		{"B32 a policy says expired", func(t *testing.T) {
			verdict = &policy.Denied{Rule: "x", Reason: "Too old.", Expired: true}
			t.Cleanup(func() { verdict = nil })
		}, 401, "invalid_token", "Too old."},
		{"B32 a policy fails", func(t *testing.T) { verdict = store.ErrUnavailable; t.Cleanup(func() { verdict = nil }) }, 503, "temporarily_unavailable", ""},
		{"B32 the store fails", func(t *testing.T) {
			tapped.Before(func(context.Context, string) error { return store.ErrUnavailable })
			t.Cleanup(func() { tapped.Before(nil) })
		}, 503, "temporarily_unavailable", ""},
		{"B32 the store does not answer", func(t *testing.T) {
			tapped.Before(func(context.Context, string) error { return context.DeadlineExceeded })
			t.Cleanup(func() { tapped.Before(nil) })
		}, 503, "temporarily_unavailable", ""},
	} {
		for _, form := range []string{"bearer", "header", "basic"} {
			t.Run(tc.name+", "+form, func(t *testing.T) {
				tc.do(t)
				headers := map[string][]string{
					"bearer": {"Authorization", "Bearer " + w.secret}, "header": {"X-API-Key", w.secret}, "basic": basic(w.key.ID, w.secret),
				}[form]
				a := w.at(t).directly(projectsOfA, headers...)
				require.Equal(t, tc.status, a.StatusCode, a.Body)
				require.Contains(t, a.Body, tc.says)
				if tc.status == http.StatusOK {
					return
				}
				require.Equal(t, tc.code, a.Code())
				require.Equal(t, tc.status == http.StatusUnauthorized, strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`), a.Header)
				require.Equal(t, tc.status >= 429, a.Header.Get("Retry-After") != "")
			})
		}
	}
	t.Run("B32 malformed secrets are refused before any read", func(t *testing.T) {
		tapped.Take()
		for _, bad := range []string{typo(w.secret), "not-a-secret", w.secret + "x", strings.Repeat("x", 3000)} {
			require.Equal(t, http.StatusUnauthorized, w.at(t).directly(projectsOfA, "X-API-Key", bad).StatusCode)
			require.Equal(t, http.StatusUnauthorized, w.at(t).directly(projectsOfA, "Authorization", "Bearer "+bad).StatusCode)
		}
		require.Empty(t, tapped.Take())
	})
	t.Run("B32 a key that does not allow it", func(t *testing.T) {
		key, secret := w.at(t).newKey("team-a", "project.list")
		a := w.at(t).directly(projectsOfA, "X-API-Key", secret)
		require.Equal(t, http.StatusUnauthorized, a.StatusCode)
		require.Contains(t, a.Description(), "log in with it, or ask an administrator to allow it")
		w.at(t).login(key.ID, secret)
	})
	t.Run("B32 permissions and workspaces", func(t *testing.T) {
		w := w.at(t)
		_, lacks := w.newDirect("team-a", "project.read")
		a := w.directly(projectsOfA, "X-API-Key", lacks)
		require.Equal(t, http.StatusForbidden, a.StatusCode)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="insufficient_scope", error_description="The API key lacks a permission that this request needs.", scope="project.list"`)
		a = w.directly("/workspaces/team-b/projects", "X-API-Key", w.secret)
		require.Equal(t, http.StatusNotFound, a.StatusCode)
		_, everywhere := w.newDirect("team-a", "admin.project.list")
		require.Equal(t, http.StatusOK, w.directly("/workspaces/team-b/projects", "X-API-Key", everywhere).StatusCode)
	})
}

func TestDirectBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		allForms(s)
		s.config.APIKeys.Budgets = apikey.Budgets{PerAddress: 5}
		s.config.ClientAddr = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-Test-Address")) }
	})
	_, secret := w.newDirect("team-a", "project.list")
	_, wrong, err := newWorld(t).APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "elsewhere", Direct: true})
	require.NoError(t, err)
	from := func(address, secret string) answer {
		return w.directly(projectsOfA, "X-API-Key", secret, "X-Test-Address", address)
	}
	for range 5 {
		require.Equal(t, http.StatusUnauthorized, from("192.0.2.1", wrong.Reveal()).StatusCode)
	}
	a := from("192.0.2.1", wrong.Reveal())
	require.Equal(t, http.StatusTooManyRequests, a.StatusCode, "B32 failures spend the budget")
	require.Equal(t, "Too many wrong secrets. Wait, then try again with the right one.", a.Description())
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.Empty(t, a.Header.Get("WWW-Authenticate"))
	require.Equal(t, http.StatusOK, from("192.0.2.1", secret).StatusCode, "B32 a right secret is not throttled")
	require.Equal(t, http.StatusUnauthorized, from("192.0.2.2", wrong.Reveal()).StatusCode, "B32 nor is another address")
	login := w.post("grant_type=client_credentials", append(basic(w.key.ID, wrong.Reveal()), "X-Test-Address", "192.0.2.1")...)
	require.Equal(t, http.StatusTooManyRequests, login.StatusCode, "B32 it is the login's budget")
}

// TestDirectIsObserved: the Observer is called once for each request.
func TestDirectIsObserved(t *testing.T) {
	t.Parallel()
	w, seen := observed(t, allForms)
	key, secret := w.newDirect("team-a", "project.list")
	disabled, ended := w.newDirect("team-a", "project.list")
	_, err := w.APIKeys().Disable(t.Context(), admin, disabled.ID, 0)
	require.NoError(t, err)
	local, route := netip.MustParseAddr("192.0.2.1"), "GET /workspaces/{workspace}/projects"
	for _, tc := range []struct {
		name    string
		target  string
		headers []string
		want    observe.Decision
	}{
		{"B32 accepted", projectsOfA, []string{"X-API-Key", secret}, observe.Decision{Use: observe.Direct, KeyID: key.ID, Workspace: "team-a", Address: local}},
		{"B32 another workspace", "/workspaces/b/projects", []string{"X-API-Key", secret}, observe.Decision{Use: observe.Direct, Reason: "workspace", KeyID: key.ID, Workspace: "team-a", Address: local}},
		{"B32 wrong", projectsOfA, []string{"X-API-Key", typo(secret)}, observe.Decision{Use: observe.Direct, Reason: "malformed_secret", Address: local}},
		{"B32 wrong, with an id", projectsOfA, basic(key.ID, w.secret), observe.Decision{Use: observe.Direct, Reason: "unknown_or_wrong", ClientID: key.ID, Address: local}},
		{"B32 disabled", projectsOfA, []string{"Authorization", "Bearer " + ended}, observe.Decision{Use: observe.Direct, Reason: "disabled", KeyID: disabled.ID, Workspace: "team-a", Address: local}},
		{"B32 not direct", projectsOfA, []string{"X-API-Key", w.secret}, observe.Decision{Use: observe.Direct, Reason: "direct", KeyID: w.key.ID, Workspace: "team-a", Address: local}},
		{"B32 from a page of another site", projectsOfA, append(basic(key.ID, secret), "Sec-Fetch-Site", "cross-site"), observe.Decision{Use: observe.Direct, Reason: "cross_site", Address: local}},
		{"B32 two credentials", projectsOfA, append(basic(key.ID, secret), "X-API-Key", secret), observe.Decision{Use: observe.Guard, Reason: "malformed_token"}},
		{"B32 none", projectsOfA, nil, observe.Decision{Use: observe.Guard, Reason: "no_token"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			seen.take()
			w.at(t).directly(tc.target, tc.headers...)
			tc.want.Time, tc.want.Method, tc.want.Route = w.clock.Now(), http.MethodGet, route
			got := seen.take()
			require.Len(t, got, 1)
			got[0].Time = tc.want.Time // to the microsecond, or not
			require.Equal(t, tc.want.KeyID != "", got[0].CredentialID != "")
			tc.want.CredentialID = got[0].CredentialID
			require.Equal(t, tc.want, got[0])
		})
	}
}

func TestDirectAuthorize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, secret := w.newDirect("team-a", "project.list")
	v := w.Verifier()
	guard := v.Require("project.list").OrSecret()
	p, err := v.Authorize(t.Context(), secret, guard, "team-a")
	require.NoError(t, err)
	require.Equal(t, bearer.Principal{
		KeyID: key.ID, Workspace: "team-a", CredentialID: key.Credentials[0].ID, Direct: true,
		Audience: []string{w.base}, Permissions: scope.MustParse("project.list"),
	}, *p)
	require.ErrorIs(t, p.Claim("anything", new(string)), bearer.ErrNoClaim)
	p, err = v.AuthorizeAny(t.Context(), w.login(key.ID, secret), guard)
	require.NoError(t, err)
	require.False(t, p.Direct)
	_, err = v.Authorize(t.Context(), secret, v.Require("project.list"), "team-a")
	require.ErrorIs(t, err, bearer.ErrInvalid)
	_, err = v.Verify(t.Context(), secret)
	require.ErrorIs(t, err, bearer.ErrInvalid, "Verify is for tokens")
	_, err = v.Authorize(t.Context(), typo(secret), guard, "team-a")
	require.ErrorIs(t, err, bearer.ErrUnauthenticated)
	_, err = v.Authorize(t.Context(), "", guard, "team-a")
	require.ErrorIs(t, err, bearer.ErrUnauthenticated)

	t.Run("B32 it expires with the key or the secret", func(t *testing.T) {
		day := w.clock.Now().Add(24 * time.Hour).Truncate(time.Microsecond)
		_, err := w.APIKeys().Update(t.Context(), admin, key.ID, apikey.Changes{Expiry: &apikey.Expiry{At: day}})
		require.NoError(t, err)
		p, err := v.AuthorizeAny(t.Context(), secret, guard)
		require.NoError(t, err)
		require.Equal(t, day.UTC(), p.Expires)
		_, fresh, err := w.APIKeys().Rotate(t.Context(), admin, key.ID, apikey.Rotation{Grace: time.Hour})
		require.NoError(t, err)
		p, err = v.AuthorizeAny(t.Context(), secret, guard)
		require.NoError(t, err)
		require.Equal(t, w.clock.Now().Add(time.Hour).Truncate(time.Microsecond).UTC(), p.Expires)
		w.clock.Advance(time.Hour)
		_, err = v.AuthorizeAny(t.Context(), secret, guard)
		require.ErrorIs(t, err, bearer.ErrInvalid, "the end of the grace")
		_, err = v.AuthorizeAny(t.Context(), fresh.Reveal(), guard)
		require.NoError(t, err)
		w.clock.Advance(24 * time.Hour)
		_, err = v.AuthorizeAny(t.Context(), fresh.Reveal(), guard)
		require.ErrorContains(t, err, "This API key has expired.")
	})
}
