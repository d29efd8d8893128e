package admin_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestETagsThatHold: a proxy that compresses an answer makes its ETag weak,
// and a client may name several (RFC 9110, section 13.1.1).
func TestETagsThatHold(t *testing.T) {
	for name, c := range keyChanges {
		for _, named := range [][]string{
			{`W/"2"`}, {` W/"2" `}, {`"1", "2"`}, {`"2","1"`}, {`W/"1" , W/"2"`}, {`,"2",`}, {`"a,b", "2"`}, {`"2", "2"`}, {`"1"`, `"2"`}, {`"2"`, `"2"`}, {`"other", "2"`},
		} {
			t.Run(name+" under "+strings.Join(named, " and "), func(t *testing.T) {
				r := newRig(t)
				m := r.create("olga", "team-a", "ci")
				change := `{"name":"of another hand"}`
				require.Equal(t, `"2"`, r.do("olga", "PATCH", "/keys/"+m.Key.ID, change).Wants(http.StatusOK).Header.Get("ETag"))
				var headers []string
				for _, value := range named {
					headers = append(headers, "If-Match", value)
				}
				got := r.do("max", c.method, fill(c.path, "", m.Key.ID, m.Key.Secrets[0].ID), c.body, headers...)
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
				`""`, `,`, `"2\"`, `"1,2"`, `"9223372036854775808", "-2"`,
			} {
				r.do("max", c.method, path, c.body, "If-Match", stale).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
			r.do("bert", c.method, path, c.body, "If-Match", `"1", "2"`).problem(http.StatusNotFound, admin.CodeNotFound) // B20
			require.Equal(t, before, r.snapshot("team-a"))
		})
	}
	const own = `{"max_keys":7,"require_expiry":false,"max_lifetime":0,"enforced_from":null`
	for path, body := range map[string]string{"/settings": own + `,"keys_off":false,"reminders_off":false,"remind_before":null}`, "/workspaces/team-a/settings": own + `}`} {
		t.Run("replace "+path, func(t *testing.T) {
			r := newRig(t)
			r.create("olga", "team-a", "ci")
			with := func(n string) string { return strings.Replace(body, "7", n, 1) }
			r.do("ada", "PUT", path, with("7"), "If-Match", `W/"0"`).Wants(http.StatusOK)
			r.do("ada", "PUT", path, with("8"), "If-Match", `"0", "1"`).Wants(http.StatusOK)
			for _, stale := range []string{`W/"1"`, `"0", "1"`, `"x"`, `"2" "2"`, `,`, `*, "2"`} {
				r.do("ada", "PUT", path, with("9"), "If-Match", stale).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
			r.do("ada", "PUT", path, with("9"), "If-Match", `"1"`, "If-Match", `W/"2"`).Wants(http.StatusOK)
		})
	}
}

// TestBehindACompressingProxy changes settings as a client does that reads
// through nginx: the ETag that it is shown is weak, and it sends it back.
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

// FuzzETags: a list is read to its end or refused, and what was read means the
// same when it is written anew.
func FuzzETags(f *testing.F) {
	for _, seed := range []string{`"1"`, `W/"1", "2"`, ` , "a,b" ,`, `"`, `*`, `W/`, `"1" "2"`} {
		f.Add(seed)
	}
	read := func(list string) (tags []string, ok bool) {
		for list != "" {
			tag, rest, ok := admin.CutETag(list)
			if !ok || len(rest) >= len(list) && rest != "" {
				return nil, false
			}
			if tag != "" {
				tags = append(tags, tag)
			}
			list = rest
		}
		return tags, true
	}
	f.Fuzz(func(t *testing.T, list string) {
		tags, ok := read(list)
		if !ok || len(tags) == 0 {
			return
		}
		again, ok := read(`W/"` + strings.Join(tags, `" ,, W/"`) + `"`)
		if !ok || !slices.Equal(again, tags) {
			t.Fatalf("%q is %q, and then %q", list, tags, again)
		}
	})
}
