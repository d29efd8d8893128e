package oauth_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

const cc = "grant_type=client_credentials"

func header(scheme, plain string) []string {
	return []string{"Authorization", scheme + " " + base64.StdEncoding.EncodeToString([]byte(plain))}
}

// TestClientAuthentication tests the client authentication of RFC 6749, section
// 2.3.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, secret := w.key.ID, w.secret
	inBody := "&client_id=" + id + "&client_secret=" + secret

	t.Run("6749-01 Basic", func(t *testing.T) {
		w := w.at(t)
		a := w.post(cc, basic(id, secret)...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		require.NotEmpty(t, a.Token())
		require.Equal(t, "Bearer", a.Member("token_type"))
		require.InEpsilon(t, 300.0, a.Member("expires_in"), 0)
	})
	t.Run("6749-01 Basic in any case", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.post(cc, header("bAsIc", id+":"+secret)...).StatusCode)
	})
	t.Run("6749-01 id and secret are form-decoded", func(t *testing.T) {
		w := w.at(t)
		encoded := func(text string) string {
			var b strings.Builder
			for i := range len(text) {
				b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[text[i]>>4])+string("0123456789abcdef"[text[i]&15])))
			}
			return b.String()
		}
		require.Equal(t, http.StatusOK, w.post(cc, header("Basic", encoded(id)+":"+encoded(secret))...).StatusCode)
	})
	t.Run("6749-02 a generated secret reads the same encoded and raw", func(t *testing.T) {
		require.Equal(t, secret, url.QueryEscape(secret))
		require.Equal(t, id, url.QueryEscape(id))
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, secret)
	})
	t.Run("6749-03 in the body", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.post(cc+inBody).StatusCode)
	})
	t.Run("6749-14 wrong secret by Basic", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc, basic(id, typo(secret))...), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("6749-14 wrong secret in the body", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc+"&client_id="+id+"&client_secret="+typo(secret)), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("6749-15 no credentials", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("6749-21 a client without a secret", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc+"&client_id="+id), http.StatusUnauthorized, "invalid_client")
		w.refused(w.post(cc, header("Basic", id+":")...), http.StatusUnauthorized, "invalid_client")
	})

	for _, tc := range []struct{ name, target, body string }{
		{"secret in the query", "?client_secret=" + secret, cc + "&client_id=" + id},
		{"secret in query and body", "?client_secret=" + secret, cc + inBody},
		{"id in the query", "?client_id=" + id, cc + "&client_secret=" + secret},
		{"JSON spelling in the query", "?clientSecret=" + secret, cc + inBody},
		{"encoded name in the query", "?client%5Fsecret=" + secret, cc + inBody},
	} {
		t.Run("6749-04 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.send(http.MethodPost, "/api/login"+tc.target, tc.body, "Content-Type", form), http.StatusBadRequest, "invalid_request")
			require.NotContains(t, w.log.String(), secret)
		})
	}

	for _, tc := range []struct {
		name    string
		body    string
		headers []string
	}{
		{"Basic and body secret", cc + "&client_secret=" + secret, basic(id, secret)},
		{"Basic and body credentials", cc + inBody, basic(id, secret)},
		{"Basic and client_assertion", cc + "&client_assertion=x", basic(id, secret)},
		{"Basic and client_assertion_type", cc + "&client_assertion_type=x", basic(id, secret)},
		{"body secret and client_assertion", cc + inBody + "&client_assertion=x", nil},
		{"two Authorization headers", cc, append(basic(id, secret), basic(id, secret)...)},
		{"two Authorization headers, one empty", cc, append(basic(id, secret), "Authorization", "")},
	} {
		t.Run("6749-05 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(tc.body, tc.headers...), http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("6749-05 a parameter without a value is not there", func(t *testing.T) {
		w := w.at(t)
		a := w.post(cc+"&client_id=&client_secret=&client_assertion=", basic(id, secret)...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body) // RFC 6749, section 3.2
	})

	t.Run("6749-06 Basic and another client_id", func(t *testing.T) {
		w := w.at(t)
		other, _ := w.newKey("team-a", "project.list")
		w.refused(w.post(cc+"&client_id="+other.ID, basic(id, secret)...), http.StatusBadRequest, "invalid_request")
	})
	t.Run("6749-06 Basic and the same client_id", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.post(cc+"&client_id="+id, basic(id, secret)...).StatusCode)
	})
	t.Run("6749-06 and 9700-06 the secret of one key does not log in another", func(t *testing.T) {
		w := w.at(t)
		other, _ := w.newKey("team-a", "project.list")
		w.refused(w.post(cc, basic(other.ID, secret)...), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("9068-05 and 9700-06 a client chooses neither id nor sub", func(t *testing.T) {
		w := w.at(t)
		a := w.post(cc+"&sub=victim&client_name=victim&user_id=victim", basic(id, secret)...)
		claims := harness.Claims(t, a.Token())
		require.Equal(t, id, claims["sub"])
		require.Equal(t, id, claims["client_id"])
		require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, id, "an id of the server's own")
	})

	t.Run("Basic with a line break, as a proxy or a test may pass it", func(t *testing.T) {
		w := w.at(t)
		value := basic(id, secret)[1]
		a := serve(w.Token(), http.MethodPost, "/api/login", cc, "Authorization", value[:20]+"\r\n"+value[20:])
		w.refused(a, http.StatusBadRequest, "invalid_request")
	})

	for _, tc := range []struct {
		name, header string
		status       int
		code         string
	}{
		{"another scheme", "Bearer " + secret, http.StatusUnauthorized, "invalid_client"},
		{"no scheme", base64.StdEncoding.EncodeToString([]byte(id + ":" + secret)), http.StatusUnauthorized, "invalid_client"},
		{"Basic alone", "Basic", http.StatusBadRequest, "invalid_request"},
		{"not base64", "Basic !!!!", http.StatusBadRequest, "invalid_request"},
		{"no colon", "Basic " + base64.StdEncoding.EncodeToString([]byte(id)), http.StatusBadRequest, "invalid_request"},
		{"two credentials", "Basic eDp5, Basic eDp5", http.StatusBadRequest, "invalid_request"},
		{"trailing bits", "Basic eDp6YR==", http.StatusBadRequest, "invalid_request"},
		{"a NUL", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+"\x00:"+secret)), http.StatusBadRequest, "invalid_request"},
		{"a NUL, encoded", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret+"%00")), http.StatusBadRequest, "invalid_request"},
		{"a lone percent sign", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":%")), http.StatusBadRequest, "invalid_request"},
		{"not UTF-8", "Basic " + base64.StdEncoding.EncodeToString([]byte("\xff:\xff")), http.StatusBadRequest, "invalid_request"},
	} {
		t.Run("Basic that is malformed: "+tc.name, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post(cc, "Authorization", tc.header), tc.status, tc.code)
		})
	}
}

