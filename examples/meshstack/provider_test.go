package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

// provider simulates the meshStack Terraform provider with one resource
// "meshstack_api_key", and Terraform's own checks. The real provider cannot be imported here.
// The requests are those of the real provider. Where its releases differ, they are those of
// the strictest release.
type provider struct {
	w           *testBackend
	credentials credentials
	token       string
	state       *resource
	sent        []string // method and status of each request
	loseFirst   string   // the next answer to this method is lost
}

// resource is a resource's configuration and state.
type resource struct {
	uuid, workspace, name, clientID, secret string
	permissions                             []string
	expires                                 *string
}

var errAnswer = errors.New("http error")

// connect makes the first requests of a plan or an apply.
func (p *provider) connect(t *testing.T) {
	t.Helper()
	got, err := send(t.Context(), http.MethodGet, p.w.url+"/mesh/info", http.Header{"Accept": {"application/json"}}, "")
	require.NoError(t, err)
	var info struct {
		Version  string            `json:"version"`
		Metadata map[string]string `json:"metadata"`
	}
	require.NoError(t, json.Unmarshal(got.body, &info))
	var version [3]int
	_, err = fmt.Sscanf(info.Version, "%d.%d.%d", &version[0], &version[1], &version[2])
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2]), info.Version, "three numbers and nothing else")
	require.GreaterOrEqual(t, slices.Compare(version[:], []int{2026, 36, 0}), 0)
	p.renew(t)
}

// renew logs in. The provider expects a UUID as the id of its key, and a JWT as the token, from
// which it reads the expiry. With a lifetime of half a minute or less it would log in for every
// request.
func (p *provider) renew(t *testing.T) {
	t.Helper()
	require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, p.credentials.ClientID)
	p.token = p.w.login(t, p.credentials)
	parts := strings.Split(p.token, ".")
	require.Len(t, parts, 3)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims struct {
		Expires float64 `json:"exp"`
	}
	require.NoError(t, json.Unmarshal(payload, &claims))
	require.Greater(t, time.Unix(int64(claims.Expires), 0).Sub(p.w.clock.Now()), 30*time.Second)
}

// do sends a request. It repeats the request if the answer is lost or is 503, except for POST.
// If the token is refused, it repeats the request once with a new token.
func (p *provider) do(t *testing.T, method, path string, body any) (keyAnswer, error) {
	t.Helper()
	text := ""
	header := http.Header{"Authorization": {"Bearer " + p.token}, "Accept": {keyMedia}, "User-Agent": {"terraform-provider-meshstack/dev"}}
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(t, err)
		text = string(encoded)
		header.Set("Content-Type", keyMedia)
	}
	for renewed := false; ; {
		got, err := send(t.Context(), method, p.w.url+keysPath+path, header, text)
		require.NoError(t, err)
		p.sent = append(p.sent, fmt.Sprint(method, " ", got.status))
		if p.loseFirst == method {
			p.loseFirst = ""
			got.status = http.StatusServiceUnavailable
		}
		switch {
		case got.status == http.StatusServiceUnavailable && method != http.MethodPost:
			continue
		case got.status == http.StatusUnauthorized && !renewed:
			renewed = true
			p.renew(t)
			header.Set("Authorization", "Bearer "+p.token)
			continue
		case got.status >= 300:
			return keyAnswer{}, fmt.Errorf("%w %d, response '%s'", errAnswer, got.status, got.body)
		case method == http.MethodDelete:
			return keyAnswer{}, nil
		}
		exactNames(t, got.body)
		return got.key(t), nil
	}
}

// exactNames checks that each member appears once, with the provider's exact spelling, because
// the provider compares the case.
func exactNames(t *testing.T, body []byte) {
	t.Helper()
	known := []string{"apiVersion", "kind", "metadata", "uuid", "ownedByWorkspace", "spec", "displayName", "permissions", "expiresAt", "status", "clientId", "clientSecret"}
	seen := map[string]bool{}
	for _, match := range regexp.MustCompile(`"([A-Za-z]+)":`).FindAllSubmatch(body, -1) {
		name := string(match[1])
		require.Contains(t, known, name)
		require.False(t, seen[name], name)
		seen[name] = true
	}
}

