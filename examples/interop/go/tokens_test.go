package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
)

// TestGuardRefusesBadTokens checks that Latchkey's own guard refuses all bad tokens, also the
// revoked one.
func TestGuardRefusesBadTokens(t *testing.T) {
	for _, algorithm := range testserver.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			f := start(t, algorithm)
			for name, token := range f.Tokens.Invalid() {
				status, body := get(t, http.DefaultClient, f.ProtectedURL, "Authorization", "Bearer "+token)
				require.Equal(t, http.StatusUnauthorized, status, "%s: %s", name, body)
			}
			status, _ := get(t, http.DefaultClient, f.ProtectedURL, "Authorization", "Bearer "+f.Tokens.Ended)
			require.Equal(t, http.StatusUnauthorized, status)
			status, body := get(t, http.DefaultClient, f.ProtectedURL, "Authorization", "Bearer "+f.Tokens.Good)
			require.Equal(t, http.StatusOK, status)
			require.JSONEq(t, `{"client_id":"`+f.ClientID+`","workspace":"team-a","scope":"project.list project.read"}`, body)
		})
	}
}

// TestBadTokens checks that each bad token is wrong in one way only, so that a peer without
// that check would accept it.
func TestBadTokens(t *testing.T) {
	for _, algorithm := range testserver.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			tokens := start(t, algorithm).Tokens
			header, want := decode(t, tokens.Good)
			for name, token := range tokens.Invalid() {
				itsHeader, claims := decode(t, token)
				require.Equal(t, header, itsHeader, name)
				lives := claims.Expires > time.Now().Unix()
				require.Equal(t, name != "expired", lives, name)
				require.Equal(t, want.Expires-want.IssuedAt, claims.Expires-claims.IssuedAt, name)
				require.Equal(t, name == "wrong audience", claims.Audience != want.Audience, name)
				claims.Expires, claims.IssuedAt, claims.Audience = want.Expires, want.IssuedAt, want.Audience
				require.Equal(t, want, claims, name)
			}
		})
	}
}

// claimSet holds all claims of a token. decode empties the jti, which always differs.
type claimSet struct {
	Issuer       string  `json:"iss"`
	Subject      string  `json:"sub"`
	Audience     string  `json:"aud"`
	ClientID     string  `json:"client_id"`
	Scope        string  `json:"scope"`
	Expires      int64   `json:"exp"`
	IssuedAt     int64   `json:"iat"`
	TokenID      string  `json:"jti"`
	Workspace    string  `json:"workspace"`
	CredentialID string  `json:"credential_id"`
	Epochs       []int64 `json:"epochs"`
}

func decode(t *testing.T, token string) (header string, claims claimSet) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	plain, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	reader := json.NewDecoder(strings.NewReader(string(plain)))
	reader.DisallowUnknownFields()
	require.NoError(t, reader.Decode(&claims))
	require.NotEmpty(t, claims.TokenID)
	claims.TokenID = ""
	return parts[0], claims
}
