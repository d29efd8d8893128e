package oauthtest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/observe"
)

// echo answers with the principal and the request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, _ := bearer.PrincipalFrom(r.Context())
	body, _ := io.ReadAll(r.Body)
	_, _ = io.WriteString(w, p.Workspace+" "+p.Permissions.String()+" "+string(body))
})

func TestClient(t *testing.T) {
	var count atomic.Int64
	auth := oauthtest.NewWith(t, oauth.Config{
		Permissions: catalog,
		Observer: func(_ context.Context, o observe.Decision) {
			if o.Use == observe.Login && o.Reason == "" {
				count.Add(1)
			}
		},
	})
	auth.Mount(auth.Server().Require("project.list").AnyWorkspace()(echo))
	admin := apikey.OrganizationAdmin("ada")
	logins := count.Load
	post := func(t *testing.T, client *http.Client) (int, string) {
		t.Helper()
		answer, err := client.Post(auth.URL+"/x", "text/plain", strings.NewReader("sent"))
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
	t.Run("logs in once until the token expires", func(t *testing.T) {
		client, before := auth.Client(t, "team-a", "project.list"), logins()
		for range 3 {
			status, body := post(t, client)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "team-a project.list sent", body)
		}
		require.Equal(t, before+1, logins())
		auth.Clock.Advance(5*time.Minute - time.Second)
		post(t, client)
		require.Equal(t, before+1, logins())
		auth.Clock.Advance(time.Second)
		status, _ := post(t, client)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, before+2, logins())
	})
	t.Run("logs in again in time if the clock has a fraction of a second", func(t *testing.T) {
		auth.Clock.Advance(700 * time.Millisecond)
		client := auth.Client(t, "team-a", "project.list")
		post(t, client)
		auth.Clock.Advance(5*time.Minute - 500*time.Millisecond) // exp has no fractions
		status, _ := post(t, client)
		require.Equal(t, http.StatusOK, status)
	})
	t.Run("a refused token is an answer", func(t *testing.T) {
		status, _ := post(t, auth.Client(t, "team-a"))
		require.Equal(t, http.StatusForbidden, status)
		id, secret := auth.Key(t, "team-a", "project.list")
		client := auth.ClientOf(id, secret)
		post(t, client)
		_, err := auth.Server().APIKeys().Disable(t.Context(), admin, id, 0)
		require.NoError(t, err)
		status, _ = post(t, client)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("a refused login is an error", func(t *testing.T) {
		id, secret := auth.Key(t, "team-a", "project.list")
		_, err := auth.Server().APIKeys().Disable(t.Context(), admin, id, 0)
		require.NoError(t, err)
		_, err = auth.ClientOf(id, secret).Post(auth.URL+"/x", "text/plain", strings.NewReader("sent"))
		require.ErrorContains(t, err, "oauthtest: log in: the server refused the login: 401")
		require.ErrorContains(t, err, "This API key is disabled.")
		require.NotContains(t, err.Error(), secret)
	})
	t.Run("a cancelled request", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, auth.URL, nil)
		require.NoError(t, err)
		_, err = auth.Client(t, "team-a").Do(r)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("concurrent requests log in once", func(t *testing.T) {
		client, before := auth.Client(t, "team-a", "project.list"), logins()
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				if answer, err := client.Get(auth.URL); err == nil {
					_ = answer.Body.Close()
				}
			})
		}
		wait.Wait()
		require.Equal(t, before+1, logins())
	})
	t.Run("the caller's request is not changed", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, auth.URL, nil)
		require.NoError(t, err)
		answer, err := auth.Client(t, "team-a").Transport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Empty(t, r.Header)
	})
}