// refresh reads the key. If the key does not exist, it is removed from the state.
func (p *provider) refresh(t *testing.T) error {
	t.Helper()
	if p.state == nil {
		return nil
	}
	got, err := p.do(t, http.MethodGet, "/"+p.state.uuid, nil)
	if err != nil && strings.Contains(err.Error(), "error 404") {
		p.state = nil
		return nil
	}
	if err != nil {
		return err
	}
	require.NotEmpty(t, got.Status.ClientID, "without a client id the plan would remove the status")
	secret := p.state.secret
	if got.Status.ClientSecret != "" {
		secret = got.Status.ClientSecret // as the provider does, silently
	}
	p.state = resourceOf(got, secret)
	return nil
}

// apply refreshes, plans and applies. It reports whether there was a change.
func (p *provider) apply(t *testing.T, want resource) (changed bool, err error) {
	t.Helper()
	p.connect(t)
	if err := p.refresh(t); err != nil {
		return false, err
	}
	if p.state != nil && p.state.workspace != want.workspace { // replaced: a key cannot change its workspace
		if err := p.destroy(t); err != nil {
			return false, err
		}
	}
	body := map[string]any{"apiVersion": "v1-preview", "kind": "meshApiKey"}
	spec := map[string]any{"displayName": want.name, "permissions": want.permissions}
	if want.expires != nil {
		spec["expiresAt"] = *want.expires
	}
	body["spec"] = spec
	if p.state == nil {
		body["metadata"] = map[string]any{"ownedByWorkspace": want.workspace}
		got, err := p.do(t, http.MethodPost, "", body)
		if err != nil {
			return false, err
		}
		require.NotEmpty(t, got.Status.ClientSecret, "a create shows the secret")
		p.state = resourceOf(got, got.Status.ClientSecret)
		p.consistent(t, want)
		return true, nil
	}
	moved := deref(want.expires) != deref(p.state.expires)
	if !moved && want.name == p.state.name && sameSet(want.permissions, p.state.permissions) {
		return false, nil
	}
	body["metadata"] = map[string]any{"ownedByWorkspace": want.workspace, "uuid": p.state.uuid}
	status := map[string]any{"clientId": p.state.clientID}
	if !moved {
		status["clientSecret"] = p.state.secret // the provider sends it, in clear
	}
	body["status"] = status
	got, err := p.do(t, http.MethodPut, "/"+p.state.uuid, body)
	if err != nil {
		return false, err
	}
	require.NotEmpty(t, got.Status.ClientID, "without a client id the provider would crash")
	secret := p.state.secret
	if moved && got.Status.ClientSecret != "" {
		secret = got.Status.ClientSecret // "known after apply"
	} else if !moved {
		require.Empty(t, got.Status.ClientSecret, "inconsistent result after apply: .status")
	}
	p.state = resourceOf(got, secret)
	p.consistent(t, want)
	return true, nil
}

func (p *provider) destroy(t *testing.T) error {
	t.Helper()
	if _, err := p.do(t, http.MethodDelete, "/"+p.state.uuid, nil); err != nil {
		return err
	}
	p.state = nil
	return nil
}

// consistent is Terraform's check after an apply.
func (p *provider) consistent(t *testing.T, want resource) {
	t.Helper()
	const inconsistent = "Provider produced inconsistent result after apply"
	require.Equal(t, want.workspace, p.state.workspace, inconsistent)
	require.Equal(t, want.name, p.state.name, inconsistent)
	require.Equal(t, want.expires, p.state.expires, inconsistent)
	require.ElementsMatch(t, want.permissions, p.state.permissions, inconsistent)
}

