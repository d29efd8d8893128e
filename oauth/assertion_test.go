package oauth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// machine is a key without a secret, and the program that has its private key.
type machine struct {
	*harness.Program
	w   *world
	key apikey.Key
}

var assertionIDs atomic.Int64 // so that no two assertions of the tests have one jti

func (w *world) newMachine(change ...func(*store.PublicKey)) *machine {
	w.t.Helper()
	p := harness.NewProgram(w.t, "k1")
	return &machine{Program: p, w: w, key: p.NewKey(w.t, w.APIKeys(), "team-a", "project.list project.read", change...)}
}

// claims are those of a valid assertion with a new jti, with changes; nil removes one.
func (m *machine) claims(changes ...any) map[string]any {
	now := m.w.clock.Now().Unix()
	claims := map[string]any{"iss": m.key.ID, "sub": m.key.ID, "aud": m.w.base, "iat": now, "exp": now + 60, "jti": fmt.Sprint("id-", assertionIDs.Add(1))}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func (m *machine) assertion(changes ...any) string {
	m.w.t.Helper()
	return m.Sign(m.w.t, nil, m.claims(changes...))
}

// form is a login's form with an assertion, with further parameters.
func (m *machine) form(assertion string, further ...string) string {
	v := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {jwtBearer}, "client_assertion": {assertion}}
	for i := 0; i < len(further); i += 2 {
		v.Add(further[i], further[i+1])
	}
	return v.Encode()
}

func (m *machine) login(assertion string, further ...string) answer {
	m.w.t.Helper()
	return m.w.post(m.form(assertion, further...))
}

func (m *machine) refused(assertion string, further ...string) {
	m.w.t.Helper()
	a := m.login(assertion, further...)
	m.w.refused(a, http.StatusUnauthorized, "invalid_client")
	require.Equal(m.w.t, "The client id, the secret or the assertion is wrong.", a.Description())
}

// at is for a subtest.
func (m *machine) at(t testing.TB) *machine {
	there := *m
	there.w = m.w.at(t)
	return &there
}

// unthrottled is for tests with many failed logins from one address.
func unthrottled(s *setup) {
	s.config.APIKeys.Budgets = apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1}
}

