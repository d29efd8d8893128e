package oauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// TestRefusals tests the response to every error; that to an unknown error reveals
// nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refuse := func(ctx context.Context, err error) answer {
		handler := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { w.Refuse(ctx, rw, err) })
		return harness.Serve(handler, harness.Incoming(http.MethodPost, "/api/login", ""))
	}
	for _, tc := range harness.Refusals() {
		t.Run(tc.Name, func(t *testing.T) {
			a := refuse(t.Context(), tc.Err)
			tc.Check(t, a, tc.OAuthStatus)
			w.at(t).refused(a, tc.OAuthStatus, tc.OAuthCode)
		})
	}
	require.Contains(t, w.log.String(), "a client's request failed")
	t.Run("a client that hung up", func(t *testing.T) {
		w := newWorld(t)
		ended, hangUp := context.WithCancel(t.Context())
		hangUp()
		for _, tc := range harness.Refusals() {
			if tc.OAuthStatus == http.StatusServiceUnavailable {
				w.Refuse(ended, discard{}, tc.Err)
			}
		}
		w.Refuse(ended, discard{}, harness.Unhashable{"of a driver's own"})
		require.NotContains(t, w.log.String(), "level=ERROR")
	})
}
