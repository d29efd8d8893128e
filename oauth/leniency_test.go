package oauth_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// If the RFCs allow variants, the login accepts them. Similar forms that the RFCs
// do not allow are refused.

// TestSpacesBehindBasic tests RFC 9110, section 11.6.2: one or more spaces after
// the scheme.
func TestSpacesBehindBasic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plain := base64.StdEncoding.EncodeToString([]byte(w.key.ID + ":" + w.secret))
	for _, value := range []string{"Basic  " + plain, "basic      " + plain} {
		for path, body := range map[string]string{"/api/login": cc, "/api/introspect": "token=x", "/api/revoke": "token=x"} {
			t.Run("6749-01 "+path, func(t *testing.T) {
				w := w.at(t)
				a := w.send(http.MethodPost, path, body, "Content-Type", form, "Authorization", value)
				require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			})
		}
	}
	for name, value := range map[string]string{
		"a tab": "Basic\t" + plain, "a tab behind the space": "Basic \t" + plain, "a space within": "Basic " + plain[:8] + " " + plain[8:],
		"trailing junk": "Basic " + plain + " x", "nothing but spaces": "Basic    ", "no space": "Basic" + plain,
	} {
		t.Run("6749-01 "+name, func(t *testing.T) {
			w := w.at(t)
			w.refused(serve(w.Token(), http.MethodPost, "/api/login", cc, "Authorization", value), http.StatusBadRequest, "invalid_request")
		})
	}
}

// TestHeaderThatAuthenticatesNoClient tests Authorization headers that HTTP
// libraries and proxies add to a login whose credentials are in the body.
func TestHeaderThatAuthenticatesNoClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	credentials := "&client_id=" + w.key.ID + "&client_secret=" + w.secret
	for _, value := range []string{"", "Bearer x", "bearer  x", "Negotiate YII=", "NTLM", "Bearer x, Negotiate y"} {
		t.Run("6749-03 beside "+value, func(t *testing.T) {
			w := w.at(t)
			require.Equal(t, http.StatusOK, w.post(cc+credentials, "Authorization", value).StatusCode)
			require.Equal(t, http.StatusOK, w.postJSON(`{"clientId":"`+w.key.ID+`","clientSecret":"`+w.secret+`"}`, "Authorization", value).StatusCode)
			require.Equal(t, http.StatusOK, w.send(http.MethodPost, "/api/introspect", "token=x"+credentials, "Content-Type", form, "Authorization", value).StatusCode)
			require.Equal(t, http.StatusOK, w.send(http.MethodPost, "/api/revoke", "token=x"+credentials, "Content-Type", form, "Authorization", value).StatusCode)
		})
		t.Run("6749-15 nothing but "+value, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(cc, "Authorization", value), http.StatusUnauthorized, "invalid_client")
			w.refused(w.post(cc+"&client_id="+w.key.ID, "Authorization", value), http.StatusUnauthorized, "invalid_client")
		})
		t.Run("6749-05 beside two methods in the body and "+value, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(cc+credentials+"&client_assertion=x", "Authorization", value), http.StatusBadRequest, "invalid_request")
		})
	}
	for name, headers := range map[string][]string{
		"Basic":                   basic(w.key.ID, w.secret),
		"Basic that is malformed": {"Authorization", "Basic !"},
		"Basic alone":             {"Authorization", "Basic"},
		"two headers":             {"Authorization", "Bearer x", "Authorization", "Negotiate y"},
		"two empty headers":       {"Authorization", "", "Authorization", ""},
	} {
		t.Run("6749-05 credentials in the body beside "+name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(cc+credentials, headers...), http.StatusBadRequest, "invalid_request")
		})
	}
}

