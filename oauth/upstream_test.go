package oauth_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// countingKey counts the reads of the key.
type countingKey struct {
	crypto.Signer
	asked *atomic.Int64
}

func (k countingKey) Public() crypto.PublicKey {
	k.asked.Add(1)
	return k.Signer.Public()
}

func (k countingKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.Signer.Sign(random, digest, opts)
}

// TestUpstreamDefects tests that Latchkey, which makes its tokens with go-oauth2's
// manager, does not have the defects of a go-oauth2 server.
func TestUpstreamDefects(t *testing.T) {
	t.Parallel()
	_, _, ecKey := testKeys()
	var asked atomic.Int64
	var hooked, logins, refusals atomic.Int64
	var hook error
	st, tapped := harness.NewTap()
	w := newWorld(t, func(s *setup) {
		s.store = st
		s.config.Signers = []oauth.SigningKey{{Key: countingKey{ecKey, &asked}}}
		s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { hooked.Add(1); return hook })
		s.config.Claims = func(context.Context, *apikey.Grant) (map[string]any, error) { hooked.Add(1); return nil, nil }
		s.config.APIKeys.Workspaces = func(context.Context, string) (bool, error) { hooked.Add(1); return true, nil }
		s.config.Observer = func(_ context.Context, o observe.Decision) {
			if o.Reason != "" {
				refusals.Add(1)
			} else {
				logins.Add(1)
			}
		}
	})
	id, secret := w.key.ID, w.secret
	_, foreign := w.newKey("team-b", "")

	t.Run("an unknown client is 401, not 500", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc, basic("nobody", foreign)...), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("an empty secret is no secret", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(cc+"&client_secret=&client_id="+id), http.StatusUnauthorized, "invalid_client")
		w.refused(w.postJSON(`{"clientId":"`+id+`","clientSecret":""}`), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("no hook runs before the client is authenticated", func(t *testing.T) {
		w := w.at(t)
		hooked.Store(0)
		w.post(cc, basic(id, foreign)...)
		w.post(cc+"&scope=%22", basic(id, typo(secret))...)
		w.post("grant_type=password&username=a&password=b", basic(id, secret)...)
		require.Zero(t, hooked.Load())
	})
	t.Run("parameters from the URL are refused", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.send(http.MethodPost, "/api/login?"+w.grant(), "", "Content-Type", form), http.StatusBadRequest, "invalid_request")
	})
	t.Run("a repeated parameter is refused", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(w.grant("scope", "project.list")+"&scope=project.read"), http.StatusBadRequest, "invalid_request")
	})
	t.Run("Basic is form-decoded", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.post(cc, header("Basic", strings.ReplaceAll(id, "-", "%2D")+":"+secret)...).StatusCode)
	})
	t.Run("401 carries WWW-Authenticate", func(t *testing.T) {
		require.NotEmpty(t, w.at(t).post(cc).Header.Get("WWW-Authenticate"))
	})
	t.Run("unauthorized_client is 400", func(t *testing.T) {
		w := w.at(t)
		hook = &policy.Denied{Rule: "no"}
		defer func() { hook = nil }()
		w.refused(w.post(w.grant()), http.StatusBadRequest, "unauthorized_client")
	})
	for _, grant := range []string{"authorization_code&code=x&redirect_uri=https://a", "refresh_token&refresh_token=x", "password&username=a&password=b"} {
		t.Run("never invalid_grant with 401: "+grant, func(t *testing.T) {
			w := w.at(t)
			w.refused(w.post("grant_type="+grant, basic(id, secret)...), http.StatusBadRequest, "unsupported_grant_type")
		})
	}
	t.Run("a missing grant_type is invalid_request", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post("scope=project.list", basic(id, secret)...), http.StatusBadRequest, "invalid_request")
	})
	t.Run("scope is checked, not echoed", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(w.grant("scope", "root")), http.StatusBadRequest, "invalid_scope")
	})
	t.Run("a token has all claims, the audience is not the client, and no two are alike", func(t *testing.T) {
		w := w.at(t)
		one, two := w.login(id, secret), w.login(id, secret) // the clock stands still
		require.NotEqual(t, one, two)
		claims := harness.Claims(t, one)
		for _, name := range []string{"iss", "iat", "jti", "client_id", "aud", "exp", "sub"} {
			require.NotEmpty(t, claims[name], name)
		}
		require.NotEqual(t, id, claims["aud"])
	})
	t.Run("the private key is read once, not for every token", func(t *testing.T) {
		w := w.at(t)
		asked.Store(0)
		for range 20 {
			w.login(id, secret)
		}
		require.Zero(t, asked.Load())
	})
	for _, tc := range []struct {
		name string
		err  error
		code string
		want int
	}{
		{"a wrapped denial is that denial", fmt.Errorf("a: %w", fmt.Errorf("b: %w", &policy.Denied{Rule: "no"})), "unauthorized_client", 400},
		{"a wrapped outage is 503", fmt.Errorf("a: %w", store.ErrUnavailable), "temporarily_unavailable", 503},
		{"joined with another", errors.Join(errors.New("x"), store.ErrUnavailable), "temporarily_unavailable", 503},
		{"an error of an unhashable type does not panic", unhashable{"x"}, "unauthorized_client", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.at(t)
			hook = tc.err
			defer func() { hook = nil }()
			w.refused(w.post(w.grant()), tc.want, tc.code)
		})
	}
	t.Run("an unhashable error of the store does not panic either", func(t *testing.T) {
		w := w.at(t)
		tapped.Before(func(context.Context, string) error { return unhashable{"canary"} })
		defer tapped.Before(nil)
		w.refused(w.post(w.grant()), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
	t.Run("one read and no write for a login, one read for a refusal, no read for a malformed login", func(t *testing.T) {
		w := w.at(t)
		logins.Store(0)
		refusals.Store(0)
		tapped.Take()
		w.login(id, secret)
		require.Equal(t, map[string]int{"Keys.Lookup": 1}, tapped.Take())
		w.post(cc, basic(id, foreign)...)
		require.Equal(t, map[string]int{"Keys.Lookup": 1}, tapped.Take())
		w.post(cc, basic(id, "nonsense")...)
		w.post(cc, basic(id, typo(secret))...)
		require.Empty(t, tapped.Take(), "a typo is refused without a read")
		require.EqualValues(t, 1, logins.Load())
		require.EqualValues(t, 3, refusals.Load(), "each attempt was checked once")
	})
}
