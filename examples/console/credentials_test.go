package console_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// logInSigned logs in with an assertion of a program's own key.
func (h *host) logInSigned(id string, private ed25519.PrivateKey, claims map[string]any) int {
	h.t.Helper()
	body, err := json.Marshal(claims)
	require.NoError(h.t, err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	text += "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(text)))
	answer, err := http.PostForm(h.url+"/api/login", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_assertion": {text},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
	require.NoError(h.t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(h.t, err)
	return answer.StatusCode
}

// TestOwnKey: a person creates a key without a secret and adds a public key, and a program
// logs in with the private one until the public key is retired.
func TestOwnKey(t *testing.T) {
	t.Run("7523-01 with JavaScript", func(t *testing.T) { ownKey(t, true) })
	t.Run("7523-01 without", func(t *testing.T) { ownKey(t, false) })
}

func ownKey(t *testing.T, script bool) {
	t.Helper()
	h := newHost(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	publicPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	der, err = x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	privatePEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	canary := strings.Split(privatePEM, "\n")[1]

	w := newWindow(t, h, "olga")
	w.setScript(script)
	w.open(h.page("/workspaces/shop/keys/new"))
	w.fill("#f-name", "build host")
	w.choose(`input[value="project.list"]`)
	w.choose(`input[name="no_secret"]`)
	w.click("main form button.main")
	require.Contains(t, w.text(), "This key has no credential that works")
	key := h.named("build host")
	w.click(`.note a[href$="public-keys/new"]`)

	w.fill("#f-name", "host 1")
	w.fill("#f-public_key", privatePEM)
	if script {
		require.Empty(t, eval[string](w, `dispatchEvent(new PageTransitionEvent("pagehide", {persisted: true})), document.querySelector("#f-public_key").value`), "in the back/forward cache")
		w.fill("#f-public_key", privatePEM)
	}
	w.click("main form button.main")
	require.EqualValues(t, http.StatusUnprocessableEntity, w.lastStatus())
	require.Contains(t, w.textOf("#problems"), "it is not one PEM block of the type PUBLIC KEY")
	require.NotContains(t, w.source(), canary, "it is not shown again")
	require.NotContains(t, w.history(), canary)
	w.fill("#f-public_key", publicPEM)
	w.click("main form button.main")
	require.Equal(t, "Log in with host 1", w.textOf("h1"))
	shown := w.textOf(".facts")
	for _, text := range []string{key.ID, h.url, h.url + "/api/login", "EdDSA"} {
		require.Contains(t, shown, text)
	}
	w.goHistory(-1)
	require.NotContains(t, w.source(), canary)
	require.NotContains(t, w.history(), canary)

	claims := map[string]any{"iss": key.ID, "sub": key.ID, "aud": h.url, "iat": noon.Unix(), "exp": noon.Unix() + 60, "jti": "1"}
	require.Equal(t, http.StatusOK, h.logInSigned(key.ID, private, claims))
	w.open(h.page("/keys/%s", key.ID))
	require.Contains(t, w.textOf("section[aria-labelledby=h-public-keys]"), "host 1")
	require.NotContains(t, w.text(), "no credential that works")
	w.click(`section[aria-labelledby=h-public-keys] a[href*="/retire/"]`)
	require.Equal(t, "Retire a public key of build host", w.textOf("h1"))
	w.click("main form button.risky")
	require.Contains(t, w.textOf(".note.good"), "The credential was retired.")
	claims["jti"] = "2"
	require.Equal(t, http.StatusUnauthorized, h.logInSigned(key.ID, private, claims))
}

// TestTrustOfAWorkflow: a person adds a trust of GitHub Actions and copies the workflow file.
func TestTrustOfAWorkflow(t *testing.T) {
	h := newHost(t)
	key, _ := h.made("olga", "shop", "ci of the shop", "project.list", apikey.Expiry{})
	w := newWindow(t, h, "olga")
	w.open(h.page("/keys/%s", key.ID))
	w.choose(`section[aria-labelledby=h-trusts] summary`)
	w.click(`.tiles a[href$="/github"]`)
	require.Equal(t, "Trust GitHub Actions", w.textOf("h1"))
	w.fill("#f-name", "release workflow")
	w.fill("#f-claim_environment", "production")
	w.click("main form button.main")
	require.Contains(t, w.textOf("#problems"), "repository_id", "B34")
	w.fill("#f-claim_repository_id", "123456789")
	w.click("main form button.main")
	require.Equal(t, "Log in with release workflow", w.textOf("h1"))
	w.choose(`[data-copy="snippet"]`)
	require.Eventually(t, func() bool { return strings.Contains(eval[string](w, clipboard), "id-token") }, stepTimeout, stepTimeout/600)
	copied := eval[string](w, clipboard)
	for _, text := range []string{"permissions:\n  contents: read\n  id-token: write\n", "\n    environment: \"production\"\n", "client_id=" + key.ID, "&audience=" + url.QueryEscape(h.url), h.url + "/api/login"} {
		require.Contains(t, copied, text)
	}
	w.click("main .actions a.button")
	require.Contains(t, w.textOf("section[aria-labelledby=h-trusts]"), "repository_id = 123456789")
	require.Contains(t, w.textOf("section[aria-labelledby=h-events]"), "Added a public key or a trust")
}
