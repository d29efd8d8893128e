package gooauth2_test

import (
	"context"
	"errors"
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
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	"github.com/stretchr/testify/require"
	xoauth2 "golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
)

// hostTokens is a host's token store, as its own drivers keep one.
type hostTokens struct{ kept sync.Map } // models.Token by kind and value

func (h *hostTokens) Create(_ context.Context, info oauth2.TokenInfo) error {
	token := *info.(*models.Token)
	for kind, value := range map[string]string{"code ": token.Code, "access ": token.Access, "refresh ": token.Refresh} {
		if value != "" {
			h.kept.Store(kind+value, token)
		}
	}
	return nil
}

func (h *hostTokens) remove(key string) error {
	h.kept.Delete(key)
	return nil
}

func (h *hostTokens) get(key string) (oauth2.TokenInfo, error) {
	if found, ok := h.kept.Load(key); ok {
		token := found.(models.Token)
		return &token, nil
	}
	return nil, nil
}

func (h *hostTokens) RemoveByCode(_ context.Context, code string) error {
	return h.remove("code " + code)
}

func (h *hostTokens) RemoveByAccess(_ context.Context, access string) error {
	return h.remove("access " + access)
}

func (h *hostTokens) RemoveByRefresh(_ context.Context, refresh string) error {
	return h.remove("refresh " + refresh)
}

func (h *hostTokens) GetByCode(_ context.Context, code string) (oauth2.TokenInfo, error) {
	return h.get("code " + code)
}

func (h *hostTokens) GetByAccess(_ context.Context, access string) (oauth2.TokenInfo, error) {
	return h.get("access " + access)
}

func (h *hostTokens) GetByRefresh(_ context.Context, refresh string) (oauth2.TokenInfo, error) {
	return h.get("refresh " + refresh)
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
	h := &host{tokens: &hostTokens{}, clients: &hostClients{clients: map[string]oauth2.ClientInfo{
		"app":      &models.Client{ID: "app", Secret: appSecret, Domain: "https://app.example.com"},
		"careless": &models.Client{ID: "careless", Domain: "https://app.example.com"},
	}}}
	h.stock = newStock(t, func(c *oauth.Config) {
		c.Now = func() time.Time { return time.Now().Add(h.ahead) }
		c.APIKeys = apikey.Options{Imported: true, Workspaces: func(context.Context, string) (bool, error) { return true, h.workspaces }}
		c.Policy = policy.TokenFunc(func(ctx context.Context, r *policy.TokenRequest) error {
			if h.addresses != nil {
				return policy.AllowAddresses(h.addresses...).CheckToken(ctx, r)
			}
			return h.verdict
		})
	})
	h.manager.MapClientStorage(gooauth2.NewClientStore(h.APIKeys(), h.clients))
	h.manager.MapAccessGenerate(gooauth2.NewAccessGenerate(h.APIKeys(), h.Sign, generates.NewAccessGenerate()))
	h.manager.MapTokenStorage(gooauth2.NewTokenStore(h.tokens))
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
func (h *host) authorize(t *testing.T, query string) string {
	t.Helper()
	return harness.Send(t, http.MethodGet, query, "").Header.Get("Location")
}

func (h *host) code(t *testing.T, cfg *xoauth2.Config, verifier string) string {
	t.Helper()
	location := harness.Send(t, http.MethodGet, cfg.AuthCodeURL("state", xoauth2.S256ChallengeOption(verifier)), "").
		Wants(http.StatusFound).Header.Get("Location")
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
	body := h.post(t, values).Wants(status).Body
	require.Contains(t, body, `"`+code+`"`)
	require.NotContains(t, body, "access_token")
}
