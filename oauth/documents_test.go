package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		s.config.Issuer += "/t1"
		s.config.TokenPath = "/t1/oauth/token"
		s.config.OpenIDAlias = true
	})
	const path = "/.well-known/oauth-authorization-server/t1"
	a := w.send(http.MethodGet, path, "")

	t.Run("8414-01 and 9700-05 the issuer's path is inserted, not appended", func(t *testing.T) {
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=3600", a.Header.Get("Cache-Control"))
		require.Equal(t, http.StatusNotFound, w.at(t).send(http.MethodGet, "/t1/.well-known/oauth-authorization-server", "").StatusCode)
	})
	t.Run("8414-02 the issuer, byte for byte, whatever the request says", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, w.base+"/t1", a.Member("issuer"))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+path, nil)
		require.NoError(t, err)
		r.Host = "evil.example"
		for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Original-URL"} {
			r.Header.Set(name, "host=evil.example")
		}
		require.Equal(t, a.Body, w.do(http.DefaultClient, r).Body)
	})
	t.Run("8414-04 every endpoint in the metadata works, and no other is named", func(t *testing.T) {
		w := w.at(t)
		var advertised []string
		var members map[string]any
		require.NoError(t, json.Unmarshal([]byte(a.Body), &members))
		for _, value := range members {
			text, isText := value.(string)
			if !isText || text == w.base+"/t1" {
				continue
			}
			u, err := url.Parse(text)
			require.NoError(t, err)
			require.Equal(t, w.base, u.Scheme+"://"+u.Host)
			advertised = append(advertised, u.Path)
			require.NotEqual(t, http.StatusNotFound, w.send(http.MethodGet, u.Path, "").StatusCode, text)
		}
		advertised = append(advertised, path, "/t1/.well-known/openid-configuration")
		var mounted []string
		for pattern := range w.Routes() {
			mounted = append(mounted, pattern)
		}
		require.ElementsMatch(t, mounted, advertised)
		require.Equal(t, http.StatusOK, w.send(http.MethodPost, "/t1/oauth/token", w.grant(), "Content-Type", form).StatusCode)
	})
	t.Run("8414-05 and 8414-06 exactly what is supported", func(t *testing.T) {
		require.JSONEq(t, `{
			"issuer": "`+w.base+`/t1",
			"token_endpoint": "`+w.base+`/t1/oauth/token",
			"jwks_uri": "`+w.base+`/t1/.well-known/jwks.json",
			"scopes_supported": ["admin.project.list", "key.rotate", "project.list", "project.read", "project.write"],
			"response_types_supported": [],
			"grant_types_supported": ["client_credentials"],
			"token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
			"token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
			"revocation_endpoint": "`+w.base+`/api/revoke",
			"revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
			"revocation_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
			"introspection_endpoint": "`+w.base+`/api/introspect",
			"introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
			"introspection_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"]
		}`, a.Body)
	})
	t.Run("openid-configuration has two members more, which OpenID Connect libraries require", func(t *testing.T) {
		var plain, alias map[string]any
		require.NoError(t, json.Unmarshal([]byte(a.Body), &plain))
		b := w.at(t).send(http.MethodGet, "/t1/.well-known/openid-configuration", "")
		require.NoError(t, json.Unmarshal([]byte(b.Body), &alias))
		require.Equal(t, []any{"ES256", "EdDSA", "RS256", "PS256"}, alias["id_token_signing_alg_values_supported"])
		require.Equal(t, []any{"public"}, alias["subject_types_supported"])
		delete(alias, "id_token_signing_alg_values_supported")
		delete(alias, "subject_types_supported")
		require.Equal(t, plain, alias)
	})
	t.Run("no alias unless configured", func(t *testing.T) {
		plain := newWorld(t)
		require.Equal(t, http.StatusNotFound, plain.send(http.MethodGet, "/.well-known/openid-configuration", "").StatusCode)
	})
	t.Run("8414-06 an empty catalog", func(t *testing.T) {
		srv, err := oauth.New(memstore.New(), oauth.Config{Logger: quiet, Issuer: "https://a.example", Permissions: emptyCatalog})
		require.NoError(t, err)
		b := serve(srv.Metadata(), http.MethodGet, "/", "")
		require.NotContains(t, b.Body, "scopes_supported", "an array without elements is left out")
	})
	t.Run("8414-04 an authorization endpoint only if it is configured, and it refuses", func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.AuthorizationPath = "/authorize" }).at(t)
		a := w.send(http.MethodGet, "/.well-known/oauth-authorization-server", "")
		require.Equal(t, w.base+"/authorize", a.Member("authorization_endpoint"))
		require.Equal(t, []any{}, a.Member("response_types_supported"))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b := w.send(method, "/authorize?response_type=code&client_id=x&redirect_uri=https%3A%2F%2Fevil.example", "")
			w.refused(b, http.StatusBadRequest, "unsupported_response_type")
			require.Empty(t, b.Header.Get("Location"))
		}
	})
	t.Run("8414-01 an issuer that ends in a slash", func(t *testing.T) {
		srv, err := oauth.New(memstore.New(), oauth.Config{Logger: quiet, Issuer: "https://a.example/t/", Permissions: catalog})
		require.NoError(t, err)
		require.Contains(t, srv.Routes(), "/.well-known/oauth-authorization-server/t")
		b := serve(srv.Metadata(), http.MethodGet, "/", "")
		require.Equal(t, "https://a.example/t/", b.Member("issuer"))
	})
}

func TestDocumentMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/jwks.json"} {
		a := w.send(http.MethodGet, path, "")
		etag := a.Header.Get("ETag")
		t.Run(path+" HEAD", func(t *testing.T) {
			b := w.at(t).send(http.MethodHead, path, "")
			require.Equal(t, http.StatusOK, b.StatusCode)
			require.Empty(t, b.Body)
			require.Equal(t, a.Header.Get("Content-Length"), b.Header.Get("Content-Length"))
		})
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			t.Run(path+" "+method, func(t *testing.T) {
				b := w.at(t).send(method, path, "")
				require.Equal(t, http.StatusMethodNotAllowed, b.StatusCode)
				require.Equal(t, "GET, HEAD", b.Header.Get("Allow"))
			})
		}
		for match, want := range map[string]int{
			etag:                    http.StatusNotModified,
			"W/" + etag:             http.StatusNotModified,
			`"x", ` + etag:          http.StatusNotModified,
			"*":                     http.StatusNotModified,
			`"x"`:                   http.StatusOK,
			strings.Trim(etag, `"`): http.StatusOK,
		} {
			t.Run("8414-08 If-None-Match "+match+" "+path, func(t *testing.T) {
				b := w.at(t).send(http.MethodGet, path, "", "If-None-Match", match)
				require.Equal(t, want, b.StatusCode)
				require.Equal(t, a.Header.Get("Cache-Control"), b.Header.Get("Cache-Control"))
				require.Equal(t, etag, b.Header.Get("ETag"))
				if want == http.StatusNotModified {
					require.Empty(t, b.Body)
				}
			})
		}
		// A shared cache may keep a public response of any status: no client may
		// make it keep a refusal or a part of the document.
		for name, value := range map[string]string{"If-Match": `"x"`, "Range": "bytes=0-3", "If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"} {
			t.Run("8414-08 "+name+" changes nothing "+path, func(t *testing.T) {
				b := w.at(t).send(http.MethodGet, path, "", name, value)
				require.Equal(t, http.StatusOK, b.StatusCode)
				require.Equal(t, a.Body, b.Body)
			})
		}
		t.Run("8414-08 a range beyond the document "+path, func(t *testing.T) {
			b := w.at(t).send(http.MethodGet, path, "", "Range", "bytes=1000000-")
			require.Equal(t, http.StatusOK, b.StatusCode)
		})
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	rsaKey, edKey, ecKey := testKeys()
	w := newWorld(t, func(s *setup) {
		s.config.Signers = []oauth.SigningKey{
			{Key: ecKey}, {Key: rsaKey}, {ID: "pss", Algorithm: "PS256", Key: rsaKey}, {Key: edKey}, {Secret: []byte(strings.Repeat("s", 32))},
		}
	})
	a := w.send(http.MethodGet, "/.well-known/jwks.json", "")
	t.Run("8414-08 public members only, with use, alg and unique kid", func(t *testing.T) {
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=300", a.Header.Get("Cache-Control"), "bounded")
		var set struct{ Keys []map[string]any }
		require.NoError(t, json.Unmarshal([]byte(a.Body), &set))
		require.Len(t, set.Keys, 4, "a secret is not published")
		seen := map[any]bool{}
		for _, key := range set.Keys {
			for name := range key {
				require.Contains(t, []string{"kty", "use", "alg", "kid", "crv", "x", "y", "n", "e"}, name)
			}
			require.Equal(t, "sig", key["use"])
			require.NotEmpty(t, key["alg"])
			require.NotEmpty(t, key["kid"])
			require.False(t, seen[key["kid"]], "kid appears twice")
			seen[key["kid"]] = true
		}
	})
	t.Run("8414-08 no private number", func(t *testing.T) {
		private, err := ecKey.Bytes()
		require.NoError(t, err)
		for _, number := range []string{b64(private), b64(rsaKey.D.Bytes()), b64(rsaKey.Primes[0].Bytes()), b64(edKey.Seed())} {
			require.NotContains(t, a.Body, number)
		}
	})
}

