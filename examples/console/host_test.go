package console_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/signin"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

var (
	noon    = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	catalog = scope.MustCatalog(
		scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list", Title: "List projects", Description: "See which projects there are, with their names and owners."},
			{Name: "project.save", Title: "Create and change projects", Description: "Make new projects, rename them and move them."},
			{Name: "project.delete", Title: "Delete projects"},
			{Name: "admin.project.list", Title: "List projects", Level: scope.Admin},
		}},
		scope.Group{Title: "Tenants", Permissions: []scope.Permission{
			{Name: "tenant.list", Title: "List tenants"},
			{Name: "tenant.save", Title: "Create and change tenants"},
			{Name: "tenant.delete", Title: "Delete tenants", Description: "With everything that runs in them."},
		}},
		scope.Group{Title: "Billing", Permissions: []scope.Permission{
			{Name: "payment.list", Title: "List payment methods"},
			{Name: "invoice.list", Title: "List invoices", Description: "Also those of former months."},
		}},
	)
	people = map[string]console.Person{
		"ada":  {Actor: apikey.OrganizationAdmin("ada"), Name: "Ada Admin", Workspaces: []string{"shop", "blog", "intern"}},
		"olga": {Actor: apikey.Owner("olga", "shop"), Name: "Olga Owner", Workspaces: []string{"shop"}},
		"max":  {Actor: apikey.Owner("max", "shop"), Name: "Max Manager", Workspaces: []string{"shop"}},
		"bert": {Actor: apikey.Owner("bert", "blog"), Name: "Bert", Workspaces: []string{"blog"}},
	}
)

// host is a backend with the console under a prefix, where every user can sign in as any
// person.
type host struct {
	t     *testing.T
	srv   *oauth.Server
	store store.Store
	url   string
	slow  atomic.Int64 // how long each call of the store takes, in nanoseconds
	mu    sync.Mutex
	now   time.Time
	// reminders has the key's name and the time before its expiry for each reminder sent.
	reminders []string
}

func newHost(t *testing.T, changes ...func(*oauth.Config, *console.Config)) *host {
	t.Helper()
	h := &host{t: t, now: noon}
	tap := &storetest.Tap{}
	tap.Before(func(ctx context.Context, _ string) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(h.slow.Load())):
		}
		return nil
	})
	h.store = tap.Over(memstore.New())
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	h.url = web.URL
	log := slog.New(slog.DiscardHandler)
	settings := oauth.Config{
		Issuer: web.URL, InsecureLoopback: true, Permissions: catalog, Logger: log, Now: h.Now,
		APIKeys: apikey.Options{
			Peppers:        []apikey.Pepper{{Version: 1, Key: bytes.Repeat([]byte("p"), 32)}},
			LongAssertions: true,
		},
		TrustedIssuers: []trust.Issuer{trust.GitHubActions(), trust.GitLab("gitlab", "https://gitlab.com"), trust.Kubernetes("cluster", "https://kubernetes.default.svc")},
		Reminders:      h.remind,
	}
	cfg := console.Config{
		Key: bytes.Repeat([]byte("k"), 32), LoginURL: web.URL + "/api/login", Logger: log,
		Timeout: time.Minute, // the machine may be busy
	}
	for _, change := range changes {
		change(&settings, &cfg)
	}
	srv, err := oauth.New(h.store, settings)
	require.NoError(t, err)
	h.srv = srv
	offered := []console.Person{people["ada"], people["olga"], people["max"], people["bert"]}
	pages, err := signin.Console("/console", srv.APIKeys(), offered, cfg)
	require.NoError(t, err)
	for pattern, handler := range srv.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("/console/", pages)
	return h
}

func (h *host) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *host) remind(_ context.Context, r reminders.Reminder) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reminders = append(h.reminders, r.Key.Name+" "+r.Before.String())
	return nil
}

// reminded sends the reminders that are due, and returns the name and time of each.
func (h *host) reminded() []string {
	h.t.Helper()
	sender, err := reminders.New(h.store, h.srv.APIKeys(), h.remind)
	require.NoError(h.t, err)
	require.NoError(h.t, sender.Remind(h.t.Context()))
	h.mu.Lock()
	defer h.mu.Unlock()
	sent := h.reminders
	h.reminders = nil
	return sent
}

func (h *host) move(to time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = to
}

