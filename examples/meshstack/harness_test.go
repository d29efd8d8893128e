package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// records is a log that a test can read.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *records) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *records) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// testBackend is the backend, served on a loopback port.
type testBackend struct {
	srv   *oauth.Server
	store store.Store
	url   string
	clock *oauthtest.Clock
	log   *records
}

func newTestBackend(t *testing.T) *testBackend { return newTestBackendOn(t, memstore.New()) }

func newTestBackendOn(t *testing.T, st store.Store) *testBackend {
	t.Helper()
	w := &testBackend{store: st, clock: &oauthtest.Clock{}, log: &records{}}
	w.clock.Set(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	s := &secrets{}
	for i := range s {
		s[i] = byte(i + 1) // the same for all backends on one store
	}
	srv, routes, err := newBackend(st, oauth.Config{
		Issuer:       "https://mesh.example.com",
		LoginTimeout: time.Minute, // so that a busy machine does not look like an outage
		Logger:       slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:          w.clock.Now,
	}, parseWorkspaces("team-a,team-b"), s, false)
	require.NoError(t, err)
	web := httptest.NewServer(routes)
	t.Cleanup(web.Close)
	w.srv, w.url = srv, web.URL
	return w
}

// key creates a key as an administrator.
func (w *testBackend) key(t *testing.T, workspace, permissions, expires string) credentials {
	t.Helper()
	set, err := scope.Parse(permissions)
	require.NoError(t, err)
	if permissions == "*" {
		set = w.srv.APIKeys().Catalog().All()
	}
	expiry, err := apikey.ParseExpiry(expires)
	require.NoError(t, err)
	key, secret, err := w.srv.APIKeys().Create(t.Context(), host(), apikey.Spec{
		Workspace: workspace, Name: "test", Permissions: set, Expiry: expiry,
	})
	require.NoError(t, err)
	return credentials{key.ID, secret.Reveal()}
}

// answer is a complete answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func send(ctx context.Context, method, url string, header http.Header, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewBufferString(body))
	if err != nil {
		return answer{}, err
	}
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, text}, err
}

// login exchanges credentials for a token, which is empty if they are refused.
func (w *testBackend) login(t *testing.T, c credentials) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"clientId": c.ClientID, "clientSecret": c.ClientSecret})
	require.NoError(t, err)
	var got answer
	for range 20 { // on a busy machine a login may time out: try again, as the provider does
		got, err = send(t.Context(), http.MethodPost, w.url+"/api/login", http.Header{"Content-Type": {"application/json"}}, string(body))
		require.NoError(t, err)
		if got.status != http.StatusServiceUnavailable {
			break
		}
	}
	require.Equal(t, "no-store", got.header.Get("Cache-Control"), "the answer to a login may never be cached")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(got.body, &token))
	require.Equal(t, got.status == http.StatusOK, token.AccessToken != "")
	return token.AccessToken
}

// providerHeader returns the headers of the provider's requests.
func providerHeader(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}, "Accept": {keyMedia}, "Content-Type": {keyMedia}}
}

// call sends a request as the provider does.
func (w *testBackend) call(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	got, err := send(t.Context(), method, w.url+path, providerHeader(token), body)
	require.NoError(t, err)
	return got
}

// made creates a key over HTTP and returns the answer.
func (w *testBackend) made(t *testing.T, token, workspace, rest string) keyAnswer {
	t.Helper()
	got := w.call(t, token, http.MethodPost, keysPath, keyBody(workspace, rest))
	require.Equal(t, http.StatusCreated, got.status, "%s", got.body)
	return got.key(t)
}

const keysPath = "/api/meshobjects/meshapikeys"

// keyBody returns a request body with the key's workspace and other members of its spec.
func keyBody(workspace, rest string) string {
	return `{"apiVersion":"v1-preview","kind":"meshApiKey","metadata":{"ownedByWorkspace":"` + workspace +
		`"},"spec":{"displayName":"ci"` + rest + `},"status":{"clientId":"x","clientSecret":"lk_chosen_by_the_caller"}}`
}

func (a answer) key(t *testing.T) keyAnswer {
	t.Helper()
	var k keyAnswer
	require.NoError(t, json.Unmarshal(a.body, &k), "%s", a.body)
	return k
}

func (k keyAnswer) credentials() credentials {
	return credentials{k.Status.ClientID, k.Status.ClientSecret}
}
