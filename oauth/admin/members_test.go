package admin_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// fields are the fields of a problem, in order.
func fields(p admin.Problem) []string {
	var names []string
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return names
}

// TestLastDay: 9999-12-31 is accepted as a date.
func TestLastDay(t *testing.T) {
	r := newRig(t)
	end := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	m := r.createWith("ada", "team-a", `{"name":"x","permissions":[],"expires_at":"9999-12-31"}`)
	require.Equal(t, "9999-12-31", *m.Key.ExpiresOn)
	require.Equal(t, end, m.Key.ExpiresAt.UTC())
	require.NoError(t, r.login(m.Key.ID, m.Secret))

	other := r.create("ada", "team-a", "y")
	r.do("ada", "PATCH", "/keys/"+other.Key.ID, `{"expires_at":"9999-12-31"}`).Wants(http.StatusOK)
	require.Equal(t, "9999-12-31", *r.read("ada", other.Key.ID).ExpiresOn)
	r.do("ada", "POST", "/keys/"+other.Key.ID+"/rotate", `{"grace":60,"expires_at":"9999-12-31"}`).Wants(http.StatusOK)
	require.Equal(t, []string{"x", "y"}, r.list("ada", "/workspaces/team-a/keys?sort=name&expires_from=9999-12-31").names())
	require.Empty(t, r.list("ada", "/workspaces/team-a/keys?expires_to=9999-12-31").names(), "the end of a span is its day's beginning")
	r.do("ada", "GET", "/events?from=2026-01-01&to=9999-12-31", "").Wants(http.StatusOK)
	const rules = `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"unlimited_keys":false,"require_expiry":false,"max_lifetime":null,"enforced_at":"9999-12-31"}`
	r.do("ada", "PUT", "/workspaces/team-a/settings", rules, "If-Match", "*").Wants(http.StatusOK)

	for _, text := range []string{"10000-01-01", "9999-12-32", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z"} {
		p := r.do("ada", "POST", "/workspaces/team-a/keys", `{"name":"x","permissions":[],"expires_at":"`+text+`"}`).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		require.Equal(t, []string{"expires_at"}, fields(p), text)
	}
}

// TestNullMembers: null is accepted only for optional members. It is refused where it
// could mean both to keep a member and to remove it.
func TestNullMembers(t *testing.T) {
	r := newRig(t, func(s *setup) { s.keys.Resources = []apikey.Resource{{URI: "https://billing.example.com"}} })
	m := r.createWith("ada", "team-a", `{"name":"x","permissions":["project.list"],"expires_at":null,"resources":null}`)
	require.Nil(t, m.Key.ExpiresAt)
	require.Empty(t, m.Key.Resources)
	one := "/keys/" + m.Key.ID
	r.do("ada", "PATCH", one, `{"resources":["https://billing.example.com"]}`).Wants(http.StatusOK)
	require.Len(t, r.read("ada", m.Key.ID).Resources, 1)
	r.do("ada", "PATCH", one, `{"resources":null}`, "Content-Type", "application/merge-patch+json").Wants(http.StatusOK)
	require.Empty(t, r.read("ada", m.Key.ID).Resources, "RFC 7396: null removes")
	r.do("ada", "POST", one+"/rotate", `{"grace":60,"expires_at":null,"resources":null}`).Wants(http.StatusOK)
	for body, field := range map[string]string{
		`{"name":null}`: "name", `{"permissions":null}`: "permissions", `{"resources":[null]}`: "resources", `{"resources":false}`: "resources",
	} {
		p := r.do("ada", "PATCH", one, body).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		require.Equal(t, []string{field}, fields(p), body)
	}
	require.Equal(t, []string{"project.list"}, r.read("ada", m.Key.ID).Permissions)
}

// TestCharsetsOfJSON: JSON is always UTF-8 (RFC 8259, section 8.1). So the charset does
// not matter for a body of ASCII, and another charset is refused for other bodies.
func TestCharsetsOfJSON(t *testing.T) {
	r := newRig(t)
	create := "/workspaces/team-a/keys"
	for _, charset := range []string{"us-ascii", "UTF8", `"utf-8"`, "ISO-8859-1"} {
		r.do("ada", "POST", create, `{"name":"x","permissions":[]}`, "Content-Type", "application/json; charset="+charset).Wants(http.StatusCreated)
	}
	for _, charset := range []string{"utf-8", "UTF8"} {
		r.do("ada", "POST", create, `{"name":"é","permissions":[]}`, "Content-Type", "application/json; charset="+charset).Wants(http.StatusCreated)
	}
	for _, charset := range []string{"us-ascii", "iso-8859-1"} {
		r.do("ada", "POST", create, `{"name":"é","permissions":[]}`, "Content-Type", "application/json; charset="+charset).problem(http.StatusUnsupportedMediaType, admin.CodeMediaType)
	}
}

