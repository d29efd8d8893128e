package oauthtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/oauthtest"
)

// closing records whether a request's body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestRoundTripper(t *testing.T) {
	auth := oauthtest.New(t, "project.list")
	auth.Mount(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprint(r.Method, " ", r.Host, " ", r.RequestURI, " ", r.URL, " ", r.TLS != nil, " ", r.ContentLength, " ", r.RemoteAddr != ""))
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body)
	}))
	send := func(t *testing.T, rt *oauthtest.RoundTripper, method, target, body string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		require.NoError(t, err)
		answer, err := rt.RoundTrip(r)
		require.NoError(t, err)
		require.Same(t, r, answer.Request)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer, string(text)
	}
	t.Run("the API, whatever its host", func(t *testing.T) {
		rt := auth.RoundTripper()
		answer, body := send(t, rt, http.MethodPut, "https://api.example.com/a%2Fb?q=1", "sent")
		require.Equal(t, http.StatusAccepted, answer.StatusCode)
		require.Equal(t, "sent", body)
		require.Equal(t, "PUT api.example.com /a%2Fb?q=1 /a%2Fb?q=1 true 4 true", answer.Header.Get("X-Seen"))
		answer, _ = send(t, rt, http.MethodGet, "http://localhost:8080", "")
		require.Equal(t, "GET localhost:8080 / / false 0 true", answer.Header.Get("X-Seen"))
		require.Equal(t, 0, rt.Logins())
		require.Equal(t, 2, rt.OtherRequests())
	})
	t.Run("logins, refused ones too, and documents", func(t *testing.T) {
		rt := auth.RoundTripper()
		client := &http.Client{Transport: rt}
		id, secret := auth.Key(t, "team-a", "project.list")
		for _, attempt := range []struct {
			secret string
			status int
		}{{secret, http.StatusOK}, {"lk_wrong", http.StatusUnauthorized}} {
			answer, err := client.PostForm("https://api.example.com/api/login",
				url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {attempt.secret}})
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, attempt.status, answer.StatusCode)
		}
		_, body := send(t, rt, http.MethodGet, "https://api.example.com/.well-known/jwks.json", "")
		require.Contains(t, body, "keys")
		require.Equal(t, 2, rt.Logins())
		require.Equal(t, 1, rt.OtherRequests())
	})
	t.Run("the body is closed, and the request is not changed", func(t *testing.T) {
		body := &closing{Reader: strings.NewReader("sent")}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/x", body)
		require.NoError(t, err)
		answer, err := auth.RoundTripper().RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.True(t, body.closed)
		require.Equal(t, "https://api.example.com/x", r.URL.String())
	})
	t.Run("a cancelled request", func(t *testing.T) {
		rt := auth.RoundTripper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		body := &closing{Reader: strings.NewReader("sent")}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example.com/x", body)
		require.NoError(t, err)
		_, err = rt.RoundTrip(r)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, body.closed)
		require.Zero(t, rt.OtherRequests())
	})
	t.Run("a URL without a host", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
		require.NoError(t, err)
		_, err = auth.RoundTripper().RoundTrip(r)
		require.ErrorContains(t, err, "has no host")
		_, err = auth.RoundTripper().RoundTrip(&http.Request{})
		require.ErrorContains(t, err, "has no host")
	})
}
