package oauth_test

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// decisions collects what an Observer gets.
type decisions struct {
	mu   sync.Mutex
	list []observe.Decision
}

func (d *decisions) add(_ context.Context, one observe.Decision) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, one)
}

// take returns what was seen since the last call.
func (d *decisions) take() []observe.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.list
	d.list = nil
	return list
}

// observed returns a world whose decisions are collected.
func observed(t *testing.T, changes ...func(*setup)) (*world, *decisions) {
	seen := &decisions{}
	return newWorld(t, append(changes, func(s *setup) {
		show := s.config.Observer
		s.config.Observer = func(ctx context.Context, d observe.Decision) {
			show(ctx, d)
			seen.add(ctx, d)
		}
	})...), seen
}

// TestEveryEndpointIsObserved tests each endpoint of Routes with each outcome. An
// endpoint that this test does not know fails it.
func TestEveryEndpointIsObserved(t *testing.T) {
	t.Parallel()
	uses := map[string]observe.Use{"/api/login": observe.Login, "/api/revoke": observe.Revocation, "/api/introspect": observe.Introspection}
	local := netip.MustParseAddr("127.0.0.1")
	var denial error
	fresh := func(t *testing.T) (*world, *decisions, func(error)) {
		denial = nil
		st, tapped := harness.NewTap()
		w, seen := observed(t, func(s *setup) {
			s.store = st
			s.config.AuthorizationPath = "/api/authorize"
			s.config.Resource = "https://api.example.com/v1"
			s.config.OpenIDAlias = true
			s.config.APIKeys.Budgets = apikey.Budgets{PerAddressAndKey: 1}
			s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return denial })
		})
		return w, seen, func(err error) { tapped.Before(func(context.Context, string) error { return err }) }
	}
	first, _, _ := fresh(t)
	for _, path := range slices.Sorted(maps.Keys(first.Routes())) {
		use, credential := uses[path]
		if !credential {
			t.Run(path+" takes no credential", func(t *testing.T) {
				w, seen, _ := fresh(t)
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					w.send(method, path, "client_id=x&client_secret=y", "Content-Type", form)
				}
				require.Empty(t, seen.take())
				require.True(t, strings.Contains(path, ".well-known") || path == "/api/authorize", "a new endpoint: say here what its Observer gets")
			})
			continue
		}
		for _, tc := range []struct {
			name   string
			do     func(w *world, fail func(error))
			id     string // "": the key's
			secret func(w *world) string
			reason string
			proved bool
			only   observe.Use // "": all
		}{
			{"accepted", nil, "", nil, "", true, ""},
			{"an unknown id", nil, "no-such-key", nil, "unknown_or_wrong", false, ""},
			{"an id that is no id", nil, "a b\r\nü" + strings.Repeat("x", 29), nil, "malformed_secret", false, ""},
			{"a wrong secret", nil, "", func(w *world) string { return typo(w.secret) }, "malformed_secret", false, ""},
			{"another key's secret", nil, "", func(w *world) string { _, secret := w.newKey("team-b", ""); return secret }, "unknown_or_wrong", false, ""},
			{"no secret", nil, "", func(*world) string { return "" }, "malformed_secret", false, ""},
			{"throttled", func(w *world, _ func(error)) {
				_, other := w.newKey("team-b", "")
				w.post(cc, basic(w.key.ID, other)...)
			}, "", func(w *world) string { _, secret := w.newKey("team-b", ""); return secret }, "throttled", false, ""},
			{"disabled", func(w *world, _ func(error)) {
				_, err := w.APIKeys().Disable(w.t.Context(), admin, w.key.ID, 0)
				require.NoError(w.t, err)
			}, "", nil, "disabled", true, ""},
			{"expired", func(w *world, _ func(error)) {
				_, err := w.APIKeys().Update(w.t.Context(), admin, w.key.ID, apikey.Changes{Expiry: &apikey.Expiry{At: w.clock.Now().Add(time.Minute)}})
				require.NoError(w.t, err)
				w.clock.Advance(time.Hour)
			}, "", nil, "expired", true, ""},
			{"suspended", func(w *world, _ func(error)) {
				require.NoError(w.t, w.APIKeys().SetSuspended(w.t.Context(), admin, "team-a", true))
			}, "", nil, "suspended", true, ""},
			{"keys off", func(w *world, _ func(error)) {
				w.saveSettings(func(s *store.InstanceSettings) { s.KeysOff = true })
			}, "", nil, "keys_off", true, ""},
			{"the store is unavailable", func(_ *world, fail func(error)) { fail(store.ErrUnavailable) }, "", nil, "unavailable", false, ""},
			{"a policy", func(*world, func(error)) { denial = &policy.Denied{Rule: "no"} }, "", nil, "policy", true, observe.Login},
			{"a policy at introspection", func(*world, func(error)) { denial = &policy.Denied{Rule: "no"} }, "", nil, "policy", true, observe.Introspection},
			{"a policy cannot decide", func(*world, func(error)) { denial = store.ErrUnavailable }, "", nil, "unavailable", true, observe.Login},
		} {
			if tc.only != "" && tc.only != use {
				continue
			}
			t.Run(path+" "+tc.name, func(t *testing.T) {
				w, seen, fail := fresh(t)
				token, secret := w.login(w.key.ID, w.secret), w.secret
				if tc.secret != nil {
					secret = tc.secret(w)
				}
				if tc.do != nil {
					tc.do(w, fail)
				}
				id := w.key.ID
				want := observe.Decision{Time: w.clock.Now(), Use: use, Reason: tc.reason, ClientID: id, Address: local}
				if tc.id != "" {
					id, want.ClientID = tc.id, strings.NewReplacer("\r", "\ufffd", "\n", "\ufffd").Replace(tc.id)
				}
				if tc.proved {
					want.KeyID, want.Workspace, want.CredentialID = w.key.ID, "team-a", w.key.Credentials[0].ID
				}
				seen.take()
				body := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "token": {token}}
				w.send(http.MethodPost, path, body.Encode(), "Content-Type", form)
				require.Equal(t, []observe.Decision{want}, seen.take())
			})
		}
		for name, body := range map[string]string{
			"a malformed form": "client_id=%", "two of one parameter": "client_id=a&client_id=b", "a client assertion": cc + "&client_assertion=x&client_secret=y",
		} {
			t.Run(path+" is not observed before a credential is looked at: "+name, func(t *testing.T) {
				w, seen, _ := fresh(t)
				w.send(http.MethodPost, path, body, "Content-Type", form)
				require.Empty(t, seen.take())
			})
		}
	}
}

