package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// scanner is a secret scanner: it signs reports, and serves its public keys.
type scanner struct {
	*httptest.Server
	t       testing.TB
	key     *ecdsa.PrivateKey
	keys    atomic.Value // of http.HandlerFunc
	fetches atomic.Int64
}

func newScanner(t testing.TB) *scanner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	s := &scanner{t: t, key: key}
	s.serves(s.document("k1", &key.PublicKey, "k0", &key.PublicKey))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		s.keys.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *scanner) serves(document string) {
	s.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) })
}

func (s *scanner) answers(handler http.HandlerFunc) { s.keys.Store(handler) }

// document returns the document of public keys, in the form of GitHub's. keys are pairs
// of id and key.
func (s *scanner) document(keys ...any) string {
	type published struct {
		ID      string `json:"key_identifier"`
		Key     string `json:"key"`
		Current bool   `json:"is_current"`
	}
	var all []published
	for i := 0; i < len(keys); i += 2 {
		text, isText := keys[i+1].(string)
		if !isText {
			der, err := x509.MarshalPKIXPublicKey(keys[i+1].(crypto.PublicKey))
			require.NoError(s.t, err)
			text = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		}
		all = append(all, published{keys[i].(string), text, i == 0})
	}
	document, err := json.Marshal(map[string]any{"public_keys": all, "more": true})
	require.NoError(s.t, err)
	return string(document)
}

// sign returns the headers of a report.
func (s *scanner) sign(body string) []string {
	sum := sha256.Sum256([]byte(body))
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	if err != nil { // not require: a fuzz target must not use the testing.F
		panic(err)
	}
	return []string{
		"Content-Type", "application/json",
		"Github-Public-Key-Identifier", "k1", "Github-Public-Key-Signature", base64.StdEncoding.EncodeToString(signature),
	}
}

const somewhere = "https://github.com/octocat/hello/blob/1/.env"

// reportOf returns the body of a report.
func reportOf(secrets ...string) string {
	all := []map[string]string{}
	for _, secret := range secrets {
		all = append(all, map[string]string{"token": secret, "type": "my_secret", "url": somewhere, "source": "commit"})
	}
	body, _ := json.Marshal(all)
	return string(body)
}

