package admin_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

func TestMethods(t *testing.T) {
	r := newRig(t)
	for path, allowed := range map[string]string{
		"/keys": "GET, HEAD", "/deletions": "POST", "/settings": "GET, HEAD, PUT", "/keys/k": "GET, HEAD, PATCH, DELETE",
	} {
		got := r.do("ada", http.MethodOptions, path, "")
		got.problem(http.StatusMethodNotAllowed, admin.CodeMethodNotAllowed)
		require.Equal(t, allowed, got.Header.Get("Allow"))
	}
	r.do("ada", http.MethodGet, "/keys/", "").problem(http.StatusNotFound, admin.CodeNotFound)
}

// TestRefusals: every error has its problem document. An unknown error's text is not
// shown.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	refuse := func(t *testing.T, ctx context.Context, conditional bool, err error) *reply {
		handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			r.api.Refuse(w, req.WithContext(ctx), conditional, err)
		})
		answer := harness.Serve(handler, harness.Incoming(http.MethodPost, "/keys", ""))
		answer.T = t
		return &reply{answer}
	}
	for _, tc := range harness.Refusals() {
		t.Run(tc.Name, func(t *testing.T) {
			got := refuse(t, t.Context(), false, tc.Err)
			tc.Check(t, got.Answer, tc.ManageStatus)
			p := got.problem(tc.ManageStatus, tc.ManageCode)
			require.NotEmpty(t, p.Title)
			require.Empty(t, got.Header.Get("WWW-Authenticate"))
			if tc.ManageCode == admin.CodeConflict && tc.Name == "a version that has changed" {
				refuse(t, t.Context(), true, tc.Err).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
		})
	}
	require.Contains(t, r.out.String(), "a management request failed")
	t.Run("a caller that disconnected", func(t *testing.T) {
		ended, hangUp := context.WithCancel(t.Context())
		hangUp()
		r = newRig(t)
		for _, tc := range harness.Refusals() {
			if tc.ManageStatus == http.StatusServiceUnavailable {
				refuse(t, ended, false, tc.Err).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
			}
		}
		refuse(t, ended, false, harness.Unhashable{"of a driver's own"}).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
		require.NotContains(t, r.out.String(), "level=ERROR")
	})
}