// TestUnknownQueryParametersAreNamed: the answer names all unknown parameters, with
// unprintable characters replaced.
func TestUnknownQueryParametersAreNamed(t *testing.T) {
	r := newRig(t)
	r.create("olga", "team-a", "ci")
	p := r.do("olga", "GET", "/workspaces/team-a/keys?limit=1&permision=project.list&Sort=name&limit=2", "").problem(http.StatusBadRequest, admin.CodeMalformed)
	require.Equal(t, []string{"Sort", "limit", "permision"}, fields(p))
	p = r.do("olga", "GET", "/workspaces/team-a/keys?a%0d%0aX-Evil:%20%22%e2%80%ae=1&"+strings.Repeat("x", 1000)+"=1", "").problem(http.StatusBadRequest, admin.CodeMalformed)
	require.Len(t, p.Errors, 2)
	for _, e := range p.Errors {
		require.LessOrEqual(t, len(e.Field), 64)
		require.Regexp(t, `^[ -~]+$`, e.Field, "B15")
	}
	many := strings.Repeat("&a", 1)
	for i := range 500 {
		many += "&a" + strings.Repeat("b", i%60) + string(rune('a'+i%26)) + strings.Repeat("c", i/60) + "=1"
	}
	got := r.do("olga", "GET", "/workspaces/team-a/keys?"+many[1:], "")
	got.problem(http.StatusBadRequest, admin.CodeMalformed)
	require.Less(t, len(got.Body), 4<<10, "an answer repeats only a bounded part of the query")
}

// TestUnknownPermissionsAreNamedWithTheRest: one answer lists everything that is wrong.
func TestUnknownPermissionsAreNamedWithTheRest(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	create, one := "/workspaces/team-a/keys", "/keys/"+m.Key.ID
	for _, c := range []struct{ name, method, path, body string }{
		{"an empty name", "POST", create, `{"name":"","permissions":["project.list","nope"]}`},
		{"a change to an empty name", "PATCH", one, `{"name":"","permissions":["nope"]}`},
		{"a rotation", "POST", one + "/rotate", `{"grace":60,"name":"","permissions":["nope"]}`},
	} {
		for _, actor := range []string{"olga", "ada"} {
			t.Run(c.name+" by "+actor, func(t *testing.T) {
				p := r.at(t).do(actor, c.method, c.path, c.body).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
				require.ElementsMatch(t, []string{"name", "permissions"}, fields(p))
				for _, e := range p.Errors {
					if e.Field == "permissions" {
						require.Contains(t, e.Reason, "nope")
						require.NotContains(t, e.Reason, "project.list")
					}
				}
			})
		}
	}
	t.Run("B20 an actor without access to the workspace gets no names of permissions", func(t *testing.T) {
		r.at(t).do("bert", "POST", create, `{"name":"","permissions":["nope"]}`).problem(http.StatusNotFound, admin.CodeNotFound)
		r.at(t).do("bert", "PATCH", one, `{"name":"","permissions":["nope"]}`).problem(http.StatusNotFound, admin.CodeNotFound)
	})
}

// TestNoAddressIsLoggedOnce: rules by address do not work for requests without one.
func TestNoAddressIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	r := newRig(t)
	api, err := admin.New(r.keys, admin.Config{Authorize: r.authorize, CursorKey: cursorKey, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	for _, remote := range []string{"192.0.2.7", "@", "", "@"} {
		req := httptest.NewRequest(http.MethodPost, "/workspaces/team-a/keys", strings.NewReader(`{"name":"x","permissions":[]}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Actor", "olga")
		req.RemoteAddr = remote
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, req)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		want := 1
		if remote == "192.0.2.7" {
			want = 0
		}
		require.Equal(t, want, strings.Count(log.String(), "ClientAddr"), log.String())
	}
}