// TestImportedSecret tests a secret with characters that must be form-encoded.
func TestImportedSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.APIKeys.Imported = true })
	const id, secret = "legacy:client+1", "a+b%c:d e&f=g;h-" + "0123456789abcdefABCDEF"
	_, err := w.APIKeys().Import(t.Context(), admin, apikey.ImportSpec{
		Spec: apikey.Spec{Workspace: "team-a", Name: "legacy", Permissions: scope.MustParse("project.list")}, ID: id, Secret: secret,
	})
	require.NoError(t, err)

	t.Run("6749-02 %2B, %25 and %3A in Basic", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.post(cc, basic(id, secret)...).StatusCode)
	})
	t.Run("6749-02 the same sent raw is not that secret", func(t *testing.T) {
		w := w.at(t)
		require.NotEqual(t, http.StatusOK, w.post(cc, header("Basic", id+":"+secret)...).StatusCode)
	})
	t.Run("6749-02 in a form", func(t *testing.T) {
		w := w.at(t)
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
		require.Equal(t, http.StatusOK, w.post(form.Encode()).StatusCode)
	})
	t.Run("6749-27 in JSON", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.postJSON(`{"clientId":"`+id+`","clientSecret":"`+secret+`"}`).StatusCode)
	})
	t.Run("B11 sent as the scope it is not repeated", func(t *testing.T) {
		w := w.at(t)
		for _, text := range []string{secret, "client_secret=" + secret} {
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {text + " no.such"}}
			a := w.post(form.Encode())
			w.refused(a, http.StatusBadRequest, "invalid_scope")
			require.NotContains(t, a.Description(), "0123456789abcdefABCDEF")
		}
	})
	t.Run("6749-21 an empty secret is refused", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc, header("Basic", "legacy%3Aclient%2B1:")...), http.StatusUnauthorized, "invalid_client")
	})
}

// typo changes a secret's last character.
func typo(secret string) string {
	last := "A"
	if strings.HasSuffix(secret, last) {
		last = "B"
	}
	return secret[:len(secret)-1] + last
}

