package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestLargeBody(t *testing.T) {
	w := newTestBackend(t)
	token := w.login(t, w.key(t, "admin", "*", ""))
	large := keyBody("team-a", `,"permissions":[],"padding":"`+strings.Repeat("x", 64<<10)+`"`)
	got := w.call(t, token, http.MethodPost, keysPath, large)
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	require.JSONEq(t, `{"message":"The body is larger than 64 KiB or incomplete."}`, string(got.body))
}

// TestExpiryOfTheCreator: a key with an expiry creates keys that expire no later. If the
// requested expiry would have to be changed, the request is refused.
func TestExpiryOfTheCreator(t *testing.T) {
	w := newTestBackend(t)
	creator := w.login(t, w.key(t, "team-a", "APIKEY_LIST APIKEY_SAVE", "2026-12-31"))
	got := w.call(t, creator, http.MethodPost, keysPath, keyBody("team-a", `,"permissions":[]`))
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.JSONEq(t, `{"message":"A key expires with the key that created it: set spec.expiresAt to 2026-12-31 or an earlier date."}`, string(got.body))
	got = w.call(t, creator, http.MethodPost, keysPath, keyBody("team-a", `,"permissions":[],"expiresAt":"2027-01-01"`))
	require.Equal(t, http.StatusForbidden, got.status)
	require.JSONEq(t, `{"message":"The key would outlive the acting key, or what it logged in with; give it an earlier expiry."}`, string(got.body))
	page, err := w.srv.APIKeys().List(t.Context(), host(), store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 1, "a refused request creates no key")

	k := w.made(t, creator, "team-a", `,"permissions":[],"expiresAt":"2026-12-31"`)
	got = w.call(t, creator, http.MethodPut, keysPath+"/"+k.Metadata.UUID, keyBody("team-a", `,"permissions":[]`))
	require.Equal(t, http.StatusForbidden, got.status, "a PUT may not remove the expiry either")
}

// TestQuotaRace: of many concurrent creations exactly the quota succeeds.
func TestQuotaRace(t *testing.T) {
	const quota, clients, each = 10, 8, 3
	w := newTestBackend(t)
	token := w.login(t, w.key(t, "admin", "*", ""))
	settings, err := w.srv.APIKeys().Settings(t.Context(), host())
	require.NoError(t, err)
	require.Equal(t, 100, settings.Rules.MaxKeys, "the default quota")
	settings.Rules.MaxKeys = quota
	_, err = w.srv.APIKeys().SaveSettings(t.Context(), host(), settings)
	require.NoError(t, err)

	var made, refused atomic.Int64
	var wg sync.WaitGroup
	unexpected := make(chan string, clients*each)
	for range clients {
		wg.Go(func() {
			for range each {
				got, err := send(t.Context(), http.MethodPost, w.url+keysPath, providerHeader(token), keyBody("team-a", `,"permissions":[]`))
				switch {
				case err == nil && got.status == http.StatusCreated:
					made.Add(1)
				case err == nil && got.status == http.StatusConflict && string(got.body) == `{"message":"This workspace may hold at most 10 keys."}`:
					refused.Add(1)
				default:
					unexpected <- fmt.Sprintf("%d %s %v", got.status, got.body, err)
				}
			}
		})
	}
	wg.Wait()
	close(unexpected)
	for text := range unexpected {
		require.Empty(t, text)
	}
	require.EqualValues(t, quota, made.Load())
	require.EqualValues(t, clients*each-quota, refused.Load())
	page, err := w.srv.APIKeys().List(t.Context(), host(), store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, page.Keys, quota)
}

// TestPutRace: with concurrent rotations, each answer holds the secret that was the newest when
// it was written. At the end one secret can log in.
func TestPutRace(t *testing.T) {
	w := newTestBackend(t)
	token := w.login(t, w.key(t, "admin", "*", ""))
	k := w.made(t, token, "team-a", `,"permissions":[]`)
	const clients = 16
	answers := make([]answer, clients)
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			answers[i], errs[i] = send(t.Context(), http.MethodPut, w.url+keysPath+"/"+k.Metadata.UUID, providerHeader(token), keyBody("team-a", fmt.Sprintf(`,"permissions":[],"expiresAt":"2099-01-%02d"`, i+1)))
		})
	}
	wg.Wait()
	live := 0
	for i, got := range answers {
		require.NoError(t, errs[i])
		if got.status != http.StatusOK {
			require.Equal(t, http.StatusConflict, got.status, "%s", got.body)
			continue
		}
		rotated := got.key(t)
		require.NotEmpty(t, rotated.Status.ClientSecret)
		if w.login(t, rotated.credentials()) != "" {
			live++
			now := w.call(t, token, http.MethodGet, keysPath+"/"+k.Metadata.UUID, "").key(t)
			require.Equal(t, rotated.Spec, now.Spec, "the answer with the valid secret also has the stored expiry")
		}
	}
	require.Equal(t, 1, live)
	require.Empty(t, w.login(t, k.credentials()))
}

