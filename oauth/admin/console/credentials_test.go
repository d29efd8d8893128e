package console_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// trusting adds a trust to a key. claims are pairs of name and value.
func (r *rig) trusting(key apikey.Key, entry string, claims ...string) apikey.Key {
	r.t.Helper()
	added := &store.Trust{Issuer: entry}
	for i := 0; i < len(claims); i += 2 {
		added.Claims = append(added.Claims, store.Claim{Name: claims[i], Value: claims[i+1]})
	}
	key, err := r.keys.AddCredential(r.t.Context(), people["ada"].Actor, key.ID, apikey.CredentialSpec{Name: "release <workflow>", Trust: added})
	require.NoError(r.t, err)
	return key
}

// pair returns a new pair of keys, in PEM.
func pair(t testing.TB) (public, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

const (
	publicJWK   = `{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	privatePart = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	privateJWK  = `{"kty":"OKP","crv":"Ed25519","d":"` + privatePart + `","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

func TestAddAPublicKey(t *testing.T) {
	public, _ := pair(t)
	for name, text := range map[string]string{"PEM": public, "PEM with lines around it": "\n" + strings.ReplaceAll(public, "\n", "\r\n") + "\n", "JWK": publicJWK} {
		t.Run("7523-01 "+name, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.made("team-a", "ci", "project.list")
			path := "/keys/" + key.ID + "/public-keys/new"
			to := r.post("olga", path, r.form("olga", path, "name", "build <host>", "public_key", text, "endpoint_audience", "yes", "expires", "30d")).redirectTarget()
			key = r.only()
			require.Len(t, key.Credentials, 2)
			added := key.Credentials[1]
			require.Equal(t, "/keys/"+key.ID+"/credentials/"+added.ID+"?done=add", to)
			require.Equal(t, "build <host>", added.Name)
			require.Equal(t, noon.Add(30*24*time.Hour), added.NotAfter)
			require.Equal(t, store.ActorRef{Kind: "owner", ID: "olga"}, added.CreatedBy)
			require.True(t, added.PublicKey.EndpointAudience)
			require.False(t, added.PublicKey.LongAssertions)

			shown := html.UnescapeString(r.get("olga", to).Body)
			for _, text := range []string{"The key got a new credential.", "<code>" + key.ID + "</code>", "<code>" + issuer + "</code>", "https://api.example.com/api/login", "exp at most 5 minutes later"} {
				require.Contains(t, shown, text)
			}
			body := r.get("olga", "/keys/"+key.ID).Body
			for _, text := range []string{"<bdi>build &lt;host&gt;</bdi>", "accepts the login address as audience", "by <bdi>olga</bdi>", "Retire<span class=\"hidden\"> the public key build &lt;host&gt;</span>", "Added a public key or a trust"} {
				require.Contains(t, body, text)
			}
			kid := regexp.MustCompile(`</bdi></a> <span class="id">([A-Za-z0-9_-]+)</span>`).FindStringSubmatch(body)
			require.NotNil(t, kid)
			require.Equal(t, name == "JWK", kid[1] == "one")
		})
	}
}

// TestPrivateKeysAreRefused: what is pasted in place of a public key is in no answer and no
// log. Rig searches the log.
func TestPrivateKeysAreRefused(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	path := "/keys/" + key.ID + "/public-keys/new"
	public, private := pair(t)
	secretLine := strings.Split(private, "\n")[1]
	r.log.Keep(privatePart, secretLine, secretLine[:32])
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&harness.RSAKey().PublicKey)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"a private JWK": privateJWK, "a private PEM": private, "both, private first": private + public, "both, private last": public + private,
		"a private PEM that lacks its end": strings.Split(private, "-----END")[0], "text": "canary " + privatePart, "an array": "[" + privateJWK + "]",
		"raw": string(ed), "a certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "empty": " ",
		"a private key for HS256":                                 `{"kty":"oct","alg":"HS256","k":"` + privatePart + `"}`,
		"a private key before a public one that lacks its dashes": strings.TrimPrefix(private, "--") + public,
	} {
		for person, status := range map[string]int{"olga": http.StatusUnprocessableEntity, "nobody": http.StatusUnauthorized, "outage": http.StatusServiceUnavailable} {
			t.Run("7523-07 "+name+", "+person, func(t *testing.T) {
				form := r.form("olga", path, "name", "build", "public_key", text, "expires", "keep")
				got := r.post(person, path, form)
				require.Equal(t, status, got.StatusCode, got.Body)
				text := html.UnescapeString(got.Body)
				require.NotContains(t, text, privatePart)
				require.NotContains(t, text, secretLine)
				if person == "olga" && got.StatusCode == status {
					require.Contains(t, text, `href="#f-public_key"`)
					require.Contains(t, text, `value="build"`, "the rest is kept")
					require.Contains(t, text, "</textarea>")
					require.Contains(t, text, `">`+"</textarea>", "nothing of it is shown")
				}
			})
		}
	}
	t.Run("a public key is kept", func(t *testing.T) {
		public, _ := pair(t)
		form := r.form("olga", path, "public_key", public, "expires", "keep")
		got := r.post("olga", path, form)
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
		require.Contains(t, got.Body, `href="#f-name"`)
		require.Contains(t, html.UnescapeString(got.Body), `{"alg":"ES256"`)
		form.Set("name", "build")
		again := r.post("outage", path, form)
		require.Contains(t, again.Body, "Send the form again")
		require.Equal(t, "build", again.fields().Get("name"))
		r.post("olga", path, again.fields()).redirectTarget()
	})
}