// TestResponsesHideIDs tests 6749-15: the response has the same bytes for an
// unknown id and a wrong secret, and says the reason only to a client with the
// right secret.
func TestResponsesHideIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, foreign := w.newKey("team-b", "project.list") // well formed, of another key
	states := map[string]func() string{
		"unknown": func() string { return "0b8f6d4e-0000-4000-8000-000000000000" },
		"live":    func() string { return w.key.ID },
		"disabled": func() string {
			key, _ := w.newKey("team-a", "project.list")
			_, err := w.APIKeys().Disable(t.Context(), admin, key.ID, 0)
			require.NoError(t, err)
			return key.ID
		},
		"deleted": func() string {
			key, _ := w.newKey("team-a", "project.list")
			require.NoError(t, w.APIKeys().Delete(t.Context(), admin, key.ID, 0))
			return key.ID
		},
		"expired": func() string {
			key, _, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
				Workspace: "team-a", Name: "ci", Expiry: apikey.Expiry{At: w.clock.Now().Add(time.Hour)},
			})
			require.NoError(t, err)
			w.clock.Advance(2 * time.Hour)
			return key.ID
		},
	}
	dump := func(a answer) string {
		a.Header.Del("Date")
		var b strings.Builder
		_ = a.Header.Write(&b)
		return http.StatusText(a.StatusCode) + "\n" + b.String() + a.Body
	}
	want := ""
	for name, makeID := range states {
		id := makeID()
		for _, a := range []answer{
			w.post(cc, basic(id, foreign)...),
			w.post(cc + "&client_id=" + id + "&client_secret=" + foreign),
			w.postJSON(`{"clientId":"` + id + `","clientSecret":"` + foreign + `"}`),
			w.post(cc, basic(id, "nonsense")...),
		} {
			w.refused(a, http.StatusUnauthorized, "invalid_client")
			if want == "" {
				want = dump(a)
			}
			require.Equal(t, want, dump(a), "6749-15 "+name)
		}
	}

	for _, tc := range []struct {
		name string
		act  func(k apikey.Key)
		want string
	}{
		{"disabled", func(k apikey.Key) {
			_, err := w.APIKeys().Disable(t.Context(), admin, k.ID, 0)
			require.NoError(t, err)
		}, "This API key is disabled."},
		{"expired", func(apikey.Key) { w.clock.Advance(48 * time.Hour) }, "This API key has expired."},
	} {
		t.Run("6749-15 a client with the right secret learns that its key is  "+tc.name, func(t *testing.T) {
			w := w.at(t)
			key, secret, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
				Workspace: "team-a", Name: "ci", Expiry: apikey.Expiry{At: w.clock.Now().Add(time.Hour)},
			})
			require.NoError(t, err)
			tc.act(key)
			a := w.post(cc, basic(key.ID, secret.Reveal())...)
			w.refused(a, http.StatusUnauthorized, "invalid_client")
			require.Equal(t, tc.want, a.Description())
		})
	}
}

func TestRequireTLS(t *testing.T) {
	t.Parallel()
	observed := 0
	plain := newWorld(t, func(s *setup) {
		s.config.RequireTLS = true
		s.config.Observer = func(context.Context, observe.Decision) { observed++ }
	})
	t.Run("6749-25 plain HTTP is refused and not redirected", func(t *testing.T) {
		plain := plain.at(t)
		a := plain.post(plain.grant())
		plain.refused(a, http.StatusBadRequest, "invalid_request")
		require.Empty(t, a.Header.Get("Location"))
		require.Zero(t, observed, "refused before the credentials were read")
	})
	secure := newWorld(t, func(s *setup) {
		s.config.RequireTLS = true
		s.config.Issuer = strings.Replace(s.config.Issuer, "http:", "https:", 1)
		s.start = (*httptest.Server).StartTLS
	})
	t.Run("6749-25 over TLS it is served", func(t *testing.T) {
		secure := secure.at(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, secure.base+"/api/login", strings.NewReader(secure.grant()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", form)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a test's own server
		defer client.CloseIdleConnections()
		require.Equal(t, http.StatusOK, secure.do(client, r).StatusCode)
	})
	t.Run("2.1-02 an issuer without TLS is for loopback only", func(t *testing.T) {
		_, err := oauth.New(store.Store{}, oauth.Config{Logger: quiet, Issuer: "http://api.example.com", Permissions: catalog, InsecureLoopback: true})
		require.ErrorContains(t, err, "Config.Issuer: it must be https")
	})
}
