package gooauth2_test

import (
	"testing"

	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// TestEveryErrorIsGoOAuth2s tests that every error is one of go-oauth2's, since
// server.Server repeats the text of others to the client.
func TestEveryErrorIsGoOAuth2s(t *testing.T) {
	for _, tc := range harness.Refusals() {
		t.Run(tc.Name, func(t *testing.T) {
			got := gooauth2.AnswerTo(t.Context(), tc.Err)
			require.Contains(t, oautherrors.Descriptions, got)
			want := tc.OAuthCode
			if want == "invalid_target" { // go-oauth2 has no resources
				want = "server_error"
			}
			require.EqualError(t, got, want)
		})
	}
}
