package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestLeakKeys tests what the key server may do.
func TestLeakKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, answer := range map[string]func(s *scanner) http.HandlerFunc{
		"B33 down": func(*scanner) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		},
		"B33 slow": func(*scanner) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		},
		"B33 huge": func(s *scanner) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(s.document("k1", &s.key.PublicKey) + strings.Repeat(" ", 64<<10)))
			}
		},
		"B33 redirects": func(s *scanner) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					_, _ = w.Write([]byte(s.document("k1", &s.key.PublicKey)))
					return
				}
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}
		},
		"B33 RSA":    func(s *scanner) http.HandlerFunc { return text(s.document("k1", &rsaKey.PublicKey)) },
		"B33 P-384":  func(s *scanner) http.HandlerFunc { return text(s.document("k1", &p384.PublicKey)) },
		"B33 no PEM": func(s *scanner) http.HandlerFunc { return text(s.document("k1", "MFkw")) },
		"B33 no DER": func(s *scanner) http.HandlerFunc {
			return text(s.document("k1", "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"))
		},
		"B33 none":        func(*scanner) http.HandlerFunc { return text(`{"public_keys":[]}`) },
		"B33 no JSON":     func(*scanner) http.HandlerFunc { return text("canary") },
		"B33 a key set":   func(*scanner) http.HandlerFunc { return text(`{"keys":[]}`) },
		"B33 without ids": func(s *scanner) http.HandlerFunc { return text(s.document("", &s.key.PublicKey)) },
		"B33 connection": func(*scanner) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		},
		"B33 two publics": func(s *scanner) http.HandlerFunc {
			return text(`{"public_keys":[],` + s.document("k1", &s.key.PublicKey)[1:])
		},
		"B33 other letter": func(s *scanner) http.HandlerFunc {
			return text(strings.Replace(s.document("k1", &s.key.PublicKey), "public_keys", "Public_keys", 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeaks(t, nil)
			l.scanner.answers(answer(l.scanner))
			l.refused(l.report(reportOf(l.secret)), http.StatusServiceUnavailable, "temporarily_unavailable")
			require.Empty(t, l.hooked)
			require.NotContains(t, l.log.String(), "canary")
			if name == "B33 slow" {
				return
			}
			require.Contains(t, l.log.String(), "the keys at a URL could not be fetched")
			l.scanner.serves(l.scanner.document("rsa", &rsaKey.PublicKey, "k1", &l.scanner.key.PublicKey))
			l.clock.Advance(2 * time.Second)
			l.report(reportOf(l.secret)).Wants(http.StatusOK)
			require.Len(t, l.hooked, 1, "a key of another kind beside it does no harm")
			// The last good set is used for a day, and fetched again after an hour.
			l.scanner.answers(answer(l.scanner))
			l.clock.Advance(23 * time.Hour)
			l.report(reportOf(l.secret)).Wants(http.StatusOK)
			l.clock.Advance(time.Hour)
			l.refused(l.report(reportOf(l.secret)), http.StatusServiceUnavailable, "temporarily_unavailable")
		})
	}
	t.Run("B33 a new key", func(t *testing.T) {
		t.Parallel()
		l := newLeaks(t, nil)
		l.report(reportOf(l.secret)).Wants(http.StatusOK)
		l.scanner.serves(l.scanner.document("k1", &p384.PublicKey, "k2", &l.scanner.key.PublicKey))
		body := reportOf(l.secret)
		headers := l.scanner.sign(body)
		headers[3] = "k2"
		for range 100 {
			l.refused(l.send(body, headers...), http.StatusForbidden, "access_denied")
		}
		require.EqualValues(t, 1, l.scanner.fetches.Load())
		l.clock.Advance(time.Minute)
		l.send(body, headers...).Wants(http.StatusOK)
		l.refused(l.report(body), http.StatusForbidden, "access_denied")
		require.EqualValues(t, 2, l.scanner.fetches.Load())
	})
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func TestLeakConfig(t *testing.T) {
	t.Parallel()
	srv, err := oauth.New(memstore.New(), oauth.Config{Issuer: "https://api.example.com", Permissions: catalog, Logger: quiet})
	require.NoError(t, err)
	for _, tc := range []struct {
		name    string
		config  oauth.LeakConfig
		problem string
	}{
		{"no URL", oauth.LeakConfig{}, "oauth: LeakConfig.KeysURL: it is missing; for GitHub set https://api.github.com/meta/public_keys/secret_scanning"},
		{"http", oauth.LeakConfig{KeysURL: "http://127.0.0.1/keys"}, "URL: must be an https URL"},
		{"a password", oauth.LeakConfig{KeysURL: "https://a:b@github.com/"}, "must not hold a user name or password"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler, err := srv.LeakReports(tc.config)
			require.ErrorContains(t, err, tc.problem)
			require.Nil(t, handler)
		})
	}
	_, err = srv.LeakReports(oauth.LeakConfig{KeysURL: "https://api.github.com/meta/public_keys/secret_scanning"})
	require.NoError(t, err)
}
