package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// fuzzed is a server with one key. The fuzzer does not know its id and secret: it
// writes KEY and SECRET, which are replaced before the request is made.
type fuzzed struct {
	server     *oauth.Server
	id, secret string
}

func newFuzzed(f testing.TB) *fuzzed {
	f.Helper()
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Logger: quiet, Issuer: "https://a.example", Permissions: catalog, LoginTimeout: time.Minute, Now: harness.ClockAt(start).Now,
		Signers: []oauth.SigningKey{{Secret: make([]byte, 32)}},
		APIKeys: apikey.Options{RefuseAfter: -1, Budgets: apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1}},
	})
	if err != nil {
		f.Fatal(err)
	}
	key, secret, err := srv.APIKeys().Create(f.Context(), admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"),
	})
	if err != nil {
		f.Fatal(err)
	}
	return &fuzzed{srv, key.ID, secret.Reveal()}
}

// login sends one request and checks the properties of every response. It reports
// whether there was a token.
func (z *fuzzed) login(t *testing.T, contentType, body, query, authorization string) bool {
	t.Helper()
	fill := strings.NewReplacer("KEY", z.id, "SECRET", z.secret)
	r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(fill.Replace(body)))
	r.URL.RawQuery = fill.Replace(query)
	r.Header["Content-Type"] = []string{contentType}
	if authorization != "" {
		r.Header["Authorization"] = []string{fill.Replace(authorization)}
	}
	rw := httptest.NewRecorder()
	z.server.Token().ServeHTTP(rw, r)
	var members map[string]any
	if err := json.Unmarshal(rw.Body.Bytes(), &members); err != nil {
		t.Fatalf("not JSON: %q", rw.Body)
	}
	if rw.Header().Get("Cache-Control") != "no-store" || rw.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("headers: %v", rw.Header())
	}
	if strings.Contains(rw.Body.String(), z.secret) {
		t.Fatal("the secret is in the answer")
	}
	code, refused := members["error"].(string)
	_, granted := members["access_token"].(string)
	switch {
	case rw.Code == http.StatusOK && granted && !refused:
	case rw.Code == http.StatusBadRequest && refused && code != "invalid_client",
		rw.Code == http.StatusUnauthorized && code == "invalid_client" && rw.Header().Get("WWW-Authenticate") != "",
		rw.Code == http.StatusRequestEntityTooLarge && refused:
	default:
		t.Fatalf("%d %s", rw.Code, rw.Body)
	}
	return granted
}

// FuzzTokenForm tests that there is no panic, that every response is JSON that may
// not be cached, and that there is a token only for exactly one id and one secret,
// both right, in one place.
func FuzzTokenForm(f *testing.F) {
	z := newFuzzed(f)
	good := "grant_type=client_credentials&client_id=KEY&client_secret=SECRET"
	basicAuth := "Basic " + base64.StdEncoding.EncodeToString([]byte(z.id+":"+z.secret))
	for _, seed := range [][4]string{
		{form, good, "", ""}, {form, cc, "", basicAuth}, {form, good + "&scope=project.list", "", ""},
		{form, good, "", basicAuth}, {form, good, "", "Bearer x"}, {form, cc, "", strings.Replace(basicAuth, " ", "   ", 1)},
		{form + ";charset=us-ascii", good, "", ""}, {form + ";charset=latin1", good + "&a=%C3%A9", "", ""}, {form, good + "&a=1&a=2", "", ""}, {form, good + "&%zz", "", ""}, {form, strings.ReplaceAll(good, "&", ";"), "", ""},
		{form, "", good, ""}, {form, cc, "client_id=KEY&client_secret=SECRET", ""}, {form + ";charset=utf-8", good, "x=y", ""}, {"text/plain", good, "", ""},
		{form, "client%5Fid=KEY&client_secret=SECRET&grant_type=client_credentials", "", ""}, {form, good + "&scope=%22", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, contentType, body, query, authorization string) {
		if strings.Contains(contentType, "json") || !z.login(t, contentType, body, query, authorization) {
			return
		}
		// Another parser must have read the same credentials, and no others.
		fill := strings.NewReplacer("KEY", z.id, "SECRET", z.secret)
		values, err := url.ParseQuery(fill.Replace(body))
		if err != nil {
			t.Fatalf("net/url refuses what was accepted: %v", err)
		}
		for name, list := range values {
			if len(list) != 1 && name != "resource" {
				t.Fatalf("%q came %d times", name, len(list))
			}
		}
		id, secret := values.Get("client_id"), values.Get("client_secret")
		if scheme, rest, _ := strings.Cut(fill.Replace(authorization), " "); len(scheme) >= 5 && strings.EqualFold(scheme[:5], "Basic") {
			user, password, ok := (&http.Request{Header: http.Header{"Authorization": {scheme + " " + strings.TrimLeft(rest, " ")}}}).BasicAuth()
			user, errU := url.QueryUnescape(user)
			password, errP := url.QueryUnescape(password)
			if !ok || errU != nil || errP != nil || secret != "" || id != "" && id != user {
				t.Fatal("a token for two ways to authenticate, or for a malformed one")
			}
			id, secret = user, password
		}
		if id != z.id || secret != z.secret || values.Get("grant_type") != "client_credentials" {
			t.Fatalf("a token for %q", values)
		}
	})
}

