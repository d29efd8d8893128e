package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestETagsThatHold: a proxy that compresses an answer makes its ETag weak.
func TestETagsThatHold(t *testing.T) {
	for name, c := range keyChanges {
		for _, named := range []string{`"2"`, `W/"2"`, ` W/"2" `} {
			t.Run(name+" under "+named, func(t *testing.T) {
				r := newRig(t)
				m := r.create("olga", "team-a", "ci")
				change := `{"name":"of another hand"}`
				require.Equal(t, `"2"`, r.do("olga", "PATCH", "/keys/"+m.Key.ID, change).Wants(http.StatusOK).Header.Get("ETag"))
				got := r.do("max", c.method, fill(c.path, "", m.Key.ID, m.Key.Secrets[0].ID), c.body, "If-Match", named)
				require.Less(t, got.StatusCode, 300, got.Body)
			})
		}
		t.Run(name+" under none that holds", func(t *testing.T) {
			r := newRig(t)
			m := r.create("olga", "team-a", "ci")
			r.do("olga", "PATCH", "/keys/"+m.Key.ID, `{"name":"of another hand"}`).Wants(http.StatusOK)
			before := r.snapshot("team-a")
			path := fill(c.path, "", m.Key.ID, m.Key.Secrets[0].ID)
			for _, stale := range []string{
				`W/"1"`, `W/"3"`, `w/"2"`, `W/ "2"`, `W/2`, `"1", "3"`, `W/"02"`, `"2" "2"`, `"1" "2"`, `"2`, `2"`, `"2", *`, `*, "2"`, `W/*`, `"2"x`, `"1", garbage, "2"`,
				`"1", "2"`, `"2","1"`, `"2", "2"`, `,"2",`, `W/W/"2"`, `""2""`, `"-1"`,
				`""`, `,`, `"2\"`, `"1,2"`, `"9223372036854775808", "-2"`,
			} {
				r.do("max", c.method, path, c.body, "If-Match", stale).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
			r.do("max", c.method, path, c.body, "If-Match", `"2"`, "If-Match", `"2"`).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			r.do("bert", c.method, path, c.body, "If-Match", `"2"`).problem(http.StatusNotFound, admin.CodeNotFound) // B20
			require.Equal(t, before, r.snapshot("team-a"))
		})
	}
	const own = `{"key_requests":null,"workspace_requests":null,"max_keys":7,"require_expiry":false,"max_lifetime":null,"enforced_at":null`
	for path, body := range map[string]string{"/settings": own + `,"keys_enabled":true,"direct_enabled":true,"reminders_enabled":true,"remind_before":null}`, "/workspaces/team-a/settings": own + `,"unlimited_keys":false,"unlimited_key_requests":false,"unlimited_workspace_requests":false}`} {
		t.Run("replace "+path, func(t *testing.T) {
			r := newRig(t)
			r.create("olga", "team-a", "ci")
			with := func(n string) string { return strings.Replace(body, "7", n, 1) }
			r.do("ada", "PUT", path, with("7"), "If-Match", `W/"0"`).Wants(http.StatusOK)
			r.do("ada", "PUT", path, with("8"), "If-Match", `"1"`).Wants(http.StatusOK)
			for _, stale := range []string{`W/"1"`, `"1", "2"`, `"x"`, `"2" "2"`, `,`, `*, "2"`} {
				r.do("ada", "PUT", path, with("9"), "If-Match", stale).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
			r.do("ada", "PUT", path, with("9"), "If-Match", `W/"2"`).Wants(http.StatusOK)
		})
	}
}

// TestBehindACompressingProxy changes settings as a client behind nginx does: the client
// gets a weak ETag, and sends it back.
func TestBehindACompressingProxy(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.mount = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				answer := httptest.NewRecorder()
				next.ServeHTTP(answer, req)
				for name, values := range answer.Header() {
					w.Header()[name] = values
				}
				if tag := answer.Header().Get("ETag"); tag != "" {
					w.Header().Set("ETag", "W/"+tag)
				}
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
			})
		}
	})
	key, _, err := r.keys.Create(t.Context(), people["olga"], apikey.Spec{Workspace: "team-a", Name: "ci"})
	require.NoError(t, err)
	send := func(method, body, ifMatch string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, r.web.URL+prefix+"/keys/"+key.ID, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Actor", "olga")
		req.Header.Set("Content-Type", "application/json")
		if ifMatch != "" {
			req.Header.Set("If-Match", ifMatch)
		}
		answer, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer
	}
	tag := send(http.MethodGet, "", "").Header.Get("ETag")
	require.Equal(t, `W/"1"`, tag)
	require.Equal(t, http.StatusOK, send(http.MethodPatch, `{"name":"one"}`, tag).StatusCode)
	require.Equal(t, http.StatusPreconditionFailed, send(http.MethodPatch, `{"name":"two"}`, tag).StatusCode)
}

// FuzzETag: parseETag accepts only what the handler writes, and the weak form of it.
func FuzzETag(f *testing.F) {
	for _, seed := range []string{`"1"`, `W/"12"`, `"0"`, `"`, `*`, `W/`, `"1" "2"`, `"01"`, `""1""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		version, ok := admin.ParseETag(tag)
		if ok && strings.TrimPrefix(tag, "W/") != fmt.Sprintf("%q", fmt.Sprint(version)) {
			t.Fatalf("%q is version %d", tag, version)
		}
	})
}
