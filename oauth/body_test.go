package oauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJSONLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, secret := w.key.ID, w.secret
	object := func(further string) string {
		return `{"clientId":"` + id + `","clientSecret":"` + secret + `"` + further + `}`
	}
	for _, tc := range []struct{ name, body string }{
		{"as a login", object("")},
		{"snake case", `{"client_id":"` + id + `","client_secret":"` + secret + `"}`},
		{"mixed", `{"client_id":"` + id + `","clientSecret":"` + secret + `"}`},
		{"with grant_type", object(`,"grant_type":"client_credentials"`)},
		{"with grantType", object(`,"grantType":"client_credentials"`)},
		{"with an empty scope", object(`,"scope":""`)},
		{"an unknown member", object(`,"foo":{"a":[1,null,true]}`)},
		{"escapes", `{"client\u0049d":"` + id + `","clientSecret":"` + secret + `"}`},
		{"white space around", " \r\n\t" + object("") + "\n"},
	} {
		t.Run("6749-24 and 6749-27 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			a, b := w.postJSON(tc.body), w.post(w.grant())
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			for _, name := range []string{"token_type", "expires_in", "scope"} {
				require.Equal(t, b.Member(name), a.Member(name), "the form's answer")
			}
			require.Equal(t, keys(b), keys(a))
		})
	}
	t.Run("6749-27 credentials by Basic and a scope in JSON", func(t *testing.T) {
		w := w.at(t)
		a := w.postJSON(`{"scope":"project.read"}`, basic(id, secret)...)
		require.Equal(t, "project.read", a.Member("scope"), a.Body)
	})
	for _, tc := range []struct {
		name, body string
		code       string
	}{
		{"array", `[]`, "invalid_request"},
		{"array of an object", `[` + object("") + `]`, "invalid_request"},
		{"null", `null`, "invalid_request"},
		{"number", `1`, "invalid_request"},
		{"string", `"x"`, "invalid_request"},
		{"nothing", ``, "invalid_request"},
		{"two objects", object("") + object(""), "invalid_request"},
		{"trailing bytes", object("") + "x", "invalid_request"},
		{"a byte order mark", "\xef\xbb\xbf" + object(""), "invalid_request"},
		{"not UTF-8", object(`,"a":"` + "\xff" + `"`), "invalid_request"},
		{"half of a surrogate pair", object(`,"a":"\ud800"`), "invalid_request"},
		{"a comment", object("") + "// x", "invalid_request"},
		{"a trailing comma", object(","), "invalid_request"},
		{"single quotes", strings.ReplaceAll(object(""), `"`, `'`), "invalid_request"},
		{"a nested secret", `{"clientId":"` + id + `","clientSecret":{"value":"` + secret + `"}}`, "invalid_request"},
		{"a secret in an array", `{"clientId":"` + id + `","clientSecret":["` + secret + `"]}`, "invalid_request"},
		{"a number as id", `{"clientId":1,"clientSecret":"` + secret + `"}`, "invalid_request"},
		{"scope as an array", object(`,"scope":["project.list"]`), "invalid_request"},
		{"a form", w.grant(), "invalid_request"},
		{"an empty grant_type", object(`,"grant_type":""`), "invalid_request"},
		{"another grant_type", object(`,"grantType":"password"`), "unsupported_grant_type"},
	} {
		t.Run("6749-27 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.postJSON(tc.body), http.StatusBadRequest, tc.code)
		})
	}

	for _, tc := range []struct{ name, further string }{
		{"the same name twice", `,"clientSecret":"` + secret + `"`},
		{"the other spelling", `,"client_secret":"` + secret + `"`},
		{"the other spelling of the id", `,"client_id":"` + id + `"`},
		{"both spellings of grant_type", `,"grant_type":"client_credentials","grantType":"client_credentials"`},
		{"in capitals", `,"CLIENTSECRET":"x"`},
		{"in another case", `,"ClientId":"x"`},
		{"a case that only Unicode folds", `,"client\u017fecret":"x"`}, // U+017F folds to s
		{"a NUL in the name", `,"clientId\u0000":"x"`},
		{"twice by escapes", `,"client\u0053ecret":"x"`},
		{"twice inside an unknown member", `,"foo":{"a":1,"a":2}`},
		{"scope in capitals", `,"SCOPE":"project.list"`},
		{"an unknown name twice", `,"foo":1,"foo":2`},
		{"a NUL in the secret's value", `,"scope":"a\u0000"`},
	} {
		t.Run("B13 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.postJSON(object(tc.further)), http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("B13 a wrong secret beside a right one in another case", func(t *testing.T) {
		w := w.at(t)
		a := w.postJSON(`{"clientId":"` + id + `","clientSecret":"` + typo(secret) + `","CLIENTSECRET":"` + secret + `"}`)
		w.refused(a, http.StatusBadRequest, "invalid_request")
	})
	t.Run("6749-05 JSON secret and Basic", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.postJSON(object(""), basic(id, secret)...), http.StatusBadRequest, "invalid_request")
	})
	for depth, want := range map[int]int{31: http.StatusOK, 32: http.StatusBadRequest, 10_000: http.StatusBadRequest} {
		t.Run(fmt.Sprintf("B12 JSON %d levels deep", depth+1), func(t *testing.T) {
			w := w.at(t)
			a := w.postJSON(object(`,"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth)))
			require.Equal(t, want, a.StatusCode, a.Body)
		})
	}
}

func keys(a answer) []string {
	var names []string
	for _, name := range []string{"access_token", "token_type", "expires_in", "scope", "refresh_token", "error"} {
		if a.Member(name) != nil {
			names = append(names, name)
		}
	}
	return names
}

func TestForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.grant()
	for _, tc := range []struct{ name, body string }{
		{"a=1&a=2", good + "&a=1&a=2"},
		{"a=1;a=2", good + "&a=1;a=2"},
		{"a semicolon between parameters", strings.ReplaceAll(good, "&", ";")},
		{"a NUL in a value", good + "&a=%00"},
		{"a NUL in a name", good + "&%00=a"},
		{"a raw NUL", good + "&a=\x00"},
		{"invalid UTF-8", good + "&a=%ff"},
		{"invalid UTF-8, raw", good + "&a=\xff"},
		{"an overlong encoding", good + "&a=%c0%80"},
		{"a surrogate", good + "&a=%ed%a0%80"},
		{"a lone percent sign", good + "&a=%"},
		{"half an escape", good + "&a=%4"},
		{"an escape of no hex", good + "&a=%zz"},
		{"a broken name", good + "&%zz=a"},
		{"brackets twice", good + "&a[]=1&a[]=2"},
		{"101 parameters", good + many(98)},
		{"5,000 parameters", good + many(5_000)},
		{"twice by escapes", good + "&client%5fid=x"},
		{"twice by plus and space", good + "&a+b=1&a%20b=2"},
	} {
		t.Run("B14 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(tc.body), http.StatusBadRequest, "invalid_request")
		})
	}
	for _, tc := range []struct{ name, body string }{
		{"100 parameters", good + many(97)},
		{"brackets once", good + "&scope[]=project.write"},
		{"a name without a value", good + "&a"},
		{"an empty name", good + "&=a"},
		{"empty pairs", "&&" + good + "&&"},
		{"a line break at a value's end is part of the value", good + "&a=1\r\n"},
		{"a question sign", good + "&a=?b=c"},
	} {
		t.Run("B14 accepted: "+tc.name, func(t *testing.T) {
			w := w.at(t)
			a := w.post(tc.body)
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			require.Equal(t, "project.list project.read", a.Member("scope"))
		})
	}
	t.Run("B14 + and %20 are both a space", func(t *testing.T) {
		w := w.at(t)
		for _, space := range []string{"+", "%20"} {
			require.Equal(t, "project.list project.read", w.post(good+"&scope=project.list"+space+"project.read").Member("scope"))
		}
	})
	t.Run("B14 a value of 1 MiB", func(t *testing.T) {
		w := w.at(t)
		a := serve(w.Token(), http.MethodPost, "/api/login", good+"&a="+strings.Repeat("x", 1<<20))
		w.refused(a, http.StatusRequestEntityTooLarge, "invalid_request")
	})
	t.Run("B14 the key in query and body", func(t *testing.T) {
		w := w.at(t)
		a := w.send(http.MethodPost, "/api/login?client_id="+url.QueryEscape(w.key.ID), good, "Content-Type", form)
		w.refused(a, http.StatusBadRequest, "invalid_request")
	})
	t.Run("B12 101 parameters", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(good+many(98)), http.StatusBadRequest, "invalid_request")
	})
	t.Run("6749-27 a body of exactly 64 KiB, and one byte more", func(t *testing.T) {
		w := w.at(t)
		body := good + "&a=" + strings.Repeat("x", 64<<10-len(good)-3)
		require.Equal(t, http.StatusOK, w.post(body).StatusCode)
		w.refused(w.post(body+"x"), http.StatusRequestEntityTooLarge, "invalid_request")
	})
	t.Run("no body", func(t *testing.T) {
		w := w.at(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+"/api/login", nil)
		require.NoError(t, err)
		r.Header.Set("Content-Type", form)
		w.refused(w.do(http.DefaultClient, r), http.StatusBadRequest, "invalid_request")
		r.Body = nil // as a host's own test may call the handler
		require.NotPanics(t, func() { w.Token().ServeHTTP(discard{}, r) })
	})
}

// many is further parameters, each with a name of its own.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&a%d=", i)
	}
	return b.String()
}

// discard is a ResponseWriter with only the required methods.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
