package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

// TestStrictJSON sends JSON that parsers read differently to every route with a body.
func TestStrictJSON(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	before := r.snapshot("team-a")
	for _, entry := range admin.Table() {
		if !takesBody(entry.Method) {
			continue
		}
		good := strings.ReplaceAll(bodyOf(t, entry), "KEY", m.Key.ID)
		path := fill(entry.Pattern, "team-a", m.Key.ID, "x")
		member, _, _ := strings.Cut(strings.TrimPrefix(good, `{"`), `"`)
		bad := map[string]string{
			"unknown member":    strings.TrimSuffix(good, "}") + `,"force":"x"}`,
			"not an object":     `[` + good + `]`,
			"two objects":       good + good,
			"byte order mark":   "\ufeff" + good,
			"not UTF-8":         strings.TrimSuffix(good, "}") + ",\"\xff\":1}",
			"cut off":           strings.TrimSuffix(good, "}"),
			"NUL in a name":     `{"name\u0000":1,` + strings.TrimPrefix(good, "{"),
			"nested duplicates": `{"x":{"y":1,"y":2},` + strings.TrimPrefix(good, "{"),
		}
		if good == "{}" {
			bad["unknown member"] = `{"force":true}`
			bad["NUL in a name"] = `{"name\u0000":1}`
			bad["nested duplicates"] = `{"x":{"y":1,"y":2}}`
			bad["not UTF-8"] = "{\"\xff\":1}"
		} else {
			rest := strings.TrimPrefix(good, "{")
			bad["white space alone"] = " "
			bad["duplicate"] = `{"` + member + `":null,` + rest
			bad["case variant"] = `{"` + strings.ToUpper(member) + `":null,` + rest
			bad["case variant alone"] = strings.Replace(good, member, strings.ToUpper(member), 1)
			bad["escaped duplicate"] = `{"\u00` + hex(member[0]) + member[1:] + `":null,` + rest
		}
		for name, body := range bad {
			t.Run("B13 "+entry.Method+" "+entry.Pattern+": "+name, func(t *testing.T) {
				r.at(t).do("ada", entry.Method, path, body, "If-Match", "*").problem(http.StatusBadRequest, admin.CodeMalformed)
			})
		}
		t.Run(entry.Method+" "+entry.Pattern+": media types", func(t *testing.T) {
			r := r.at(t)
			if good != "{}" {
				r.do("ada", entry.Method, path, "", "If-Match", "*").problem(http.StatusUnsupportedMediaType, admin.CodeMediaType)
			}
			for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1, text/plain", "application/jsonx", ""} {
				r.do("ada", entry.Method, path, good, "If-Match", "*", "Content-Type", kind).problem(http.StatusUnsupportedMediaType, admin.CodeMediaType)
			}
		})
	}
	require.Equal(t, before, r.snapshot("team-a"), "B13 nothing changed")
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