// TestPutAfterAnotherChange: a PUT changes the same version of the key that it has read.
func TestPutAfterAnotherChange(t *testing.T) {
	var tap storetest.Tap
	w := newTestBackendOn(t, tap.Over(memstore.New()))
	token := w.login(t, w.key(t, "admin", "*", ""))
	k := w.made(t, token, "team-a", `,"permissions":[],"expiresAt":"2099-01-01"`)
	tap.After(func(call string, err error) error {
		if call == "Keys.Lookup" && err == nil {
			tap.After(nil)
			expiry, err := apikey.ParseExpiry("2099-02-02")
			require.NoError(t, err)
			_, err = w.srv.APIKeys().Update(t.Context(), host(), k.Metadata.UUID, apikey.Changes{Expiry: &expiry})
			require.NoError(t, err)
		}
		return err
	})
	path := keysPath + "/" + k.Metadata.UUID
	got := w.call(t, token, http.MethodPut, path, keyBody("team-a", `,"permissions":[],"expiresAt":"2099-01-01"`))
	require.Equal(t, http.StatusConflict, got.status, "%s", got.body)
	require.JSONEq(t, `{"message":"The key was changed at the same time. Try again."}`, string(got.body))
	require.NotEmpty(t, w.login(t, k.credentials()))
}

// TestManagement: the library's own API is served, and a key sees only what it may.
func TestManagement(t *testing.T) {
	w := newTestBackend(t)
	k := w.key(t, "team-a", "APIKEY_LIST", "")
	foreign := w.key(t, "team-b", "APIKEY_LIST", "")
	token := w.login(t, k)
	for path, want := range map[string]int{
		"/openapi.json":             http.StatusOK,
		"/workspaces/team-a/keys":   http.StatusOK,
		"/workspaces/team-b/keys":   http.StatusNotFound,
		"/keys":                     http.StatusForbidden,
		"/keys/" + k.ClientID:       http.StatusOK,
		"/keys/" + foreign.ClientID: http.StatusNotFound,
		"/settings":                 http.StatusForbidden,
	} {
		got := w.call(t, token, http.MethodGet, "/api/admin"+path, "")
		require.Equal(t, want, got.status, "%s: %s", path, got.body)
	}
	got := w.call(t, token, http.MethodGet, "/api/admin/workspaces/team-a/keys", "")
	require.Contains(t, string(got.body), k.ClientID)
	require.NotContains(t, string(got.body), foreign.ClientID, "a list never shows another workspace's keys")
	got = w.call(t, "", http.MethodGet, "/api/admin/workspaces/team-a/keys", "")
	require.Equal(t, http.StatusUnauthorized, got.status)
}

// TestLastUse: a login changes the key's last use after a flush.
func TestLastUse(t *testing.T) {
	w := newTestBackend(t)
	c := w.key(t, "team-a", "", "")
	w.clock.Advance(time.Hour)
	require.NotEmpty(t, w.login(t, c))
	require.NoError(t, w.srv.APIKeys().Flush(t.Context()))
	page, err := w.srv.APIKeys().List(t.Context(), host(), store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Equal(t, w.clock.Now(), page.Keys[0].LastUsed)
}

// TestNoSecretInLog: requests hold secrets, some in wrong places. The log holds none.
func TestNoSecretInLog(t *testing.T) {
	w := newTestBackend(t)
	admin := w.key(t, "admin", "*", "")
	token := w.login(t, admin)
	k := w.made(t, token, "team-a", `,"permissions":[]`)
	body := strings.Replace(keyBody("team-a", `,"permissions":[],"expiresAt":"2099-01-01"`), "lk_chosen_by_the_caller", k.Status.ClientSecret, 1)
	rotated := w.call(t, token, http.MethodPut, keysPath+"/"+k.Metadata.UUID, body).key(t)
	w.call(t, token, http.MethodPut, keysPath+"/"+k.Metadata.UUID, body+"nonsense")
	w.call(t, token, http.MethodPut, keysPath+"/"+k.Metadata.UUID, strings.Replace(body, `"ci"`, `{"a":"`+k.Status.ClientSecret+`"}`, 1))
	w.login(t, k.credentials())
	for _, secret := range []string{admin.ClientSecret, token, k.Status.ClientSecret, rotated.Status.ClientSecret} {
		require.NotEmpty(t, secret)
		require.NotContains(t, w.log.String(), secret)
	}
	require.NotContains(t, w.log.String(), "lk_")
}

func TestOutage(t *testing.T) {
	st := memstore.New()
	made := newTestBackendOn(t, st).key(t, "admin", "*", "")
	var tap storetest.Tap
	tap.Before(func(_ context.Context, call string) error {
		if call != "Keys.Create" {
			return nil
		}
		return fmt.Errorf("dial 192.0.2.1: refused: %w", store.ErrUnavailable)
	})
	w := newTestBackendOn(t, tap.Over(st))
	token := w.login(t, made)
	got := w.call(t, token, http.MethodPost, keysPath, keyBody("team-a", `,"permissions":[]`))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "1", got.header.Get("Retry-After"))
	require.JSONEq(t, `{"message":"The server cannot reach its database at the moment. Try again."}`, string(got.body))
	require.Contains(t, w.log.String(), "192.0.2.1", "the log holds the cause, unlike the answer")
}
