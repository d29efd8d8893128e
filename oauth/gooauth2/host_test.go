package gooauth2_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/generates"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	"github.com/stretchr/testify/require"
	xoauth2 "golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// hostTokens is a host's token store, as its own drivers keep one.
type hostTokens struct {
	mu                    sync.Mutex
	code, access, refresh map[string]models.Token
}

func newHostTokens() *hostTokens {
	return &hostTokens{code: map[string]models.Token{}, access: map[string]models.Token{}, refresh: map[string]models.Token{}}
}

func (h *hostTokens) Create(_ context.Context, info oauth2.TokenInfo) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	token := *info.(*models.Token)
	if token.Code != "" {
		h.code[token.Code] = token
		return nil
	}
	h.access[token.Access] = token
	if token.Refresh != "" {
		h.refresh[token.Refresh] = token
	}
	return nil
}

func (h *hostTokens) remove(from map[string]models.Token, key string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(from, key)
	return nil
}

func (h *hostTokens) get(from map[string]models.Token, key string) (oauth2.TokenInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	token, ok := from[key]
	if !ok {
		return nil, nil
	}
	return &token, nil
}

func (h *hostTokens) RemoveByCode(_ context.Context, code string) error {
	return h.remove(h.code, code)
}

func (h *hostTokens) RemoveByAccess(_ context.Context, access string) error {
	return h.remove(h.access, access)
}

func (h *hostTokens) RemoveByRefresh(_ context.Context, refresh string) error {
	return h.remove(h.refresh, refresh)
}

func (h *hostTokens) GetByCode(_ context.Context, code string) (oauth2.TokenInfo, error) {
	return h.get(h.code, code)
}

func (h *hostTokens) GetByAccess(_ context.Context, access string) (oauth2.TokenInfo, error) {
	return h.get(h.access, access)
}

func (h *hostTokens) GetByRefresh(_ context.Context, refresh string) (oauth2.TokenInfo, error) {
	return h.get(h.refresh, refresh)
}

// hostClients is a host's client store.
type hostClients struct {
	clients map[string]oauth2.ClientInfo
	asked   []string
	down    error
}

func (h *hostClients) GetByID(_ context.Context, id string) (oauth2.ClientInfo, error) {
	h.asked = append(h.asked, id)
	if h.down != nil {
		return nil, h.down
	}
	if client, ok := h.clients[id]; ok {
		return client, nil
	}
	return nil, errors.New("not found")
}

// host is a go-oauth2 server with users and clients of its own, and keys.
type host struct {
	*stock
	web     *server.Server
	clients *hostClients
	tokens  *hostTokens
	// workspaces and verdict are answers of the key service's hooks.
	workspaces error
	addresses  []netip.Prefix
	// ahead is how far the keys' clock is.
	ahead time.Duration
}

const (
	appSecret = "the app's own secret"
	callback  = "https://app.example.com/callback"
)

func newHost(t *testing.T, wrap bool) *host {
	t.Helper()
	h := &host{stock: &stock{}, tokens: newHostTokens(), clients: &hostClients{clients: map[string]oauth2.ClientInfo{
		"app":      &models.Client{ID: "app", Secret: appSecret, Domain: "https://app.example.com"},
		"careless": &models.Client{ID: "careless", Domain: "https://app.example.com"},
	}}}
	st := failing(&h.down)
	var err error
	h.Server, err = oauth.New(st, oauth.Config{
		Issuer: "https://api.example.com", Permissions: catalog, Logger: slog.New(slog.DiscardHandler), LoginTimeout: time.Minute,
		Now:  func() time.Time { return time.Now().Add(h.ahead) },
		Keys: apikey.Config{Imported: true, Workspaces: func(context.Context, string) error { return h.workspaces }},
		Policy: policy.TokenFunc(func(ctx context.Context, r *policy.TokenRequest) error {
			if h.addresses != nil {
				return policy.AllowAddresses(h.addresses...).CheckToken(ctx, r)
			}
			return h.verdict
		}),
	})
	require.NoError(t, err)
	h.key, h.secret = h.newKey(t, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: catalog.All()})

	h.manager = manage.NewDefaultManager()
	h.manager.MapClientStorage(gooauth2.NewClientStore(h.Keys()).Beside(h.clients))
	h.manager.MapAccessGenerate(gooauth2.NewAccessGenerate(h.Keys(), h.Sign).Beside(generates.NewAccessGenerate()))
	h.manager.MapTokenStorage(gooauth2.TokenStore{Next: h.tokens})
	var manager oauth2.Manager = h.manager
	if wrap {
		manager = gooauth2.Manager{Manager: manager, ClientAddr: oauth.BehindProxies(netip.MustParsePrefix("127.0.0.1/32"))}
	}
	h.web = server.NewDefaultServer(manager)
	h.web.SetClientInfoHandler(server.ClientFormHandler)
	h.web.SetUserAuthorizationHandler(func(http.ResponseWriter, *http.Request) (string, error) { return "ursula", nil })
	h.web.SetPasswordAuthorizationHandler(func(context.Context, string, string, string) (string, error) { return "ursula", nil })
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { _ = h.web.HandleTokenRequest(w, r) })
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		if err := h.web.HandleAuthorizeRequest(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	listening := httptest.NewServer(mux)
	t.Cleanup(listening.Close)
	h.url = listening.URL + "/token"
	return h
}

func (h *host) newKey(t *testing.T, spec apikey.Spec) (store.Key, string) {
	t.Helper()
	key, secret, err := h.Keys().Create(t.Context(), admin, spec)
	require.NoError(t, err)
	return key, secret.Reveal()
}

// app is a client of the host's, for users.
func (h *host) app() *xoauth2.Config {
	return &xoauth2.Config{
		ClientID: "app", ClientSecret: appSecret, RedirectURL: callback, Scopes: []string{"profile"},
		Endpoint: xoauth2.Endpoint{
			AuthURL: strings.TrimSuffix(h.url, "/token") + "/authorize", TokenURL: h.url, AuthStyle: xoauth2.AuthStyleInParams,
		},
	}
}

// authorize asks for a code and returns where the user is sent.
func (h *host) authorize(t *testing.T, query string) (status int, location string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, query, nil)
	require.NoError(t, err)
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Location")
}

func (h *host) code(t *testing.T, cfg *xoauth2.Config, verifier string) string {
	t.Helper()
	status, location := h.authorize(t, cfg.AuthCodeURL("state", xoauth2.S256ChallengeOption(verifier)))
	require.Equal(t, http.StatusFound, status)
	to, err := url.Parse(location)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(location, callback), location)
	require.NotEmpty(t, to.Query().Get("code"), location)
	return to.Query().Get("code")
}

// validate is what a host's own routes do.
func (h *host) validate(t *testing.T, access string) (oauth2.TokenInfo, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+access)
	return h.web.ValidationBearerToken(r)
}

func (h *host) refused(t *testing.T, values url.Values, status int, code string) {
	t.Helper()
	got, body := h.post(t, values)
	require.Equal(t, status, got, body)
	require.Contains(t, body, `"`+code+`"`)
	require.NotContains(t, body, "access_token")
}
