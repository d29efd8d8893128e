package interop_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	zitadelrs "github.com/zitadel/oidc/v3/pkg/client/rs"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
)

// TestZitadelResourceServer: zitadel/oidc's resource server checks tokens by introspection
// (RFC 7662) only.
func TestZitadelResourceServer(t *testing.T) {
	const rs = peer("github.com/zitadel/oidc/v3")
	f := start(t, "ES256")
	server, err := zitadelrs.NewResourceServerClientCredentials(limited(t), f.Issuer, f.ClientID, f.ClientSecret)
	require.NoError(t, err)
	require.Equal(t, f.TokenURL, server.TokenEndpoint())
	introspect := func(t *testing.T, token string) *zitadel.IntrospectionResponse {
		t.Helper()
		answer, err := zitadelrs.Introspect[*zitadel.IntrospectionResponse](limited(t), server, token)
		require.NoError(t, err)
		return answer
	}
	rs.shows(t, "introspection (rs)", func(t *testing.T) {
		answer := introspect(t, f.Tokens.Good)
		require.True(t, answer.Active)
		require.Equal(t, f.ClientID, answer.ClientID)
	})
	for _, bad := range []struct{ wrong, token string }{
		{"ended", f.Tokens.Ended}, {"expired", f.Tokens.Expired}, {"other key", f.Tokens.OtherKey},
	} {
		rs.refuses(t, bad.wrong+" (rs)", func(t *testing.T) {
			require.False(t, introspect(t, bad.token).Active)
		})
	}
}