// TestAssertion tests the login with an assertion that the program signed itself.
func TestAssertion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unthrottled)
	m := w.newMachine()
	t.Run("7523-01 and 9700-03 a valid assertion", func(t *testing.T) {
		m := m.at(t)
		a := m.login(m.assertion(), "client_id", m.key.ID)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		token := harness.Claims(t, a.Token())
		require.Equal(t, m.key.ID, token["sub"])
		require.Equal(t, m.key.Credentials[0].ID, token["credential_id"])
		require.Equal(t, http.StatusOK, m.w.call(a.Token()))
	})
	t.Run("7523-01 the client_id is optional", func(t *testing.T) {
		m := m.at(t)
		require.Equal(t, http.StatusOK, m.login(m.assertion()).StatusCode)
	})
	t.Run("7523-01 in JSON", func(t *testing.T) {
		m := m.at(t)
		a := m.w.postJSON(`{"client_assertion_type":"` + jwtBearer + `","client_assertion":"` + m.assertion() + `"}`)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		m.w.refused(m.w.postJSON(`{"client_assertion_type":"`+jwtBearer+`","client_assertion":"`+m.assertion("sub", "x")+`"}`), http.StatusUnauthorized, "invalid_client")
		m.w.refused(m.w.postJSON(`{"client_assertion":"`+m.assertion()+`"}`), http.StatusBadRequest, "invalid_request")
		m.w.refused(m.w.postJSON(`{"client_assertion_type":"`+jwtBearer+`","client_assertion":["`+m.assertion()+`"]}`), http.StatusBadRequest, "invalid_request")
	})
	t.Run("7523-01 beside a header that authenticates no client", func(t *testing.T) {
		m := m.at(t)
		require.Equal(t, http.StatusOK, m.w.post(m.form(m.assertion()), "Authorization", "Bearer x").StatusCode)
	})
	for name, further := range map[string][]string{
		"two assertions":             {"client_assertion", "x"},
		"two types":                  {"client_assertion_type", jwtBearer},
		"6749-05 a secret too":       {"client_id", w.key.ID, "client_secret", w.secret},
		"6749-05 a wrong secret too": {"client_secret", "x"},
		"two client_ids":             {"client_id", m.key.ID, "client_id", m.key.ID},
	} {
		t.Run("7523-01 "+name, func(t *testing.T) {
			m := m.at(t)
			m.w.refused(m.login(m.assertion(), further...), http.StatusBadRequest, "invalid_request")
		})
	}
	for name, kind := range map[string]string{
		"of SAML": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "in capitals": strings.ToUpper(jwtBearer),
		"with a space": jwtBearer + " ", "of a grant": "urn:ietf:params:oauth:grant-type:jwt-bearer", "without a value": "",
	} {
		t.Run("7523-01 the type "+name, func(t *testing.T) {
			m := m.at(t)
			body := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {kind}, "client_assertion": {m.assertion()}}
			m.w.refused(m.w.post(body.Encode()), http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("7523-01 a type without an assertion", func(t *testing.T) {
		m := m.at(t)
		m.w.refused(m.login("", "client_id", m.key.ID), http.StatusBadRequest, "invalid_request")
	})
	t.Run("7523-01 Basic too", func(t *testing.T) {
		m := m.at(t)
		for _, header := range [][]string{basic(m.key.ID, ""), basic(w.key.ID, w.secret), {"Authorization", "Basic"}} {
			m.w.refused(m.w.post(m.form(m.assertion()), header...), http.StatusBadRequest, "invalid_request")
		}
	})
	t.Run("6749-04 in the URL", func(t *testing.T) {
		m := m.at(t)
		query := "/api/login?client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + m.assertion()
		m.w.refused(m.w.send(http.MethodPost, query, cc, "Content-Type", form), http.StatusBadRequest, "invalid_request")
	})
	t.Run("the response to another scheme names the ways", func(t *testing.T) {
		m := m.at(t)
		a := m.w.post(cc+"&client_id="+m.key.ID, "Authorization", "Bearer x")
		m.w.refused(a, http.StatusUnauthorized, "invalid_client")
		require.Equal(t, "The client must authenticate with Basic, with client_id and client_secret in the body, or with a client_assertion.", a.Description())
	})

	other := w.newMachine()
	for _, tc := range []struct {
		name      string
		assertion func(m *machine) string
		clientID  string
	}{
		{"iss of another key", func(m *machine) string { return m.assertion("iss", other.key.ID) }, ""},
		{"iss of another key, with client_id", func(m *machine) string { return m.assertion("iss", other.key.ID) }, m.key.ID},
		{"sub of another key", func(m *machine) string { return m.assertion("sub", other.key.ID) }, ""},
		{"sub of another key, with client_id", func(m *machine) string { return m.assertion("sub", other.key.ID) }, m.key.ID},
		{"iss and sub of another key", func(m *machine) string { return m.assertion("iss", other.key.ID, "sub", other.key.ID) }, ""},
		{"iss and sub of an unknown key", func(m *machine) string { return m.assertion("iss", "nobody", "sub", "nobody") }, ""},
		{"client_id of another key", func(m *machine) string { return m.assertion() }, other.key.ID},
		{"client_id of an unknown key", func(m *machine) string { return m.assertion() }, "nobody"},
		{"client_id of a key with a secret only", func(m *machine) string { return m.assertion() }, w.key.ID},
		{"no iss", func(m *machine) string { return m.assertion("iss", nil) }, m.key.ID},
		{"no sub", func(m *machine) string { return m.assertion("sub", nil) }, m.key.ID},
		{"no aud", func(m *machine) string { return m.assertion("aud", nil) }, m.key.ID},
		{"no exp", func(m *machine) string { return m.assertion("exp", nil) }, m.key.ID},
		{"iss is a list", func(m *machine) string { return m.assertion("iss", []string{m.key.ID}) }, m.key.ID},
		{"no JWT", func(*machine) string { return "x" }, m.key.ID},
		{"too long", func(m *machine) string { return m.assertion("x", strings.Repeat("x", jose.MaxToken)) }, m.key.ID},
	} {
		t.Run("7523-02 "+tc.name, func(t *testing.T) {
			m := m.at(t)
			if tc.clientID == "" {
				m.refused(tc.assertion(m))
				return
			}
			m.refused(tc.assertion(m), "client_id", tc.clientID)
		})
	}

	base := m.w.base
	for name, aud := range map[string]any{
		"a list of the issuer": []string{base}, "a list with the issuer": []string{base, "https://b.example"}, "the token endpoint": base + "/api/login",
		"the issuer with a slash": base + "/", "in capitals": strings.ToUpper(base), "another": "https://b.example", "the client": m.key.ID, "empty": "", "a list of nothing": []string{},
	} {
		t.Run("7523-03 aud is "+name, func(t *testing.T) {
			m := m.at(t)
			m.refused(m.assertion("aud", aud))
		})
	}
	t.Run("7523-03 aud is the token endpoint, and the public key allows it", func(t *testing.T) {
		m := w.at(t).newMachine(func(p *store.PublicKey) { p.EndpointAudience = true })
		require.Equal(t, http.StatusOK, m.login(m.assertion("aud", base+"/api/login")).StatusCode)
		require.Equal(t, http.StatusOK, m.login(m.assertion()).StatusCode, "the issuer still is one")
		m.refused(m.assertion("aud", base+"/api/introspect"))
		m.refused(m.assertion("aud", []string{base + "/api/login"}))
		m.refused(m.assertion("aud", ""))
	})

	for _, tc := range []struct {
		name   string
		header map[string]any
		ok     bool
	}{
		{"none", map[string]any{"typ": nil}, true},
		{"JWT", map[string]any{"typ": "JWT"}, true},
		{"jwt, as a media type", map[string]any{"typ": "application/jwt"}, true},
		{"that of the draft", map[string]any{"typ": "client-authentication+jwt"}, true},
		{"that of an access token", map[string]any{"typ": "at+jwt"}, false},
		{"that of an access token, as a media type", map[string]any{"typ": "application/at+jwt"}, false},
		{"that of DPoP", map[string]any{"typ": "dpop+jwt"}, false},
		{"that of a logout token", map[string]any{"typ": "logout+jwt"}, false},
	} {
		t.Run("9068-06 typ is "+tc.name, func(t *testing.T) {
			m := m.at(t)
			text := m.Sign(t, tc.header, m.claims())
			if tc.ok {
				require.Equal(t, http.StatusOK, m.login(text).StatusCode)
				return
			}
			m.refused(text)
		})
	}
	t.Run("B34 an access token of this server proves nothing", func(t *testing.T) {
		m := m.at(t)
		token := m.login(m.assertion()).Token()
		m.refused(token)
		m.refused(token, "client_id", m.key.ID)
	})
	t.Run("9068-06 an assertion is no access token", func(t *testing.T) {
		m := m.at(t)
		require.Equal(t, http.StatusUnauthorized, m.w.call(m.assertion()))
	})
}

// TestAssertionAlgorithms tests 7523-07: only a key of the client's own, in its own algorithm.
func TestAssertionAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unthrottled)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsaKey := harness.RSAKey()
	point, err := ec.PublicKey.Bytes()
	require.NoError(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	rsaJWK := `"kty":"RSA","n":"` + b64(rsaKey.N.Bytes()) + `","e":"AQAB"`
	kinds := []struct {
		name, jwk string
		method    jwt.SigningMethod
		private   any
	}{
		{"ES256", `{"kty":"EC","crv":"P-256","x":"` + b64(point[1:33]) + `","y":"` + b64(point[33:]) + `"}`, jwt.SigningMethodES256, ec},
		{"RS256", `{` + rsaJWK + `}`, jwt.SigningMethodRS256, rsaKey},
		{"PS256", `{` + rsaJWK + `,"alg":"PS256"}`, jwt.SigningMethodPS256, rsaKey},
		{"EdDSA", `{"kty":"OKP","crv":"Ed25519","x":"` + b64(public) + `"}`, jwt.SigningMethodEdDSA, ed},
	}
	newKey := func(t *testing.T, jwks ...string) *machine {
		spec := apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), NoSecret: true}
		for _, jwk := range jwks {
			spec.Credentials = append(spec.Credentials, apikey.CredentialSpec{Name: "ci", PublicKey: &store.PublicKey{JWK: jwk}})
		}
		key, _, err := w.APIKeys().Create(t.Context(), admin, spec)
		require.NoError(t, err)
		return &machine{w: w.at(t), key: key}
	}
	sign := func(t *testing.T, m *machine, method jwt.SigningMethod, private any, kid string) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims(m.claims()))
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(private)
		require.NoError(t, err)
		return text
	}
	for _, kind := range kinds {
		t.Run("7523-07 "+kind.name, func(t *testing.T) {
			m := newKey(t, kind.jwk)
			parsed, _, err := jose.ParsePublicKey([]byte(kind.jwk))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, m.login(sign(t, m, kind.method, kind.private, "")).StatusCode, "without a kid")
			require.Equal(t, http.StatusOK, m.login(sign(t, m, kind.method, kind.private, parsed.ID)).StatusCode)
			m.refused(sign(t, m, kind.method, kind.private, "unknown"))
			for _, other := range kinds {
				if other.name != kind.name {
					m.refused(sign(t, m, other.method, other.private, ""))
					m.refused(sign(t, m, other.method, other.private, parsed.ID))
				}
			}
			if private, ok := kind.private.(*rsa.PrivateKey); ok {
				m.refused(sign(t, m, jwt.SigningMethodRS384, private, ""))
			}
		})
		t.Run("7523-07 none, and HS256 with the public key as the secret, for "+kind.name, func(t *testing.T) {
			m := newKey(t, kind.jwk)
			m.refused(sign(t, m, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, ""))
			for _, secret := range []string{kind.jwk, m.key.Credentials[0].PublicKey.JWK, m.key.ID} {
				m.refused(sign(t, m, jwt.SigningMethodHS256, []byte(secret), ""))
			}
		})
	}
	t.Run("7523-07 without a kid all public keys of the key are tried", func(t *testing.T) {
		var jwks []string
		for i := range 7 {
			jwks = append(jwks, harness.NewProgram(t, fmt.Sprint("k", i)).JWK(t))
		}
		m := newKey(t, append(jwks, kinds[0].jwk)...)
		require.Len(t, m.key.Credentials, 8)
		a := m.login(sign(t, m, kinds[0].method, kinds[0].private, ""))
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		require.Equal(t, m.key.Credentials[7].ID, harness.Claims(t, a.Token())["credential_id"])
		m.refused(sign(t, m, kinds[0].method, kinds[0].private, "k0"))
	})
	t.Run("7523-07 two public keys with one kid", func(t *testing.T) {
		p, q := harness.NewProgram(t, "same"), harness.NewProgram(t, "same")
		key, _, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", NoSecret: true, Credentials: []apikey.CredentialSpec{
			{Name: "old", PublicKey: &store.PublicKey{JWK: p.JWK(t)}}, {Name: "new", PublicKey: &store.PublicKey{JWK: q.JWK(t)}},
		}})
		if err != nil {
			return // refused when it was added
		}
		m := &machine{Program: q, w: w.at(t), key: key}
		require.Equal(t, http.StatusOK, m.login(m.assertion()).StatusCode)
	})
	t.Run("7523-07 a key of another client", func(t *testing.T) {
		m, other := newKey(t, kinds[0].jwk), newKey(t, kinds[1].jwk)
		m.refused(sign(t, m, kinds[1].method, kinds[1].private, ""))
		other.refused(sign(t, other, kinds[0].method, kinds[0].private, ""))
	})
	t.Run("7523-07 a signature that was changed", func(t *testing.T) {
		m := newKey(t, kinds[0].jwk)
		text := sign(t, m, kinds[0].method, kinds[0].private, "")
		at := strings.LastIndex(text, ".")
		signature, err := base64.RawURLEncoding.DecodeString(text[at+1:])
		require.NoError(t, err)
		s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
		for _, changed := range [][]byte{signature[:63], append(signature, 0), make([]byte, 64), nil} {
			m.refused(text[:at+1] + b64(changed))
		}
		require.Equal(t, http.StatusOK, m.login(text).StatusCode)
		m.refused(text[:at+1] + b64(append(signature[:32:32], s.FillBytes(make([]byte, 32))...)))
	})
	for name, jwk := range map[string]string{
		"2047 bits":             `{"kty":"RSA","e":"AQAB","n":"` + b64(new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), 2046, 1), 0, 1).Bytes()) + `"}`,
		"a point off the curve": `{"kty":"EC","crv":"P-256","x":"` + b64(point[1:33]) + `","y":"` + b64(point[1:33]) + `"}`,
		"a secret":              `{"kty":"oct","k":"` + b64(point) + `"}`,
	} {
		t.Run("7523-07 a key cannot have "+name, func(t *testing.T) {
			_, _, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", NoSecret: true,
				Credentials: []apikey.CredentialSpec{{Name: "ci", PublicKey: &store.PublicKey{JWK: jwk}}}})
			require.ErrorContains(t, err, "public_key")
		})
	}
}