func TestLongAssertions(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) { keys.LongAssertions = allowed })
		key, _ := r.made("team-a", "ci", "project.list")
		path := "/keys/" + key.ID + "/public-keys/new"
		form := r.form("olga", path, "name", "build", "public_key", publicJWK, "long_assertions", "yes", "expires", "keep")
		got := r.post("olga", path, form)
		if !allowed {
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
			require.Contains(t, got.Body, `href="#f-long_assertions"`)
			require.Contains(t, got.Body, `id="e-long_assertions"`)
			require.Contains(t, got.Body, "does not accept assertions that are valid for longer than 5 minutes")
			continue
		}
		to := got.redirectTarget()
		require.True(t, r.only().Credentials[1].PublicKey.LongAssertions)
		require.Contains(t, r.get("olga", to).Body, "exp at most an hour later")
	}
}

func TestAddATrust(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	choice := r.get("olga", "/keys/"+key.ID).Body
	for _, entry := range []string{"github\">GitHub Actions", "gitlab\">GitLab CI", "cluster\">Kubernetes", "other\">Another issuer"} {
		require.Contains(t, choice, "trusts/new/"+entry)
	}
	r.clock.Advance(time.Minute)
	path := "/keys/" + key.ID + "/trusts/new/github"
	page := r.get("olga", path).Body
	for _, text := range []string{
		`name="claim_repository_id"`, `name="claim_environment"`, "The id of the repository.", "unchangeable id", "It may end in * in place of its last part.",
		"If it is empty, <span class=\"id\">pull_request</span>", "Fill in at least one of <span class=\"id\">environment</span>, <span class=\"id\">ref</span>",
	} {
		require.Contains(t, page, text)
	}
	require.NotContains(t, page, `value="never"`)
	require.NotContains(t, r.get("olga", "/keys/"+key.ID+"/trusts/new/other").Body, "unchangeable")
	require.Equal(t, http.StatusNotFound, r.get("olga", "/keys/"+key.ID+"/trusts/new/unknown").StatusCode)

	t.Run("B34 a trust without an id that never changes is refused", func(t *testing.T) {
		got := r.post("olga", path, r.form("olga", path, "name", "release", "claim_repository", "acme/shop", "expires", "keep"))
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode, got.Body)
		require.Contains(t, got.Body, `href="#f-claims"`)
		require.Contains(t, got.Body, "repository_owner_id")
		require.Contains(t, got.Body, `value="acme/shop"`)
		require.Len(t, r.only().Credentials, 1)
	})
	t.Run("an empty form", func(t *testing.T) {
		got := r.post("olga", path, r.form("olga", path))
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
		require.Contains(t, got.Body, `href="#f-name"`)
		require.Contains(t, got.Body, `href="#f-expires"`)
	})
	form := r.form("olga", path, "name", "release", "claim_repository_id", " 42 ", "claim_environment", "production", "claim_sub", "x", "expires", "date", "expires_on", "2026-12-31")
	to := r.post("olga", path, form).redirectTarget()
	added := r.only().Credentials[1]
	require.Equal(t, "/keys/"+key.ID+"/credentials/"+added.ID+"?done=add", to)
	require.Equal(t, &store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "environment", Value: "production"}, {Name: "repository_id", Value: "42"}}}, added.Trust)
	require.Equal(t, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), added.NotAfter)
	body := r.get("olga", "/keys/"+key.ID).Body
	require.Contains(t, body, "GitHub Actions<ul")
	require.Contains(t, body, "repository_id = <bdi>42</bdi>")

	t.Run("sent again it adds no other one", func(t *testing.T) {
		got := r.post("olga", path, form)
		require.Equal(t, http.StatusConflict, got.StatusCode)
		require.Contains(t, got.Body, "You added a public key or a trust (")
		require.Len(t, r.only().Credentials, 2)
	})
	t.Run("who may not make secrets", func(t *testing.T) {
		got := r.post("lena", path, r.form("lena", path, "name", "release", "claim_repository_id", "42", "claim_ref", "refs/heads/main", "expires", "keep"))
		require.Equal(t, http.StatusSeeOther, got.StatusCode, "lena may grant all that the key has")
		name := "wide"
		wide, _ := r.made("team-a", name, "project.list project.save")
		path := "/keys/" + wide.ID + "/trusts/new/github"
		got = r.post("lena", path, r.form("lena", path, "name", "release", "claim_repository_id", "42", "claim_ref", "refs/heads/main", "expires", "keep"))
		require.Equal(t, http.StatusForbidden, got.StatusCode)
	})
	t.Run("the host lists no issuer", func(t *testing.T) {
		r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) { keys.TrustedIssuers = nil })
		key, _ := r.made("team-a", "ci", "project.list")
		require.Contains(t, r.get("olga", "/keys/"+key.ID).Body, "oauth.Config.TrustedIssuers")
		require.Equal(t, http.StatusNotFound, r.get("olga", "/keys/"+key.ID+"/trusts/new/github").StatusCode)
	})
}