// TestGuardsAreObserved tests each outcome of a guarded route, and that the token
// that an introspection asks about is no credential.
func TestGuardsAreObserved(t *testing.T) {
	t.Parallel()
	w, seen := observed(t)
	other, otherSecret := w.newKey("team-b", "project.list")
	poor := w.login(other.ID, otherSecret)
	token := w.login(w.key.ID, w.secret)
	weak := w.send(http.MethodPost, "/api/login", w.grant("scope", "project.read"), "Content-Type", form).Token()
	const route = "GET /workspaces/{workspace}/projects"
	for _, tc := range []struct {
		name, authorization, reason string
		key                         apikey.Key
	}{
		{"accepted", "Bearer " + token, "", w.key},
		{"no token", "", "no_token", apikey.Key{}},
		{"another scheme", "Basic " + w.secret, "no_token", apikey.Key{}},
		{"malformed", "Bearer a b", "malformed_token", apikey.Key{}},
		{"a secret as a token", "Bearer " + w.secret, "invalid_token", apikey.Key{}},
		{"another signature", "Bearer " + token[:len(token)-4] + "AAAA", "invalid_token", apikey.Key{}},
		{"a permission is missing", "Bearer " + weak, "scope", w.key},
		{"another workspace", "Bearer " + poor, "workspace", other},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.at(t)
			seen.take()
			w.send(http.MethodGet, "/workspaces/team-a/projects?secret="+w.secret, "", "Authorization", tc.authorization)
			want := observe.Decision{
				Time: w.clock.Now(), Use: observe.Guard, Reason: tc.reason, KeyID: tc.key.ID, Workspace: tc.key.Workspace, Method: http.MethodGet, Route: route,
			}
			if tc.key.ID != "" {
				want.CredentialID = tc.key.Credentials[0].ID
			}
			require.Equal(t, []observe.Decision{want}, seen.take())
		})
	}
	t.Run("an introspection is one decision", func(t *testing.T) {
		w := w.at(t)
		w.ask("/api/introspect", w.key.ID, w.secret, token)
		list := seen.take()
		require.Len(t, list, 1)
		require.Equal(t, observe.Introspection, list[0].Use)
	})
	t.Run("revoked", func(t *testing.T) {
		w := w.at(t)
		w.ask("/api/revoke", w.key.ID, w.secret, token)
		seen.take()
		w.call(token)
		require.Equal(t, []observe.Decision{{
			Time: w.clock.Now(), Use: observe.Guard, Reason: "revoked", KeyID: w.key.ID, Workspace: "team-a", CredentialID: w.key.Credentials[0].ID, Method: http.MethodGet, Route: "GET /any",
		}}, seen.take())
	})
}

// TestObserverAtOnce counts decisions of concurrent requests.
func TestObserverAtOnce(t *testing.T) {
	t.Parallel()
	w, seen := observed(t, func(s *setup) { s.config.APIKeys.Budgets = apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1} })
	const callers, each = 8, 20
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				serve(w.Token(), http.MethodPost, "/api/login", w.grant())
				serve(w.Token(), http.MethodPost, "/api/login", w.grant("client_id", "nobody"))
			}
		})
	}
	group.Wait()
	counted := map[string]int{}
	for _, d := range seen.take() {
		counted[d.Reason+" "+d.ClientID]++
	}
	require.Equal(t, map[string]int{" " + w.key.ID: callers * each, "unknown_or_wrong nobody": callers * each}, counted)
}

// TestAPanickingObserver tests that a panic grants nothing.
func TestAPanickingObserver(t *testing.T) {
	t.Parallel()
	panics := false
	w := newWorld(t, func(s *setup) {
		s.config.Observer = func(context.Context, observe.Decision) {
			if panics {
				panic("the host's mistake")
			}
		}
	})
	token := w.login(w.key.ID, w.secret)
	panics = true
	reached := false
	guarded := w.Require().AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	require.Panics(t, func() { serve(guarded, http.MethodGet, "/any", "", "Authorization", "Bearer "+token) })
	require.False(t, reached)
	require.Panics(t, func() { serve(w.Token(), http.MethodPost, "/api/login", w.grant()) })
	panics = false
	require.Equal(t, http.StatusOK, w.call(token), "the server goes on")
}