func TestBodies(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	create, one := "/workspaces/team-a/keys", "/keys/"+m.Key.ID
	for _, c := range []struct {
		name, method, path, body string
		fields                   []string
	}{
		{"nothing", "POST", create, `{}`, []string{"name", "permissions"}},
		{"null for what is needed", "POST", create, `{"name":null,"permissions":null}`, []string{"name", "permissions"}},
		{"other types", "POST", create, `{"name":1,"permissions":"project.list","expires_at":7,"resources":{}}`, []string{"name", "permissions", "expires_at", "resources"}},
		{"other types within", "POST", create, `{"name":"x","permissions":[1],"resources":[null]}`, []string{"permissions", "resources"}},
		{"no date", "POST", create, `{"name":"x","permissions":[],"expires_at":"tomorrow"}`, []string{"expires_at"}},
		{"an empty date", "POST", create, `{"name":"x","permissions":[],"expires_at":""}`, []string{"expires_at"}},
		{"the past", "POST", create, `{"name":"x","permissions":[],"expires_at":"2020-01-01"}`, []string{"expires_at"}},
		{"beyond the year 9999", "POST", create, `{"name":"x","permissions":[],"expires_at":"9999-12-31T23:59:59-00:01"}`, []string{"expires_at"}},
		{"all at once", "POST", create, `{"name":"","permissions":[],"expires_at":"2020-01-01","resources":["x"]}`, []string{"name", "expires_at", "resources"}},
		{"unknown permissions", "POST", create, `{"name":"x","permissions":["project.lits","nothing.*"]}`, []string{"permissions"}},
		{"two permissions in one", "POST", create, `{"name":"x","permissions":["project.list project.save"]}`, []string{"permissions"}},
		{"an unknown resource", "POST", create, `{"name":"x","permissions":[],"resources":["https://other.example.com"]}`, []string{"resources"}},
		{"name removed", "PATCH", one, `{"name":null}`, []string{"name"}},
		{"permissions removed", "PATCH", one, `{"permissions":null}`, []string{"permissions"}},
		{"no grace", "POST", one + "/rotate", `{}`, []string{"grace"}},
		{"grace below zero", "POST", one + "/rotate", `{"grace":-1}`, []string{"grace"}},
		{"grace of less than fits", "POST", one + "/rotate", `{"grace":-9223372036854775808}`, []string{"grace"}},
		{"grace of a thousand years", "POST", one + "/rotate", `{"grace":31622401}`, []string{"grace"}},
		{"grace of more than fits", "POST", one + "/rotate", `{"grace":92233720368547758}`, []string{"grace"}},
		{"grace in parts", "POST", one + "/rotate", `{"grace":1.5}`, []string{"grace"}},
		{"grace as text", "POST", one + "/rotate", `{"grace":"1h"}`, []string{"grace"}},
		{"grace null", "POST", one + "/rotate", `{"grace":null}`, []string{"grace"}},
		{"no ids", "POST", "/deletions", `{"ids":[]}`, []string{"ids"}},
		{"ids left out", "POST", "/deletions", `{}`, []string{"ids"}},
		{"too many ids", "POST", "/deletions", `{"ids":["` + strings.Repeat(`x","`, 200) + `x"]}`, []string{"ids"}},
		{"rules left out", "PUT", "/workspaces/team-a/settings", `{}`, []string{
			"max_keys", "unlimited_keys", "require_expiry", "max_lifetime", "enforced_at",
			"key_requests", "unlimited_key_requests", "workspace_requests", "unlimited_workspace_requests",
		}},
		{"a workspace that is no text", "POST", "/workspaces/team%0Aa/keys", `{"name":"x","permissions":[]}`, []string{"workspace"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.at(t).do("ada", c.method, c.path, c.body, "If-Match", "*").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			var fields []string
			for _, e := range p.Errors {
				fields = append(fields, e.Field)
				require.NotEmpty(t, e.Reason)
			}
			require.Equal(t, c.fields, fields)
		})
	}
	t.Run("too large", func(t *testing.T) {
		r.at(t).do("ada", "POST", create, `{"name":"`+strings.Repeat("x", 64<<10)+`"}`).problem(http.StatusRequestEntityTooLarge, admin.CodeTooLarge)
	})
	t.Run("compressed", func(t *testing.T) {
		r.at(t).do("ada", "POST", create, `{}`, "Content-Encoding", "gzip").problem(http.StatusUnsupportedMediaType, admin.CodeMediaType)
	})
	t.Run("a merge patch", func(t *testing.T) {
		r := r.at(t)
		r.do("ada", "PATCH", one, `{"name":"renamed"}`, "Content-Type", "application/merge-patch+json").Wants(http.StatusOK)
		r.do("ada", "POST", create, `{"name":"x","permissions":[]}`, "Content-Type", "application/merge-patch+json").problem(http.StatusUnsupportedMediaType, admin.CodeMediaType)
	})
	require.Len(t, r.list("ada", "/keys").Keys, 1)
}

