package assertion_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth/assertion"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/trust"
)

// newHost starts a host and ends it with the test.
func newHost(t *testing.T, key crypto.Signer, kid string, trusted ...trust.Issuer) *host {
	t.Helper()
	h, err := startHost(key, kid, trusted...)
	require.NoError(t, err)
	t.Cleanup(h.web.Close)
	return h
}

func newECDSA(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// config returns the configuration of a client that signs with key.
func (h *host) config(key crypto.Signer, kid string) assertion.Config {
	return assertion.Config{TokenURL: h.tokenURL, ClientID: h.clientID, Assertion: assertion.Signed(key, kid, h.clientID, h.issuer)}
}

// outside is a key outside the process.
type outside struct{ crypto.Signer }

func TestOwnKeys(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p256 := newECDSA(t, elliptic.P256())
	for _, c := range []struct {
		name string
		key  crypto.Signer
		kid  string
	}{
		{"ES256", p256, "k1"},
		{"ES256, a JWK without kid", p256, ""},
		{"ES256 outside the process", outside{p256}, "k1"},
		{"RS256", harness.RSAKey(), "k1"},
		{"RS256 outside the process", outside{harness.RSAKey()}, ""},
		{"EdDSA", ed, "k1"},
		{"EdDSA outside the process", outside{ed}, ""},
	} {
		t.Run("9700-03 "+c.name, func(t *testing.T) {
			h := newHost(t, c.key, c.kid)
			cfg := h.config(c.key, c.kid)
			token, err := assertion.TokenSource(t.Context(), cfg).Token()
			require.NoError(t, err)
			require.Equal(t, "project.list project.read", token.Extra("scope"))
			require.Equal(t, h.clientID, harness.Claims(t, token.AccessToken)["sub"])

			cfg.Scopes, cfg.Resource = []string{"project.read"}, "https://files.example.com"
			token, err = assertion.TokenSource(t.Context(), cfg).Token()
			require.NoError(t, err)
			require.Equal(t, "project.read", token.Extra("scope"))
			require.Equal(t, "https://files.example.com", harness.Claims(t, token.AccessToken)["aud"])
		})
	}
}

func TestEachLoginHasItsOwnAssertion(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	h := newHost(t, key, "k1")
	cfg := h.config(key, "k1")
	before := time.Now().Unix()
	first, err := cfg.Assertion(t.Context())
	require.NoError(t, err)
	second, err := cfg.Assertion(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]any{"alg": "ES256", "kid": "k1", "typ": "client-authentication+jwt"}, harness.Head(t, first))
	claims := harness.Claims(t, first)
	require.NotEqual(t, claims["jti"], harness.Claims(t, second)["jti"])
	require.Len(t, claims["jti"], 26)
	issued := claims["iat"].(float64)
	require.GreaterOrEqual(t, int64(issued), before)
	require.LessOrEqual(t, int64(issued), time.Now().Unix())
	require.InDelta(t, issued+60, claims["exp"], 0)
	delete(claims, "jti")
	delete(claims, "iat")
	delete(claims, "exp")
	require.Equal(t, map[string]any{"iss": h.clientID, "sub": h.clientID, "aud": h.issuer}, claims)

	t.Run("a token is used until it expires", func(t *testing.T) {
		asked := 0
		again := cfg
		again.Assertion = func(ctx context.Context) (string, error) { asked++; return cfg.Assertion(ctx) }
		source := assertion.TokenSource(t.Context(), again)
		one, err := source.Token()
		require.NoError(t, err)
		two, err := source.Token()
		require.NoError(t, err)
		require.Equal(t, one, two)
		require.Equal(t, 1, asked)
	})
	t.Run("7523-05 one that was sent before is refused", func(t *testing.T) {
		again := cfg
		again.Assertion = func(context.Context) (string, error) { return first, nil }
		_, err := assertion.TokenSource(t.Context(), again).Token()
		require.NoError(t, err)
		refused(t, again, http.StatusUnauthorized, "invalid_client")
	})
}

// refused checks that the server refuses a login.
func refused(t *testing.T, cfg assertion.Config, status int, code string) {
	t.Helper()
	_, err := assertion.TokenSource(t.Context(), cfg).Token()
	var refused *oauth2.RetrieveError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, status, refused.Response.StatusCode)
	require.Equal(t, code, refused.ErrorCode)
	require.Contains(t, err.Error(), "assertion: login: ")
	require.Contains(t, err.Error(), refused.ErrorDescription)
}