// TestSnippets: the page of a trust shows what to put into the other side.
func TestSnippets(t *testing.T) {
	const login = "curl -sSf 'https://api.example.com/api/login' -d grant_type=client_credentials -d client_id=KEY -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer "
	for name, c := range map[string]struct {
		entry  string
		claims []string
		want   []string
	}{
		"GitHub": {"github", []string{"repository_id", "42", "environment", `a "b" <c>`}, []string{
			"  id-token: write\n", "\n    environment: \"a \\\"b\\\" <c>\"\n    steps:\n",
			`"$ACTIONS_ID_TOKEN_REQUEST_URL&audience=https%3A%2F%2Fapi.example.com%2Ftenant" | jq -r .value)`, "token=$(" + login + `-d client_assertion="$IDENTITY" | jq -r .access_token)`,
		}},
		"GitHub without an environment": {"github", []string{"repository_id", "42", "ref", "refs/heads/main"}, []string{"    runs-on: ubuntu-latest\n    steps:\n"}},
		"GitLab":                        {"gitlab", []string{"project_id", "7", "ref_path", "refs/heads/main"}, []string{"log-in:\n  id_tokens:\n    IDENTITY:\n      aud: \"" + issuer + "\"\n", "\n      token=$(" + login}},
		"Kubernetes": {"cluster", []string{"sub", "system:serviceaccount:shop:robot"}, []string{
			"\n  namespace: \"shop\"\nspec:\n  serviceAccountName: \"robot\"\n", "              audience: \"" + issuer + "\"\n", login + "--data-urlencode client_assertion@/var/run/identity/token",
		}},
		"Kubernetes, all of a namespace": {"cluster", []string{"sub", "system:serviceaccount:shop:*"}, []string{"\n  namespace: \"shop\"\nspec:\n  containers:\n"}},
		"Kubernetes by uid":              {"cluster", []string{"serviceaccount_uid", "u-1"}, []string{"\n  name: program\nspec:\n  containers:\n"}},
		"another":                        {"other", []string{"sub", "robot"}, []string{"whose audience is " + issuer, login + `-d client_assertion="$IDENTITY"`}},
	} {
		t.Run("B34 "+name, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.made("team-a", "ci", "project.list")
			key = r.trusting(key, c.entry, c.claims...)
			got := r.get("olga", "/keys/"+key.ID+"/credentials/"+key.Credentials[1].ID)
			require.Equal(t, http.StatusOK, got.StatusCode)
			shown := strings.ReplaceAll(html.UnescapeString(got.Body), key.ID, "KEY")
			shown = strings.ReplaceAll(shown, "\\\n            ", "")
			for _, text := range c.want {
				require.Contains(t, shown, text)
			}
			require.NotContains(t, got.Body, "<c>")
			require.Equal(t, http.StatusNotFound, r.get("olga", "/keys/"+key.ID+"/credentials/"+key.Credentials[0].ID).StatusCode, "a secret has no such page")
		})
	}
	t.Run("without LoginURL the address is that of the service", func(t *testing.T) {
		r := newRig(t, func(_ *store.Store, keys *apikey.Config, c *console.Config) {
			c.LoginURL, keys.TokenURL = "", "https://it's.example/login"
		})
		key, _ := r.made("team-a", "ci", "project.list")
		key = r.trusting(key, "other", "sub", "robot")
		require.Contains(t, html.UnescapeString(r.get("olga", "/keys/"+key.ID+"/credentials/"+key.Credentials[1].ID).Body), "curl -sSf 'https://it%27s.example/login' ")
	})
	t.Run("an id that a shell would read otherwise", func(t *testing.T) {
		r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) { keys.Imported = true })
		key, err := r.keys.Import(t.Context(), people["ada"].Actor, apikey.ImportSpec{
			ID: `a'"$(id)&b`, Secret: strings.Repeat("0123456789abcdef", 4), Spec: apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list")},
		})
		require.NoError(t, err)
		key = r.trusting(key, "github", "repository_id", "42", "ref", "refs/heads/main")
		shown := html.UnescapeString(r.get("olga", "/keys/"+url.PathEscape(key.ID)+"/credentials/"+key.Credentials[1].ID).Body)
		require.Contains(t, shown, ` -d client_id=a%27%22%24%28id%29%26b \`+"\n")
	})
	t.Run("an entry that the host has removed", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.made("team-a", "ci", "project.list")
		key = r.trusting(key, "other", "sub", "robot")
		later := newRig(t, func(st *store.Store, keys *apikey.Config, _ *console.Config) { *st, keys.TrustedIssuers = r.store, nil })
		require.Contains(t, later.get("olga", "/keys/"+key.ID).Body, "this service no longer lists the issuer <bdi>other</bdi>")
		require.Contains(t, later.get("olga", "/keys/"+key.ID+"/retire/"+key.Credentials[0].ID).Body, "only credential that works", "the trust does not")
		require.NotContains(t, later.get("olga", "/keys/"+key.ID+"/retire/"+key.Credentials[1].ID).Body, "only credential that works")
		require.Contains(t, later.get("olga", "/keys/"+key.ID+"/credentials/"+key.Credentials[1].ID).Body, "This service no longer lists this issuer")
		_, err := r.keys.Retire(t.Context(), people["ada"].Actor, key.ID, key.Credentials[0].ID, 0)
		require.NoError(t, err)
		require.Contains(t, later.get("olga", "/keys/"+key.ID).Body, "This key has no credential that works")
		require.NotContains(t, r.get("olga", "/keys/"+key.ID).Body, "This key has no credential that works")
	})
}

func TestRetireEachKind(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci", "project.list")
	key = r.trusting(key, "other", "sub", "robot")
	key, err := r.keys.AddCredential(t.Context(), people["ada"].Actor, key.ID, apikey.CredentialSpec{Name: "build host", PublicKey: &store.PublicKey{JWK: publicJWK}})
	require.NoError(t, err)
	for _, c := range []struct{ title, says, button string }{
		{"Retire a secret of ci", "The secret that ends in " + secret[len(secret)-4:] + " will stop working, and", "Retire this secret"},
		{"Retire a trust of ci", "The trust <bdi>release &lt;workflow&gt;</bdi> will accept no identity any more, and", "Retire this trust"},
		{"Retire a public key of ci", "the public key <bdi>build host</bdi> cannot log in any more, and", "Retire this public key"},
	} {
		t.Run(c.title, func(t *testing.T) {
			now := r.only()
			path := "/keys/" + key.ID + "/retire/" + now.Credentials[0].ID
			body := r.get("olga", path).Body
			for _, text := range []string{"<h1><bdi>" + c.title + "</bdi></h1>", c.says, c.button} {
				require.Contains(t, body, text)
			}
			require.Equal(t, len(now.Credentials) == 1, strings.Contains(body, "only credential that works"))
			require.Equal(t, "/keys/"+key.ID+"?done=retire", r.post("olga", path, r.form("olga", path)).redirectTarget())
			require.Len(t, r.only().Credentials, len(now.Credentials)-1)
		})
	}
	body := r.get("olga", "/keys/"+key.ID).Body
	require.Contains(t, body, "This key has no credential that works: it cannot log in.")
	require.Contains(t, body, "Retired a credential")
}

func TestCreateWithoutASecret(t *testing.T) {
	r := newRig(t)
	form := r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "90d", "no_secret", "yes")
	got := r.post("olga", newPage, form)
	key := r.only()
	require.Empty(t, key.Credentials)
	require.Equal(t, "/keys/"+key.ID+"?done=create", got.redirectTarget())
	body := r.get("olga", got.redirectTarget()).Body
	for _, text := range []string{"The key was created.", "This key has no credential that works", "public-keys/new\">Add a public key</a>", "<a href=\"#h-trusts\">a trust</a>"} {
		require.Contains(t, body, text)
	}
	t.Run("B23 sent again it creates no other key", func(t *testing.T) {
		again := r.post("olga", newPage, form)
		require.Equal(t, http.StatusConflict, again.StatusCode)
		require.Contains(t, again.Body, "The key has no secret.")
		require.NotContains(t, again.Body, offered)
		r.trusting(key, "other", "sub", "robot")
		require.NotContains(t, r.post("olga", newPage, form).Body, offered)
		require.Equal(t, 1, r.count("team-a"))
	})
}

// TestTheLostSecretIsTheNewestSecret: it is replaced although the key has newer credentials
// of other kinds.
func TestTheLostSecretIsTheNewestSecret(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	r.trusting(key, "other", "sub", "robot")
	path := "/keys/" + key.ID + "/rotate"
	require.Contains(t, r.get("olga", r.get("olga", path).redirectTarget()).Body, "Its public keys and trusts stay as they are.")
	form := r.form("olga", path, "grace", "24h", "expires", "keep")
	lost := r.post("olga", path, form).secret()
	replace := r.post("olga", path, form).fields()
	for _, c := range r.only().Credentials {
		if c.ID == replace.Get("replaces") {
			require.Equal(t, lost[len(lost)-4:], c.Hint)
		}
	}
	require.NotEmpty(t, r.post("olga", path, replace).secret())
	require.False(t, r.logsIn(key.ID, lost))
	require.Len(t, r.only().Credentials, 3)
}

// TestRulesOfTheKey: if the rules do not let the key get a credential because of the key's
// expiry, the page says so.
func TestRulesOfTheKey(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	settings, err := r.keys.Settings(t.Context(), people["ada"].Actor)
	require.NoError(t, err)
	settings.Rules = store.Rules{RequireExpiry: true, MaxLifetime: 20 * 24 * time.Hour}
	_, err = r.keys.SaveSettings(t.Context(), people["ada"].Actor, settings)
	require.NoError(t, err)
	path := "/keys/" + key.ID + "/public-keys/new"
	form := r.get("olga", path).Body
	for _, text := range []string{`value="keep" checked`, `value="365d"`, "With the key"} {
		require.Contains(t, form, text)
	}
	for _, text := range []string{`value="never"`, `value="longest"`, " max="} {
		require.NotContains(t, form, text)
	}
	got := r.post("olga", path, r.form("olga", path, "name", "build", "public_key", publicJWK, "expires", "365d"))
	require.Equal(t, http.StatusForbidden, got.StatusCode, got.Body)
	require.Contains(t, got.Body, "This key needs an expiry")
	require.Contains(t, got.Body, `/change">change the key</a> first if they refuse this form.`)
}