// TestCharsets tests that an ASCII form is accepted with every charset, since it
// means the same in all. JSON has only one encoding (RFC 8259, section 8.1).
func TestCharsets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.APIKeys.Imported = true })
	send := func(w *world, kind, body string) answer {
		return w.send(http.MethodPost, "/api/login", body, "Content-Type", kind)
	}
	object := `{"clientId":"` + w.key.ID + `","clientSecret":"` + w.secret + `"`
	for _, charset := range []string{"us-ascii", "US-ASCII", "utf-8", `"utf-8"`, "UTF8", "utf8", "iso-8859-1", "ISO-8859-1", "windows-1252", "ascii", `""`, "x"} {
		t.Run("6749-24 "+charset, func(t *testing.T) {
			w := w.at(t)
			a := send(w, form+"; charset="+charset, w.grant("scope", "project.list"))
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			a = send(w, "application/json;charset="+charset, object+"}")
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			for _, path := range []string{"/api/introspect", "/api/revoke"} {
				a = w.send(http.MethodPost, path, w.grant("token", "x"), "Content-Type", form+";charset="+charset)
				require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			}
		})
	}

	const secret = "é-0123456789abcdefABCDEF-0123456789"
	_, err := w.APIKeys().Import(t.Context(), admin, apikey.ImportSpec{
		Spec: apikey.Spec{Workspace: "team-a", Name: "accented"}, ID: "accented", Secret: secret,
	})
	require.NoError(t, err)
	escaped := cc + "&client_id=accented&client_secret=%C3%A9" + strings.TrimPrefix(secret, "é")
	raw := cc + "&client_id=accented&client_secret=" + secret
	inJSON := `{"clientId":"accented","clientSecret":"` + secret + `"}`
	for _, charset := range []string{"", ";charset=utf-8", `;charset="UTF-8"`, ";charset=utf8"} {
		t.Run("6749-24 not ASCII, in UTF-8"+charset, func(t *testing.T) {
			w := w.at(t)
			for _, a := range []answer{send(w, form+charset, escaped), send(w, form+charset, raw), send(w, "application/json"+charset, inJSON)} {
				require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			}
		})
	}
	for _, charset := range []string{";charset=iso-8859-1", ";charset=us-ascii", ";charset=utf-7", ";charset=utf-16", ";charset="} {
		t.Run("6749-24 not ASCII"+charset, func(t *testing.T) {
			w := w.at(t)
			for _, a := range []answer{
				send(w, form+charset, escaped), send(w, form+charset, raw), send(w, "application/json"+charset, inJSON),
				send(w, form+charset, strings.Replace(escaped, "%C3%A9", "%E9", 1)), // é in ISO 8859-1
				send(w, form+charset, w.grant()+"&%c3%a9=x"),
			} {
				w.refused(a, http.StatusBadRequest, "invalid_request")
			}
		})
	}
	for name, kind := range map[string]string{"two charsets": form + ";charset=utf-8;charset=us-ascii", "another type": "text/plain;charset=us-ascii", "a list": form + ";charset=utf-8, text/plain"} {
		t.Run("6749-24 "+name, func(t *testing.T) {
			w := w.at(t)
			w.refused(send(w, kind, w.grant()), http.StatusBadRequest, "invalid_request")
		})
	}
}

// TestJSONNull tests null, which some encoders write for an absent member.
func TestJSONNull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	object := func(further string) string {
		return `{"clientId":"` + w.key.ID + `","clientSecret":"` + w.secret + `"` + further + `}`
	}
	for _, further := range []string{
		`,"scope":null`, `,"grant_type":null`, `,"grantType":null`, `,"resource":null`, `,"client_assertion":null,"client_assertion_type":null`,
		`,"scope":null,"resource":null,"grant_type":null`, `,"scope": null `,
	} {
		t.Run("6749-27 "+further, func(t *testing.T) {
			w := w.at(t)
			a := w.postJSON(object(further))
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			require.Equal(t, w.postJSON(object("")).Member("scope"), a.Member("scope"))
		})
	}
	t.Run("6749-27 id and secret beside Basic", func(t *testing.T) {
		w := w.at(t)
		a := w.postJSON(`{"client_id":null,"client_secret":null,"scope":"project.read"}`, basic(w.key.ID, w.secret)...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		require.Equal(t, "project.read", a.Member("scope"))
	})
	for name, body := range map[string]string{
		"no id":             `{"clientId":null,"clientSecret":"` + w.secret + `"}`,
		"no secret":         `{"clientId":"` + w.key.ID + `","clientSecret":null}`,
		"neither":           `{"clientId":null,"clientSecret":null}`,
		"a text for the id": `{"clientId":"null","clientSecret":null}`,
	} {
		t.Run("6749-27 "+name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.postJSON(body), http.StatusUnauthorized, "invalid_client")
		})
	}
	for name, body := range map[string]string{
		"both spellings of the id":   object(`,"client_id":null`),
		"both spellings of the type": object(`,"grant_type":null,"grantType":null`),
		"a member twice":             object(`,"scope":null,"scope":null`),
		"scope in another case":      object(`,"Scope":null`),
		"false":                      object(`,"scope":false`),
		"an empty object":            object(`,"scope":{}`),
		"null in an array":           object(`,"scope":[null]`),
	} {
		t.Run("6749-27 "+name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.postJSON(body), http.StatusBadRequest, "invalid_request")
		})
	}
}