func resourceOf(k keyAnswer, secret string) *resource {
	return &resource{
		uuid: k.Metadata.UUID, workspace: k.Metadata.OwnedByWorkspace, name: k.Spec.DisplayName,
		permissions: k.Spec.Permissions.Names(), expires: k.Spec.ExpiresAt, clientID: k.Status.ClientID, secret: secret,
	}
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (p *provider) logsIn(t *testing.T) bool {
	t.Helper()
	return p.w.login(t, credentials{p.state.clientID, p.state.secret}) != ""
}

func ptr[T any](v T) *T { return &v }

func TestProviderLife(t *testing.T) {
	w := newTestBackend(t)
	p := &provider{w: w, credentials: w.key(t, "admin", "*", "")}
	want := resource{workspace: "team-a", name: "ci", permissions: []string{"WORKSPACE_LIST", "TENANT_LIST", "APIKEY_LIST"}}
	steps := func(wantChange, wantRotation bool) {
		t.Helper()
		var before resource
		if p.state != nil {
			before = *p.state
		}
		changed, err := p.apply(t, want)
		require.NoError(t, err)
		require.Equal(t, wantChange, changed)
		require.Equal(t, wantRotation, p.state.secret != before.secret)
		require.True(t, p.logsIn(t), "the secret in the state is the one that logs in")
		if wantRotation && before.secret != "" {
			require.Empty(t, w.login(t, credentials{before.clientID, before.secret}), "the one before is refused")
		}
		changed, err = p.apply(t, want)
		require.NoError(t, err)
		require.False(t, changed, "a second apply finds nothing to do")
	}
	steps(true, true)
	want.name = "ci of team a"
	steps(true, false)
	want.permissions = []string{"TENANT_LIST"}
	steps(true, false)
	want.expires = ptr("2026-06-30")
	steps(true, true)
	want.expires, want.name = ptr("2099-12-31"), "ci"
	steps(true, true)
	want.expires = nil
	steps(true, true)
	want.permissions = []string{}
	steps(true, false)

	first := p.state.uuid
	want.workspace = "team-b"
	steps(true, true)
	require.NotEqual(t, first, p.state.uuid, "another workspace is another key")

	require.NoError(t, p.destroy(t))
	for _, sent := range p.sent {
		require.Contains(t, []string{"POST 201", "GET 200", "PUT 200", "DELETE 204"}, sent)
	}
}

func TestProviderDrift(t *testing.T) {
	w := newTestBackend(t)
	p := &provider{w: w, credentials: w.key(t, "admin", "*", "")}
	want := resource{workspace: "team-a", name: "ci", permissions: []string{"TENANT_LIST"}, expires: ptr("2026-12-31")}
	_, err := p.apply(t, want)
	require.NoError(t, err)

	t.Run("a name that someone else changed is restored, and the secret is kept", func(t *testing.T) {
		secret := p.state.secret
		_, err := w.srv.APIKeys().Update(t.Context(), host(), p.state.uuid, apikey.Changes{Name: ptr("renamed")})
		require.NoError(t, err)
		changed, err := p.apply(t, want)
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, secret, p.state.secret)
		require.True(t, p.logsIn(t))
	})
	t.Run("an expiry that someone else changed is restored, with a new secret", func(t *testing.T) {
		secret := p.state.secret
		_, err := w.srv.APIKeys().Update(t.Context(), host(), p.state.uuid, apikey.Changes{Expiry: ptr(apikey.Expiry{})})
		require.NoError(t, err)
		changed, err := p.apply(t, want)
		require.NoError(t, err)
		require.True(t, changed)
		require.NotEqual(t, secret, p.state.secret)
		require.True(t, p.logsIn(t))
	})
	for _, at := range []time.Time{
		time.Date(2026, 12, 31, 18, 30, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		_, err := w.srv.APIKeys().Update(t.Context(), host(), p.state.uuid, apikey.Changes{Expiry: ptr(apikey.Expiry{At: at})})
		require.NoError(t, err)
		changed, err := p.apply(t, want)
		require.NoError(t, err)
		require.False(t, changed, "an expiry at an instant shows as its last day, and no apply rotates for it")
		want.name += "."
		_, err = p.apply(t, want)
		require.NoError(t, err)
		key, err := w.srv.APIKeys().Get(t.Context(), host(), p.state.uuid)
		require.NoError(t, err)
		require.Equal(t, at, key.NotAfter)
		require.True(t, p.logsIn(t))
	}
	t.Run("a key that someone else deleted is created again", func(t *testing.T) {
		deleted := p.state.uuid
		require.NoError(t, w.srv.APIKeys().Delete(t.Context(), host(), deleted, 0))
		changed, err := p.apply(t, want)
		require.NoError(t, err)
		require.True(t, changed)
		require.NotEqual(t, deleted, p.state.uuid)
		require.True(t, p.logsIn(t))
	})
}

// TestProviderTokenEnds: a revoked token is renewed once.
func TestProviderTokenEnds(t *testing.T) {
	w := newTestBackend(t)
	p := &provider{w: w, credentials: w.key(t, "team-a", "APIKEY_LIST APIKEY_SAVE TENANT_LIST", "")}
	_, err := p.apply(t, resource{workspace: "team-a", name: "ci", permissions: []string{}})
	require.NoError(t, err)
	p.sent = nil
	fewer := scope.MustParse("APIKEY_LIST APIKEY_SAVE")
	_, err = w.srv.APIKeys().Update(t.Context(), host(), p.credentials.ClientID, apikey.Changes{Permissions: &fewer})
	require.NoError(t, err)
	require.NoError(t, p.refresh(t))
	require.NotNil(t, p.state)
	require.Equal(t, []string{"GET 401", "GET 200"}, p.sent)
}

func TestProviderErrors(t *testing.T) {
	w := newTestBackend(t)
	for _, tc := range []struct {
		name, holds, want string
		resource          resource
	}{
		{
			"a workspace out of reach", "APIKEY_LIST APIKEY_SAVE", "error 404, response '" + `{"message":"There is no such key or workspace."}'`,
			resource{workspace: "team-b", name: "ci", permissions: []string{}},
		},
		{
			"more than the key holds", "APIKEY_LIST APIKEY_SAVE", "error 403, response '" + `{"message":"This needs the right to grant every permission of the key; you may not grant these. They are: TENANT_LIST."}'`,
			resource{workspace: "team-a", name: "ci", permissions: []string{"TENANT_LIST"}},
		},
		{
			"an expiry that is not a date", "APIKEY_LIST APIKEY_SAVE", `response '{"message":"spec.expiresAt: It must be a date`,
			resource{workspace: "team-a", name: "ci", permissions: []string{}, expires: ptr("")},
		},
		{
			"no right to make keys", "APIKEY_LIST", "error 403, response '",
			resource{workspace: "team-a", name: "ci", permissions: []string{}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &provider{w: w, credentials: w.key(t, "team-a", tc.holds, "")}
			_, err := p.apply(t, tc.resource)
			require.ErrorIs(t, err, errAnswer)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, p.state)
		})
	}
	t.Run("a token without the permission is 403: a 404 would drop the key from the state", func(t *testing.T) {
		p := &provider{w: w, credentials: w.key(t, "admin", "*", "")}
		want := resource{workspace: "team-a", name: "ci", permissions: []string{}}
		_, err := p.apply(t, want)
		require.NoError(t, err)
		p.credentials = w.key(t, "team-a", "", "")
		_, err = p.apply(t, want)
		require.ErrorContains(t, err, "error 403")
		require.NotNil(t, p.state)
	})
}

// TestProviderHazards checks the effect of a lost answer, so that a change of the effect is
// noticed.
func TestProviderHazards(t *testing.T) {
	w := newTestBackend(t)
	p := &provider{w: w, credentials: w.key(t, "admin", "*", "")}
	want := resource{workspace: "team-a", name: "ci", permissions: []string{}}
	_, err := p.apply(t, want)
	require.NoError(t, err)

	// The repeated PUT finds nothing to change: the state keeps a secret that does not work.
	want.expires = ptr("2099-12-31")
	p.loseFirst = http.MethodPut
	_, err = p.apply(t, want)
	require.NoError(t, err)
	require.False(t, p.logsIn(t))

	// Changing the expiry once more repairs it.
	want.expires = ptr("2099-12-30")
	_, err = p.apply(t, want)
	require.NoError(t, err)
	require.True(t, p.logsIn(t))

	// A repeated DELETE finds no key and fails once. The next refresh removes the key from the
	// state.
	p.connect(t)
	p.loseFirst = http.MethodDelete
	require.ErrorContains(t, p.destroy(t), "error 404")
	require.NoError(t, p.refresh(t))
	require.Nil(t, p.state)
}