// FuzzTokenJSON tests that there is a token only for an object that encoding/json,
// which uses the last of two members and ignores case, reads in the same way.
func FuzzTokenJSON(f *testing.F) {
	z := newFuzzed(f)
	for _, seed := range []string{
		`{"clientId":"KEY","clientSecret":"SECRET"}`, `{"client_id":"KEY","client_secret":"SECRET","scope":"project.list"}`,
		`{"clientId":"KEY","clientSecret":"bad","CLIENTSECRET":"SECRET"}`, `{"clientId":"KEY","clientSecret":"SECRET","clientSecret":"bad"}`,
		`{"clientId":"KEY","clientSecret":"SECRET","a":{"b":[1,2,{"c":null}]}}`, `[]`, `null`, `{"clientId\u0000":"KEY"}`, "\xef\xbb\xbf{}",
		`{"clientId":"KEY","client_id":"KEY","clientSecret":"SECRET"}`, `{"clientId":"KEY","clientſecret":"SECRET"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if !z.login(t, "application/json", body, "", "") {
			return
		}
		var members struct {
			ID          *string `json:"clientId"`
			OtherID     *string `json:"client_id"`
			Secret      *string `json:"clientSecret"`
			OtherSecret *string `json:"client_secret"`
		}
		if err := json.Unmarshal([]byte(strings.NewReplacer("KEY", z.id, "SECRET", z.secret).Replace(body)), &members); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
		for _, pair := range [][2]*string{{members.ID, members.OtherID}, {members.Secret, members.OtherSecret}} {
			if (pair[0] == nil) == (pair[1] == nil) {
				t.Fatal("a member is missing or given twice")
			}
		}
		for _, id := range []*string{members.ID, members.OtherID} {
			if id != nil && *id != z.id {
				t.Fatalf("a token for %q", *id)
			}
		}
		for _, secret := range []*string{members.Secret, members.OtherSecret} {
			if secret != nil && *secret != z.secret {
				t.Fatal("a token for another secret")
			}
		}
	})
}

// FuzzBasic tests that an encoded id and secret are read back, and are refused
// unless they are the key's.
func FuzzBasic(f *testing.F) {
	z := newFuzzed(f)
	for _, seed := range [][2]string{{"KEY", "SECRET"}, {"a:b", "c+d %"}, {"", ""}, {"\x00", "\xff"}, {"KEY", ""}, {"é", "\u202e"}} {
		f.Add(seed[0], seed[1], true)
		f.Add(seed[0], seed[1], false)
	}
	fill := strings.NewReplacer("KEY", z.id, "SECRET", z.secret)
	f.Fuzz(func(t *testing.T, id, secret string, encode bool) {
		id, secret = fill.Replace(id), fill.Replace(secret)
		text := id + ":" + secret
		if encode {
			text = url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		}
		got := z.login(t, form, cc, "", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
		want := id == z.id && secret == z.secret
		if !encode { // sent raw, it reads as another's encoding
			rawID, rawSecret, _ := strings.Cut(text, ":")
			a, errA := url.QueryUnescape(rawID)
			b, errB := url.QueryUnescape(rawSecret)
			want = errA == nil && errB == nil && a == z.id && b == z.secret
		}
		if got != want {
			t.Fatalf("%q %q: %v, want %v", id, secret, got, want)
		}
	})
}