func TestServerRefuses(t *testing.T) {
	key, other := newECDSA(t, elliptic.P256()), newECDSA(t, elliptic.P256())
	h := newHost(t, key, "k1")
	for _, c := range []struct {
		name   string
		change func(*assertion.Config)
		status int
		code   string
	}{
		{"another key", func(c *assertion.Config) { c.Assertion = assertion.Signed(other, "k1", h.clientID, h.issuer) }, http.StatusUnauthorized, "invalid_client"},
		{"another kid", func(c *assertion.Config) { c.Assertion = assertion.Signed(key, "k2", h.clientID, h.issuer) }, http.StatusUnauthorized, "invalid_client"},
		{"another audience", func(c *assertion.Config) { c.Assertion = assertion.Signed(key, "k1", h.clientID, h.tokenURL) }, http.StatusUnauthorized, "invalid_client"},
		{"another client in the assertion", func(c *assertion.Config) { c.Assertion = assertion.Signed(key, "k1", "nobody", h.issuer) }, http.StatusUnauthorized, "invalid_client"},
		{"another client in the request", func(c *assertion.Config) { c.ClientID = "nobody" }, http.StatusUnauthorized, "invalid_client"},
		{"a scope that the key does not have", func(c *assertion.Config) { c.Scopes = []string{"billing.read"} }, http.StatusBadRequest, "invalid_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := h.config(key, "k1")
			c.change(&cfg)
			refused(t, cfg, c.status, c.code)
		})
	}
}

func TestClientRefuses(t *testing.T) {
	key := newECDSA(t, elliptic.P256())
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	failed := errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		change func(*assertion.Config)
		want   string
	}{
		{"no TokenURL", func(c *assertion.Config) { c.TokenURL = "" }, "Config.TokenURL, ClientID and Assertion are required"},
		{"no ClientID", func(c *assertion.Config) { c.ClientID = "" }, "Config.TokenURL, ClientID and Assertion are required"},
		{"no Assertion", func(c *assertion.Config) { c.Assertion = nil }, "Config.TokenURL, ClientID and Assertion are required"},
		{"P-384", func(c *assertion.Config) {
			c.Assertion = assertion.Signed(newECDSA(t, elliptic.P384()), "k", "id", "issuer")
		}, "P-256"},
		{"RSA of 1024 bits", func(c *assertion.Config) { c.Assertion = assertion.Signed(small, "k", "id", "issuer") }, "2048"},
		{"no key", func(c *assertion.Config) { c.Assertion = assertion.Signed(nil, "k", "id", "issuer") }, "key"},
		{"an empty assertion", func(c *assertion.Config) {
			c.Assertion = func(context.Context) (string, error) { return "", nil }
		}, "Config.Assertion returned an empty text"},
		{"a function that fails", func(c *assertion.Config) {
			c.Assertion = func(context.Context) (string, error) { return "", failed }
		}, "assertion: the disk is full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }))
			defer web.Close()
			cfg := assertion.Config{TokenURL: web.URL, ClientID: "id", Assertion: assertion.Signed(key, "k", "id", "issuer")}
			c.change(&cfg)
			_, err := assertion.TokenSource(t.Context(), cfg).Token()
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestErrorsHaveNoAssertion has a server and proxies that repeat the request.
func TestErrorsHaveNoAssertion(t *testing.T) {
	const secret = "eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl"
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter, form url.Values)
		want   string
	}{
		{"in the description", func(w http.ResponseWriter, form url.Values) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "cannot read " + form.Get("client_assertion")})
		}, "not shown"},
		{"in the description, cut off", func(w http.ResponseWriter, form url.Values) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "cannot read " + form.Get("client_assertion")[:32]})
		}, "not shown"},
		{"in the error", func(w http.ResponseWriter, form url.Values) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": form.Get("client_assertion")})
		}, "not shown"},
		{"in the URI", func(w http.ResponseWriter, form url.Values) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_uri": "https://x.example/?" + form.Get("client_assertion")})
		}, "not shown"},
		{"in a page", func(w http.ResponseWriter, form url.Values) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "no upstream for ", form.Encode())
		}, "502 Bad Gateway"},
		{"in a page with status 200", func(w http.ResponseWriter, form url.Values) { fmt.Fprint(w, form.Encode()) }, "missing access_token"},
		{"in JSON that cannot be read", func(w http.ResponseWriter, form url.Values) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, "{%q:", form.Get("client_assertion"))
		}, "cannot parse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				c.answer(w, r.PostForm)
			}))
			defer web.Close()
			_, err := assertion.TokenSource(t.Context(), assertion.Config{
				TokenURL: web.URL, ClientID: "id", Assertion: func(context.Context) (string, error) { return secret, nil },
			}).Token()
			require.ErrorContains(t, err, c.want)
			for err := err; err != nil; err = errors.Unwrap(err) {
				require.NotContains(t, fmt.Sprintf("%v %+v", err, err), secret[4:20])
			}
		})
	}
}

func TestNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	web := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer web.Close()
	key := newECDSA(t, elliptic.P256())
	cfg := assertion.Config{TokenURL: web.URL, ClientID: "id", Assertion: assertion.Signed(key, "k", "id", "issuer")}
	_, err := assertion.TokenSource(t.Context(), cfg).Token()
	require.ErrorContains(t, err, "307 Temporary Redirect")
}

// silent is a server that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		name      string
		own, want time.Duration
	}{{"default", 0, time.Minute}, {"of the client", time.Hour, time.Hour}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: silent{}, Timeout: c.own})
				key := newECDSA(t, elliptic.P256())
				began := time.Now()
				_, err := assertion.TokenSource(ctx, assertion.Config{
					TokenURL: "http://127.0.0.1/", ClientID: "id", Assertion: assertion.Signed(key, "k", "id", "issuer"),
				}).Token()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, c.want, time.Since(began))
			})
		})
	}
}