// TestRotation moves the clock through three rotations of the in-process ring, with
// tokens of the longest lifetime.
func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		s.config.APIKeys.TokenLifetime = 24 * time.Hour
		s.config.Leeway = 5 * time.Minute
	})
	type live struct {
		token   string
		expires time.Time
	}
	const minutes, stepBy = 3*30*24*60 + 48*60, 7
	var tokens []live
	kids := map[string]time.Time{} // when each was first published
	signed := map[string]time.Time{}
	etags := map[string]bool{}
	for minute := 0; minute < minutes; minute += stepBy {
		require.NoError(t, w.Step())
		set := serve(w.JWKS(), http.MethodGet, "/", "")
		etags[set.Header.Get("ETag")] = true
		for _, kid := range kidsOf(t, set.Body) {
			if _, known := kids[kid]; !known {
				kids[kid] = w.clock.Now()
			}
		}
		// Around a rotation at every step, else about four times a day.
		near := minute%(30*24*60) < 60 || minute%(30*24*60) > 30*24*60-60
		if near || minute%(6*60) < stepBy {
			a := serve(w.Token(), http.MethodPost, "/", w.grant())
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			kid := harness.Head(t, a.Token())["kid"].(string)
			require.Contains(t, set.Body, kid, "a token is signed with a published key")
			if _, known := signed[kid]; !known {
				signed[kid] = w.clock.Now()
			}
			tokens = append(tokens, live{a.Token(), w.clock.Now().Add(24 * time.Hour)})
			kept := tokens[:0]
			for _, l := range tokens {
				_, err := w.Verifier().Verify(t.Context(), l.token)
				if w.clock.Now().Before(l.expires) {
					require.NoError(t, err, "8414-08 a live token is never refused")
					kept = append(kept, l)
				}
			}
			tokens = kept
		}
		w.clock.Advance(stepBy * time.Minute)
	}
	require.Len(t, signed, 4, "three rotations")
	require.Greater(t, len(etags), 4, "the ETag follows the set")
	for kid, first := range signed {
		if first.Sub(start) > time.Hour {
			require.GreaterOrEqual(t, first.Sub(kids[kid]), 10*time.Minute, "published before its first use, for longer than a cache keeps the set")
		}
	}
	t.Run("8414-08 a key is retired after its last token", func(t *testing.T) {
		require.Len(t, kidsOf(t, serve(w.JWKS(), http.MethodGet, "/", "").Body), 1)
	})
}

func kidsOf(t testing.TB, jwks string) []string {
	t.Helper()
	var set struct {
		Keys []struct{ Kid string }
	}
	require.NoError(t, json.Unmarshal([]byte(jwks), &set))
	kids := make([]string, len(set.Keys))
	for i, key := range set.Keys {
		kids[i] = key.Kid
	}
	return kids
}