// labelsOf returns the labels of the answer by the hash of the secret.
func labelsOf(a answer) map[string]string {
	var labels []struct {
		Hash  string `json:"token_hash"`
		Type  string `json:"token_type"`
		Label string `json:"label"`
	}
	a.Into(&labels)
	byHash := map[string]string{}
	for _, l := range labels {
		byHash[l.Hash] = l.Type + " " + l.Label
	}
	require.Len(a.T, byHash, len(labels))
	return byHash
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// leaks is a world with a scanner.
type leaks struct {
	*world
	scanner *scanner
	handler http.Handler
	hooked  []apikey.Leak
	hookErr error
}

func newLeaks(t testing.TB, configure func(*oauth.LeakConfig), changes ...func(*setup)) *leaks {
	t.Helper()
	l := &leaks{world: newWorld(t, changes...), scanner: newScanner(t)}
	cfg := oauth.LeakConfig{KeysURL: l.scanner.URL, Hook: func(_ context.Context, leak apikey.Leak) error {
		l.hooked = append(l.hooked, leak)
		return l.hookErr
	}}
	if configure != nil {
		configure(&cfg)
	}
	var err error
	l.handler, err = l.LeakReports(cfg)
	require.NoError(t, err)
	return l
}

// report sends a signed report.
func (l *leaks) report(body string) answer { return l.send(body, l.scanner.sign(body)...) }

func (l *leaks) send(body string, headers ...string) answer {
	a := harness.Serve(l.handler, harness.Incoming(http.MethodPost, "/leaks", body, headers...))
	a.T = l.t
	return a
}

// unknownSecret returns a well-formed secret that no key has.
func unknownSecret() string {
	secret, err := secrets.New(rand.Reader, "")
	if err != nil {
		panic(err)
	}
	return secret.Reveal()
}

func (l *leaks) events() []store.Event {
	page, err := l.APIKeys().Events(l.t.Context(), admin, store.EventQuery{Action: audit.Leak})
	require.NoError(l.t, err)
	return page.Events
}

// TestLeakReports tests what a report does.
func TestLeakReports(t *testing.T) {
	t.Parallel()
	t.Run("B33 a real secret ends before the answer", func(t *testing.T) {
		l := newLeaks(t, nil)
		token := l.login(l.key.ID, l.secret)
		unknown, malformed := unknownSecret(), l.secret[:len(l.secret)-1]
		a := l.report(reportOf(l.secret, unknown, malformed)).Wants(http.StatusOK)
		require.Equal(t, map[string]string{
			hashOf(l.secret): "my_secret true_positive", hashOf(unknown): "my_secret false_positive", hashOf(malformed): "my_secret false_positive",
		}, labelsOf(a))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.NotContains(t, a.Body, l.secret)
		require.Equal(t, http.StatusUnauthorized, l.call(token))
		require.Equal(t, []apikey.Leak{{
			Scanner: "127.0.0.1", URL: somewhere, Source: "commit", Key: l.key.ID, Workspace: "team-a",
			SecretID: l.key.Credentials[0].ID, Hint: l.key.Credentials[0].Hint,
		}}, l.hooked)
		require.Len(t, l.events(), 1)
		require.Equal(t, somewhere+" commit", l.events()[0].Note)
	})
	t.Run("B33 a replayed report changes nothing", func(t *testing.T) {
		l := newLeaks(t, nil)
		body := reportOf(l.secret, l.secret)
		headers := l.scanner.sign(body)
		for range 3 {
			a := l.send(body, headers...).Wants(http.StatusOK)
			require.Equal(t, map[string]string{hashOf(l.secret): "my_secret true_positive"}, labelsOf(a), "repeated entries count once")
		}
		require.Len(t, l.events(), 1)
		require.Len(t, l.hooked, 3)
		key, err := l.APIKeys().Get(t.Context(), admin, l.key.ID)
		require.NoError(t, err)
		require.Equal(t, l.key.Version+1, key.Version)
	})
	t.Run("B33 report only", func(t *testing.T) {
		l := newLeaks(t, func(c *oauth.LeakConfig) { c.NoteOnly = true })
		token := l.login(l.key.ID, l.secret)
		for range 2 {
			l.report(reportOf(l.secret)).Wants(http.StatusOK)
		}
		require.Equal(t, http.StatusOK, l.call(token))
		l.login(l.key.ID, l.secret)
		require.Len(t, l.events(), 1)
		require.True(t, l.hooked[0].NoteOnly)
	})
	t.Run("B33 a hook that fails, and then works", func(t *testing.T) {
		l := newLeaks(t, nil)
		_, other := l.newKey("team-b", "project.list")
		l.hookErr = errors.New("the mail server is down")
		a := l.report(reportOf(l.secret, other))
		l.refused(a, http.StatusServiceUnavailable, "temporarily_unavailable")
		require.Len(t, l.hooked, 2, "one failure does not keep the hook from the next")
		require.Contains(t, l.log.String(), "the mail server is down")
		l.world.refused(l.post("grant_type=client_credentials", basic(l.key.ID, l.secret)...), http.StatusUnauthorized, "invalid_client")
		l.hookErr = nil
		l.report(reportOf(l.secret, other)).Wants(http.StatusOK)
		require.Len(t, l.hooked, 4)
		require.Equal(t, l.hooked[0], l.hooked[2])
		require.Len(t, l.events(), 2)
	})
	t.Run("B33 other types are not looked up and get no label", func(t *testing.T) {
		l := newLeaks(t, func(c *oauth.LeakConfig) { c.Types = []string{"other"} })
		a := l.report(reportOf(l.secret)).Wants(http.StatusOK)
		require.JSONEq(t, "[]", a.Body)
		require.Empty(t, l.events())
		require.Empty(t, l.hooked)
	})
	t.Run("B33 an entry with a token alone", func(t *testing.T) {
		l := newLeaks(t, nil)
		l.report(`[{"token":"` + l.secret + `","url":null,"further":{"a":1}}]`).Wants(http.StatusOK)
		require.Len(t, l.hooked, 1)
	})
	t.Run("B33 the store is out", func(t *testing.T) {
		var tap storetest.Tap
		l := newLeaks(t, nil, func(s *setup) { s.store = tap.Over(memstore.New()) })
		tap.Before(func(_ context.Context, call string) error {
			if call == "Keys.Update" {
				return store.ErrUnavailable
			}
			return nil
		})
		l.refused(l.report(reportOf(l.secret)), http.StatusServiceUnavailable, "temporarily_unavailable")
		require.Empty(t, l.hooked)
		tap.Before(nil)
		l.report(reportOf(l.secret)).Wants(http.StatusOK)
		require.Len(t, l.hooked, 1)
	})
	t.Run("B33 the scanner closes the connection", func(t *testing.T) {
		l := newLeaks(t, nil)
		body := reportOf(l.secret)
		r := harness.Incoming(http.MethodPost, "/leaks", body, l.scanner.sign(body)...)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		harness.Serve(l.handler, r.WithContext(ctx))
		require.Len(t, l.hooked, 1, "the work is done nevertheless")
	})
}

// TestLeakReportsBounds counts the work of the largest report.
func TestLeakReportsBounds(t *testing.T) {
	t.Parallel()
	var tap storetest.Tap
	l := newLeaks(t, nil, func(s *setup) { s.store = tap.Over(memstore.New()) })
	found := make([]string, 10_000)
	for n := range found {
		switch n % 4 {
		case 0:
			found[n] = unknownSecret()
		case 1:
			found[n] = found[n-1] // repeated
		case 2:
			found[n] = unknownSecret()[1:]
		default:
			found[n] = "ghp_" + unknownSecret()
		}
	}
	found[9_999] = l.secret
	body := reportOf(found...)
	require.Less(t, len(body), 4<<20)
	tap.Take()
	labels := labelsOf(l.report(body).Wants(http.StatusOK))
	require.Len(t, labels, 7_500)
	require.Equal(t, map[string]int{"Secrets.LookupSecret": 2_501, "Keys.Lookup": 1, "Keys.Update": 1}, tap.Take(),
		"B33 one read for each well-formed secret, and a write for the real one")
	require.Len(t, l.hooked, 1)

	for name, body := range map[string]string{
		"B33 10,001 entries": reportOf(append(slices.Clone(found), l.secret)...),
		"B33 over 4 MiB":     reportOf(strings.Repeat("x", 4<<20)),
	} {
		a := l.report(body)
		l.refused(a, http.StatusRequestEntityTooLarge, "invalid_request")
		require.Contains(t, a.Description(), "4 MiB", name)
	}
	require.Empty(t, tap.Take())
}

// TestLeakReportRefusals tests that nothing is done for a report that the scanner has
// not signed as it stands.
func TestLeakReportRefusals(t *testing.T) {
	t.Parallel()
	l := newLeaks(t, nil)
	body := reportOf(l.secret)
	signed := func(name, value string) []string {
		headers := l.scanner.sign(body)
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == name {
				headers[i+1] = value
			}
		}
		return headers
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	another := &scanner{t: t, key: other}
	malformed := func(body string) (string, []string) { return body, l.scanner.sign(body) }
	const id, signature = "Github-Public-Key-Identifier", "Github-Public-Key-Signature"
	type request struct {
		method, target, body string
		headers              []string
	}
	post := func(body string, headers []string) request { return request{"POST", "/leaks", body, headers} }
	for _, tc := range []struct {
		name    string
		request request
		status  int
	}{
		{"B33 GET", request{"GET", "/leaks", body, l.scanner.sign(body)}, 405},
		{"B33 a secret in the URL", request{"POST", "/leaks?token=x", body, l.scanner.sign(body)}, 400},
		{"B33 no signature", post(body, l.scanner.sign(body)[:4]), 403},
		{"B33 no key id", post(body, append(l.scanner.sign(body)[:2], l.scanner.sign(body)[4:]...)), 403},
		{"B33 two signatures", post(body, append(l.scanner.sign(body), signature, l.scanner.sign(body)[5])), 403},
		{"B33 two key ids", post(body, append(l.scanner.sign(body), id, "k1")), 403},
		{"B33 an unknown key id", post(body, signed(id, "k2")), 403},
		{"B33 an empty key id", post(body, signed(id, "")), 403},
		{"B33 another scanner's signature", post(body, another.sign(body)), 403},
		{"B33 no Base64", post(body, signed(signature, "*")), 403},
		{"B33 an empty signature", post(body, signed(signature, "")), 403},
		{"B33 a signature with line breaks", post(body, signed(signature, l.scanner.sign(body)[5]+"====")), 403},
		{"B33 of another body", post(body, l.scanner.sign(reportOf(unknownSecret()))), 403},
		{"B33 one space more", post(body+" ", l.scanner.sign(body)), 403},
		{"B33 unsigned and malformed", post("no JSON", l.scanner.sign(body)), 403},
		{"B33 no JSON", post(malformed("no JSON")), 400},
		{"B33 null", post(malformed("null")), 400},
		{"B33 an object", post(malformed(`{"token":"` + l.secret + `"}`)), 400},
		{"B33 of texts", post(malformed(`["` + l.secret + `"]`)), 400},
		{"B33 a number as token", post(malformed(`[{"token":1}]`)), 400},
		{"B33 no token", post(malformed(`[{"token":"` + unknownSecret() + `"},{"type":"x"}]`)), 400},
		{"B33 two tokens", post(malformed(`[{"token":"` + l.secret + `","token":"x"}]`)), 400},
		{"B33 a token in another case", post(malformed(`[{"token":"` + l.secret + `","Token":"x"}]`)), 400},
		{"B33 something after it", post(malformed(body + "[]")), 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := *l
			l.world = l.at(t)
			a := harness.Serve(l.handler, harness.Incoming(tc.request.method, tc.request.target, tc.request.body, tc.request.headers...))
			code := "invalid_request"
			if tc.status == 403 {
				code = "access_denied"
			}
			l.refused(a, tc.status, code)
		})
	}
	require.Empty(t, l.hooked)
	require.Empty(t, l.events())
	l.login(l.key.ID, l.secret)
	require.EqualValues(t, 1, l.scanner.fetches.Load(), "B33 unknown key ids cause one fetch a minute")
	l.report(body).Wants(http.StatusOK)
}