// TestRotationWithATrust: a rotation does not prolong the life of a trust that goes on.
func TestRotationWithATrust(t *testing.T) {
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.DefaultRules = store.Rules{MaxLifetime: 365 * 24 * time.Hour}
	})
	key, _, err := r.keys.Create(t.Context(), people["olga"].Actor, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), Expiry: apikey.Expiry{At: noon.Add(24 * time.Hour)}})
	require.NoError(t, err)
	path := "/keys/" + key.ID + "/rotate"
	longest := func() string {
		t.Helper()
		got := r.post("olga", path, r.form("olga", path, "grace", "24h", "expires", "date")) // without a day
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
		return regexp.MustCompile(`max="([0-9-]+)"`).FindStringSubmatch(got.Body)[1]
	}
	r.clock.Advance(10 * time.Hour)
	require.Equal(t, "2027-06-30", longest())
	r.trusting(key, "other", "sub", "robot")
	r.clock.Advance(20 * time.Hour)
	_, err = r.keys.Update(t.Context(), people["olga"].Actor, key.ID, apikey.Changes{Expiry: &apikey.Expiry{At: noon.Add(300 * 24 * time.Hour)}})
	require.NoError(t, err)
	require.Equal(t, "2027-06-30", longest())
	got := r.post("olga", path, r.form("olga", path, "grace", "24h", "expires", "longest"))
	require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
}

// TestWorkspacesNamedLikeButtons: the page of a workspace is found again, whatever its id.
func TestWorkspacesNamedLikeButtons(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"enable", "resume"} {
		r.made(id, "ci", "project.list")
		for path, want := range map[string]string{"": "", "/resume": "", "/suspend": "/suspend"} {
			at := "/settings/workspaces/" + id
			got := r.post("ada", at+path, url.Values{"form": {"old"}})
			require.Equal(t, at+want, got.button("Open the page again"))
		}
	}
}
