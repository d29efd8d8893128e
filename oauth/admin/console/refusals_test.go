package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// TestRefusals: every error has its page. An unknown error's text is not shown.
func TestRefusals(t *testing.T) {
	var pages *console.Console
	log := &harness.Recorder{}
	newQuietRig(t, func(st *store.Store, keys *apikey.Config, cfg *console.Config) {
		service, err := apikey.New(*st, *keys)
		require.NoError(t, err)
		own := *cfg
		own.Logger = log.Logger()
		pages, err = console.New(service, own)
		require.NoError(t, err)
	})
	refuse := func(ctx context.Context, err error) harness.Answer {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages.Refuse(w, r.WithContext(ctx), err) })
		return harness.Serve(handler, harness.Incoming(http.MethodGet, "/keys/x", ""))
	}
	ended, hangUp := context.WithCancel(t.Context())
	hangUp()
	for _, tc := range harness.Refusals() {
		if tc.ManageStatus == http.StatusServiceUnavailable {
			require.Equal(t, tc.ManageStatus, refuse(ended, tc.Err).StatusCode)
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, refuse(ended, harness.Unhashable{"of a driver's own"}).StatusCode)
	require.NotContains(t, log.String(), "level=ERROR", "a person who left is no outage")
	for _, tc := range harness.Refusals() {
		t.Run(tc.Name, func(t *testing.T) {
			a := refuse(t.Context(), tc.Err)
			tc.Check(t, a, tc.ManageStatus)
			require.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"))
			require.NotContains(t, a.Body, "<h1></h1>")
			require.False(t, strings.Contains(a.Body, "<b></b>"), "the page says what to do: %s", a.Body)
		})
	}
	require.Contains(t, log.String(), "a page failed")
}
