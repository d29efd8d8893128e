package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestNew(t *testing.T) {
	keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	allow := func(*http.Request) (apikey.Actor, error) { return people["ada"], nil }

	_, err = admin.New(nil, admin.Config{CursorKey: []byte("short"), Timeout: time.Hour, TrustedOrigins: []string{"https://a.example.com", "https://b.example.com/path"}})
	for _, problem := range []string{"keys is nil", "Config.Authorize", "Config.CursorKey", "at least 32", "Config.TrustedOrigins[1]", "Config.Timeout"} {
		require.ErrorContains(t, err, problem)
	}
	_, err = admin.New(keys, admin.Config{})
	require.ErrorContains(t, err, "Config.Authorize", "Authorize has no default")

	var log bytes.Buffer
	_, err = admin.New(keys, admin.Config{Authorize: allow, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.Contains(t, log.String(), "CursorKey")
	log.Reset()
	_, err = admin.New(keys, admin.Config{Authorize: allow, CursorKey: cursorKey, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.Empty(t, log.String())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), string(cursorKey))
}

// TestUnauthorized: every route except that of the document calls Authorize, and
// refuses before it reads anything else.
func TestUnauthorized(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	before := r.snapshot("team-a")
	for _, entry := range admin.Table() {
		if entry.Public {
			continue
		}
		for name, actor := range map[string]string{"an unknown person": "nobody known", "an actor without an id": ""} {
			t.Run(entry.Method+" "+entry.Pattern+" by "+name, func(t *testing.T) {
				got := r.at(t).do(actor, entry.Method, fill(entry.Pattern, "team-a", m.Key.ID, m.Key.Secrets[0].ID)+"?unknown=1", "{", "If-Match", `"0`)
				got.problem(http.StatusUnauthorized, admin.CodeUnauthorized)
				require.Equal(t, "Bearer", got.Header.Get("WWW-Authenticate"))
			})
		}
	}
	require.Equal(t, before, r.snapshot("team-a"))
}

func TestAuthorizeErrors(t *testing.T) {
	answer := func(err error) *reply {
		r := newRig(t, func(s *setup) {
			s.config.Authorize = func(*http.Request) (apikey.Actor, error) { return people["ada"], err }
		})
		return r.do("", "GET", "/keys", "")
	}
	answer(fmt.Errorf("sessions: %w", store.ErrUnavailable)).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
	answer(fmt.Errorf("tokens: %w", bearer.ErrUnavailable)).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
	answer(fmt.Errorf("sessions: %w", context.DeadlineExceeded)).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
	for _, also := range []error{&admin.UnauthorizedError{Reason: "canary"}, &policy.Denied{Rule: "quota"}, store.ErrNotFound} {
		got := answer(errors.Join(also, store.ErrUnavailable))
		got.problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
		require.Equal(t, "1", got.Header.Get("Retry-After"))
		require.Empty(t, got.Header.Get("WWW-Authenticate"))
	}
	got := answer(&admin.UnauthorizedError{Reason: "Sign in first.", Challenge: `Session realm="x"`})
	require.Equal(t, "Sign in first.", got.problem(http.StatusUnauthorized, admin.CodeUnauthorized).Detail)
	require.Equal(t, `Session realm="x"`, got.Header.Get("WWW-Authenticate"))
	got = answer(&admin.UnauthorizedError{Challenge: "Bearer\r\nX-Evil: 1"})
	require.Equal(t, "Bearer", got.Header.Get("WWW-Authenticate"), "B15")
	got = answer(errors.New("canary"))
	require.NotContains(t, got.Body, "canary")
	var none *admin.UnauthorizedError
	answer(none).problem(http.StatusUnauthorized, admin.CodeUnauthorized)
}

// TestCrossOrigin: a page of another origin cannot use the host's cookies, not even
// for a request that browsers send without a CORS preflight.
func TestCrossOrigin(t *testing.T) {
	r := newRig(t, func(s *setup) { s.config.TrustedOrigins = []string{"https://console.example.com"} })
	m := r.create("olga", "team-a", "ci")
	for _, entry := range admin.Table() {
		if entry.Method == "GET" {
			continue
		}
		path := fill(entry.Pattern, "team-a", m.Key.ID, m.Key.Secrets[0].ID)
		for name, headers := range map[string][]string{
			"by Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site"}, "of a sibling": {"Sec-Fetch-Site", "same-site"},
			"by Origin": {"Origin", "https://evil.example"}, "without an origin": {"Origin", "null"},
		} {
			t.Run(entry.Method+" "+entry.Pattern+" "+name, func(t *testing.T) {
				r.at(t).do("ada", entry.Method, path, bodies[entry.Method+" "+entry.Pattern], append(headers, "If-Match", "*")...).problem(http.StatusForbidden, admin.CodeCrossOrigin)
			})
		}
	}
	disable := "/keys/" + m.Key.ID + "/disable"
	r.do("olga", "POST", disable, "", "Sec-Fetch-Site", "same-origin").Wants(http.StatusOK)
	r.do("olga", "POST", disable, "", "Sec-Fetch-Site", "cross-site", "Origin", "https://console.example.com").Wants(http.StatusOK)
	r.do("olga", "POST", disable, "").Wants(http.StatusOK) // not a browser
	r.do("olga", "GET", "/keys/"+m.Key.ID, "", "Sec-Fetch-Site", "cross-site").Wants(http.StatusOK)
}

// TestBearer mounts the API on a server whose own tokens manage its keys.
func TestBearer(t *testing.T) {
	var seen []observe.Decision
	auth := oauthtest.NewWith(t, oauth.Config{
		Permissions: catalog, APIKeys: apikey.Options{Management: management},
		Observer: func(_ context.Context, d observe.Decision) { seen = append(seen, d) },
	})
	srv := auth.Server()
	observed := func(name, reason, key string) { // the last decision
		t.Helper()
		last := seen[len(seen)-1]
		require.Equal(t, []any{observe.Guard, reason, key, "GET", "/manage/keys-of-all/"}, []any{last.Use, last.Reason, last.KeyID, last.Method, last.Route}, name)
	}
	api, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier()), CursorKey: cursorKey, Timeout: time.Minute})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/manage/keys-of-all/", http.StripPrefix("/manage/keys-of-all", api))
	auth.Mount(mux)
	key, secret, err := srv.APIKeys().Create(t.Context(), people["ada"], apikey.Spec{
		Workspace: "team-a", Name: "manager", Permissions: scope.MustParse("keys.list keys.save project.list"),
	})
	require.NoError(t, err)

	send := func(method, path, body string, authorization ...string) (int, string, string) {
		req := harness.NewRequest(t, method, auth.URL+"/manage/keys-of-all"+path, body, "Content-Type", "application/json")
		req.Header["Authorization"] = authorization
		answer, err := harness.Do(t, http.DefaultClient, req)
		require.NoError(t, err)
		return answer.StatusCode, answer.Header.Get("WWW-Authenticate"), answer.Body
	}
	login := func(permissions string) string {
		form := url.Values{
			"grant_type": {"client_credentials"}, "client_id": {key.ID}, "client_secret": {secret.Reveal()}, "scope": {permissions},
		}.Encode()
		answer := harness.Send(t, "POST", auth.TokenURL, form, "Content-Type", "application/x-www-form-urlencoded")
		require.NotEmpty(t, answer.Token(), answer.Body)
		return "Bearer " + answer.Token()
	}
	all, looks := login(""), login("keys.list")

	status, _, body := send("POST", "/workspaces/team-a/keys", `{"name":"child","permissions":["project.list"]}`, all)
	require.Equal(t, http.StatusCreated, status, body)
	status, _, body = send("POST", "/workspaces/team-a/keys", `{"name":"child","permissions":["project.save"]}`, all)
	require.Equal(t, http.StatusForbidden, status, "B21 %s", body)
	status, _, _ = send("GET", "/workspaces/team-a/keys", "", looks)
	require.Equal(t, http.StatusOK, status)
	observed("accepted", "", key.ID)
	status, _, body = send("POST", "/workspaces/team-a/keys", `{"name":"child","permissions":[]}`, looks)
	require.Equal(t, http.StatusForbidden, status, "B21 a token of less scope: %s", body)
	status, _, _ = send("GET", "/workspaces/team-b/keys", "", all)
	require.Equal(t, http.StatusNotFound, status, "B20")

	status, challenge, _ := send("GET", "/workspaces/team-a/keys", "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "Bearer", challenge)
	observed("no token", "no_token", "")
	for name, headers := range map[string][]string{
		"another scheme": {"Basic " + all}, "no scheme": {strings.TrimPrefix(all, "Bearer ")}, "no token": {"Bearer "}, "two": {all, all},
	} {
		status, _, _ := send("GET", "/workspaces/team-a/keys", "", headers...)
		require.Equal(t, http.StatusUnauthorized, status, name)
	}
	status, challenge, _ = send("GET", "/workspaces/team-a/keys", "", all+"x")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, challenge, "invalid_token")
	observed("not valid", "invalid_token", "")
	_, err = srv.APIKeys().Disable(t.Context(), people["ada"], key.ID, 0)
	require.NoError(t, err)
	status, _, _ = send("GET", "/workspaces/team-a/keys", "", all)
	require.Equal(t, http.StatusUnauthorized, status, "a token that ended manages nothing")
	observed("revoked", "revoked", key.ID)
	_, err = admin.Bearer(nil)(httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	require.Error(t, err)
}