func TestQueries(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	for _, entry := range admin.Table() {
		if entry.Public || takesBody(entry.Method) {
			continue
		}
		t.Run("unknown parameter: "+entry.Method+" "+entry.Pattern, func(t *testing.T) {
			r.at(t).do("ada", entry.Method, fill(entry.Pattern, "team-a", m.Key.ID, "x")+"?workspace=team-b", "").problem(http.StatusBadRequest, admin.CodeMalformed)
		})
		for _, name := range entry.Query {
			t.Run("twice: "+entry.Pattern+" "+name, func(t *testing.T) {
				p := r.at(t).do("ada", entry.Method, fill(entry.Pattern, "team-a", m.Key.ID, "x")+"?"+name+"=1&"+name+"=1", "").problem(http.StatusBadRequest, admin.CodeMalformed)
				require.Equal(t, name, p.Errors[0].Field)
			})
		}
	}
	r.do("ada", "GET", "/keys?a=%zz", "").problem(http.StatusBadRequest, admin.CodeMalformed)
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "sort=random": "sort", "sort=last_used": "sort",
		"order=up": "order", "disabled=1": "disabled", "expires_from=soon": "expires_from", "expires_to=0000-01-01T00:00:00Z": "expires_to",
		"expires_to=0000-12-31": "expires_to", "expires_to=0001-01-01": "expires_to", "expires_to=0001-01-01T00:00:00.0000001Z": "expires_to",
		"expires_to=9999-12-31T23:59:59-00:01": "expires_to",
		"last_used_from=soon":                  "last_used_from", "last_used_to=0001-01-01": "last_used_to",
		"created_by_kind=owner": "created_by_kind", "cursor=x": "cursor",
	} {
		t.Run(query, func(t *testing.T) {
			p := r.at(t).do("ada", "GET", "/keys?"+query, "").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			require.Equal(t, field, p.Errors[0].Field)
		})
	}
	for _, path := range []string{"/events?from=x", "/events?to=x", "/events?limit=-1", "/keys/" + m.Key.ID + "/usage?from=x", "/keys/" + m.Key.ID + "/usage?from=2020-01-01"} {
		t.Run(path, func(t *testing.T) {
			r.at(t).do("ada", "GET", path, "").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		})
	}
}

// TestForgedText: names with line breaks, header separators or direction overrides are
// refused, and no name is in a header.
func TestForgedText(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	for name, text := range map[string]string{
		"a line break": `a\r\nSet-Cookie: x=1`, "NUL": `a\u0000b`, "a line separator": `a\u2028b`, "a paragraph separator": `a\u2029b`,
		"right to left": `a\u202eb`, "an isolate": `a\u2066b`, "an escape sequence": `a\u001b[2Jb`, "a zero-width space": `a\u200bb`,
	} {
		t.Run("B15 "+name, func(t *testing.T) {
			r := r.at(t)
			for _, c := range [][3]string{
				{"POST", "/workspaces/team-a/keys", `{"name":"` + text + `","permissions":[]}`},
				{"PATCH", "/keys/" + m.Key.ID, `{"name":"` + text + `"}`},
				{"POST", "/keys/" + m.Key.ID + "/rotate", `{"grace":0,"name":"` + text + `"}`},
				{"POST", "/keys/" + m.Key.ID + "/public_keys", `{"name":"` + text + `","public_key":` + ecKey + `}`},
			} {
				p := r.do("ada", c[0], c[1], c[2]).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
				require.Equal(t, "name", p.Errors[0].Field)
			}
			r.do("ada", "POST", "/workspaces/team-a/keys", `{"name":"x","permissions":["`+text+`"]}`).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			got := r.do("ada", "POST", "/workspaces/team-a/keys", `{"`+text+`":1}`).problem(http.StatusBadRequest, admin.CodeMalformed)
			for _, e := range got.Errors {
				require.NotContains(t, e.Field, "\n")
				for _, char := range e.Field {
					require.True(t, char >= ' ' && char <= '~', "%q", e.Field)
				}
			}
		})
	}
	t.Run("B15 a header's value", func(t *testing.T) {
		got := r.at(t).do("ada", "POST", "/workspaces/team-a/keys", `{"name":"x","permissions":[]}`, "Idempotency-Key", "a\tb")
		got.problem(http.StatusBadRequest, admin.CodeMalformed)
	})
}

// TestBodyReadBefore tests a middleware of the host's that takes the body: that is
// the server's fault, and logged once with its cause.
func TestBodyReadBefore(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.mount = func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.ReadAll(r.Body)
				h.ServeHTTP(w, r)
			})
		}
	})
	for range 2 {
		got := r.do("olga", "POST", "/workspaces/team-a/keys", `{"name":"ci","permissions":[]}`)
		got.problem(http.StatusInternalServerError, "internal")
		require.Contains(t, got.Body, "The body of this request was read before it came here.")
	}
	r.do("olga", "POST", "/workspaces/team-a/keys", "").problem(http.StatusUnsupportedMediaType, "media-type")
	require.Equal(t, 1, strings.Count(r.out.String(), "the host's code read its body first"))
}
