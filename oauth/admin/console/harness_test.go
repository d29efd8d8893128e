package console_test

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var (
	noon    = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	formKey = []byte("key of the tests: 32 bytes or more")
)

// people are the people of the tests.
var people = map[string]console.Person{
	"ada":   {Actor: harness.Ada, Name: "Ada", Workspaces: []string{"team-a", "team-b"}},
	"olga":  {Actor: harness.Olga, Workspaces: []string{"team-a"}},
	"max":   {Actor: harness.Max, Workspaces: []string{"team-a"}},
	"bert":  {Actor: harness.Bert, Workspaces: []string{"team-b"}},
	"lena":  {Actor: harness.Lena},
	"guest": {Actor: harness.Guest},
	"empty": {},
}

// issuer is the issuer identifier of the tests' authorization server.
const issuer = "https://api.example.com/tenant"

// prefix is the path under which the tests mount the pages.
const prefix = "/some/console"

// rig is a host with the pages mounted.
type rig struct {
	t     testing.TB
	store store.Store
	keys  *apikey.Service
	url   string
	mux   *http.ServeMux
	clock *oauthtest.Clock
	log   *harness.Recorder
}

func newRig(t testing.TB, changes ...func(*store.Store, *apikey.Config, *console.Config)) *rig {
	t.Helper()
	r := newQuietRig(t, changes...)
	web := httptest.NewServer(r.mux)
	t.Cleanup(web.Close)
	r.url = web.URL
	return r
}

// newQuietRig returns a rig without a network. Use serve with it.
func newQuietRig(t testing.TB, changes ...func(*store.Store, *apikey.Config, *console.Config)) *rig {
	t.Helper()
	r := &rig{t: t, clock: harness.ClockAt(noon), log: &harness.Recorder{}, store: memstore.New()}
	log := r.log.Logger()
	t.Cleanup(func() { r.log.Search(t) })
	trusted, err := trust.New([]trust.Issuer{
		trust.GitHubActions(), trust.GitLab("gitlab", "https://gitlab.com"), trust.Kubernetes("cluster", "https://kubernetes.default.svc"),
		{Name: "other", Title: "Another issuer", Issuer: "https://issuer.example", Claims: []trust.Claim{{Name: "sub", Help: "Its subject."}}},
	}, trust.Config{Audience: issuer, Now: r.clock.Now, Logger: log})
	require.NoError(t, err)
	keys := apikey.Config{Permissions: harness.Catalog, Now: r.clock.Now, Logger: log, Issuer: issuer, TokenURL: issuer + "/login", TrustedIssuers: trusted, Options: apikey.Options{Peppers: []apikey.Pepper{harness.Pepper()}}}
	config := console.Config{Authorize: authorize, Key: formKey, LoginURL: "https://api.example.com/api/login", SignOut: "/out", Timeout: time.Minute, Logger: log}
	for _, change := range changes {
		change(&r.store, &keys, &config)
	}
	r.keys, err = apikey.New(r.store, keys)
	require.NoError(t, err)
	pages, err := console.New(r.keys, config)
	require.NoError(t, err)
	r.mux = http.NewServeMux()
	r.mux.Handle(prefix+"/", http.StripPrefix(prefix, pages))
	return r
}

// serve opens a page or sends a form without a network, in the calling goroutine.
func (r *rig) serve(person, method, path string, values url.Values) *page {
	r.t.Helper()
	req := harness.Incoming(method, prefix+path, values.Encode(),
		"X-Person", person, "Sec-Fetch-Site", "same-origin", "Content-Type", "application/x-www-form-urlencoded")
	return r.page(harness.Serve(r.mux, req.WithContext(r.t.Context())))
}

var errNobody = errors.New("canary: the session database's own words")

func authorize(r *http.Request) (console.Person, error) {
	name := r.Header.Get("X-Person")
	if name == "outage" {
		return console.Person{}, fmt.Errorf("sessions: %w", store.ErrUnavailable)
	}
	person, known := people[name]
	if !known {
		return console.Person{}, errNobody
	}
	return person, nil
}

// page is an answer.
type page struct{ harness.Answer }

// get opens a page. It follows no redirect.
func (r *rig) get(person, path string) *page {
	r.t.Helper()
	return r.send(person, http.MethodGet, path, "")
}

// post sends a form as the console's own page does.
func (r *rig) post(person, path string, values url.Values) *page {
	r.t.Helper()
	return r.send(person, http.MethodPost, path, values.Encode(), "Sec-Fetch-Site", "same-origin")
}

func (r *rig) send(person, method, path, body string, headers ...string) *page {
	r.t.Helper()
	if method == http.MethodPost && !slices.Contains(headers, "Content-Type") {
		headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	}
	return r.page(harness.Send(r.t, method, r.url+prefix+path, body, append(headers, "X-Person", person)...))
}

func (r *rig) page(answer harness.Answer) *page {
	r.t.Helper()
	require.NotContains(r.t, answer.Body, "canary")
	answer.T = r.t
	got := &page{answer}
	if secret := got.secret(); secret != "" {
		r.log.Keep(secret)
	}
	return got
}

// redirectTarget returns the target of a redirect, below the prefix.
func (p *page) redirectTarget() string {
	p.T.Helper()
	require.Equal(p.T, http.StatusSeeOther, p.StatusCode, p.Body)
	to, err := p.Request.URL.Parse(p.Header.Get("Location"))
	require.NoError(p.T, err)
	require.True(p.T, strings.HasPrefix(to.Path, prefix+"/"), "%s", to)
	return strings.TrimPrefix(to.RequestURI(), prefix)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// fields returns the hidden fields of the page's forms.
func (p *page) fields() url.Values {
	values := url.Values{}
	for _, match := range hidden.FindAllStringSubmatch(p.Body, -1) {
		values.Set(match[1], html.UnescapeString(match[2]))
	}
	return values
}

// form opens a page and follows one redirect. It returns the page's hidden fields with
// other fields, which are pairs of name and value.
func (r *rig) form(person, path string, more ...string) url.Values {
	r.t.Helper()
	got := r.get(person, path)
	if got.StatusCode == http.StatusSeeOther {
		got = r.get(person, got.redirectTarget())
	}
	require.Equal(r.t, http.StatusOK, got.StatusCode, got.Body)
	values := got.fields()
	for i := 0; i < len(more); i += 2 {
		values.Add(more[i], more[i+1])
	}
	return values
}

var shownSecret = regexp.MustCompile(`data-secret>(lk_[A-Za-z0-9]+)</code>`)

// secret returns the secret on a page, or the empty string.
func (p *page) secret() string {
	if match := shownSecret.FindStringSubmatch(p.Body); match != nil {
		return match[1]
	}
	return ""
}

// made creates a key with the service.
func (r *rig) made(workspace, name, permissions string) (apikey.Key, string) {
	r.t.Helper()
	return harness.NewKey(r.t, r.keys, r.log, workspace, name, permissions)
}

func (r *rig) count(workspace string) int {
	r.t.Helper()
	page, err := r.keys.List(r.t.Context(), people["ada"].Actor, store.KeyQuery{Workspace: workspace, Limit: store.MaxPage})
	require.NoError(r.t, err)
	return len(page.Keys)
}

// logsIn reports whether a secret can log in.
func (r *rig) logsIn(id, secret string) bool {
	_, err := r.keys.Authenticate(r.t.Context(), apikey.Credentials{ID: id, Secret: secret})
	return err == nil
}