// made creates a key.
func (h *host) made(by, workspace, name, permissions string, expiry apikey.Expiry) (apikey.Key, apikey.Secret) {
	h.t.Helper()
	key, secret, err := h.srv.APIKeys().Create(h.t.Context(), people[by].Actor, apikey.Spec{
		Workspace: workspace, Name: name, Permissions: scope.MustParse(permissions), Expiry: expiry,
	})
	require.NoError(h.t, err)
	return key, secret
}

// added adds a public key or a trust to a key, and returns its id.
func (h *host) added(key, name string, spec apikey.CredentialSpec) string {
	h.t.Helper()
	spec.Name = name
	changed, err := h.srv.APIKeys().AddCredential(h.t.Context(), people["olga"].Actor, key, spec)
	require.NoError(h.t, err)
	return changed.Credentials[len(changed.Credentials)-1].ID
}

// publicJWK is a public key.
const publicJWK = `{"kty":"OKP","crv":"Ed25519","kid":"build-2026","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

// trusting returns a trust. claims are pairs of name and value.
func trusting(entry string, claims ...string) apikey.CredentialSpec {
	t := &store.Trust{Issuer: entry}
	for i := 0; i < len(claims); i += 2 {
		t.Claims = append(t.Claims, store.Claim{Name: claims[i], Value: claims[i+1]})
	}
	return apikey.CredentialSpec{Trust: t}
}

// named returns the key with this name.
func (h *host) named(name string) apikey.Key {
	h.t.Helper()
	page, err := h.srv.APIKeys().List(h.t.Context(), people["ada"].Actor, store.KeyQuery{Text: name})
	require.NoError(h.t, err)
	require.Len(h.t, page.Keys, 1)
	return page.Keys[0]
}

// logIn exchanges a key for a token, as a program does.
func (h *host) logIn(id, secret string) int {
	h.t.Helper()
	answer, err := http.PostForm(h.url+"/api/login", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
	})
	require.NoError(h.t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(h.t, err)
	return answer.StatusCode
}

// Names that a page must show as text only.
var hostile = []string{
	`<script>document.title="owned"</script>`,
	`"><img src=x onerror="document.title='owned'">`,
	`'-alert(1)-' {{.}} ${7*7}`,
	`=cmd|' /C calc'!A0`,
	"مفتاح עברית key",
	strings.Repeat("W", 255),
}

// addData adds the data of a host that has been in use for a while. It returns the key with
// the most events.
func (h *host) addData() apikey.Key {
	t, keys := h.t, h.srv.APIKeys()
	h.move(noon.AddDate(0, 0, -45))
	ci, secret := h.made("olga", "shop", "ci of the shop", "project.list project.save tenant.list", apikey.Expiry{At: noon.AddDate(0, 2, 0)})
	_, other := h.made("max", "shop", "nightly backup", "project.list", apikey.Expiry{})
	disabled, _ := h.made("olga", "shop", "old importer", "tenant.list tenant.save", apikey.Expiry{})
	h.made("bert", "blog", "comments", "project.list", apikey.Expiry{})
	h.made("ada", "intern", "directory sync", "admin.project.list", apikey.Expiry{At: noon.AddDate(0, 0, 9)})
	_, err := keys.Disable(t.Context(), people["olga"].Actor, disabled.ID, 0)
	require.NoError(t, err)
	for i := range 40 {
		h.move(noon.AddDate(0, 0, i-40))
		for range 3 + (i*i)%17 {
			login, err := keys.Authenticate(t.Context(), apikey.Credentials{ID: ci.ID, Secret: secret.Reveal()})
			require.NoError(t, err)
			_, err = keys.Issue(t.Context(), login, apikey.Request{})
			require.NoError(t, err)
		}
		if i%9 == 4 {
			_, err := keys.Authenticate(t.Context(), apikey.Credentials{ID: ci.ID, Secret: other.Reveal()})
			require.Error(t, err)
		}
	}
	require.NoError(t, keys.Flush(t.Context()))
	h.move(noon.AddDate(0, 0, -2))
	_, _, err = keys.Rotate(t.Context(), people["olga"].Actor, ci.ID, apikey.Rotation{Grace: 7 * 24 * time.Hour})
	require.NoError(t, err)
	settings, err := keys.Settings(t.Context(), people["ada"].Actor)
	require.NoError(t, err)
	settings.Rules = store.Rules{MaxKeys: 20, RequireExpiry: true, MaxLifetime: 180 * 24 * time.Hour}
	_, err = keys.SaveSettings(t.Context(), people["ada"].Actor, settings)
	require.NoError(t, err)
	h.move(noon)
	return ci
}

func (h *host) page(path string, args ...any) string {
	return h.url + "/console" + fmt.Sprintf(path, args...)
}
