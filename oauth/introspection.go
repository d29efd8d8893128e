package oauth

import (
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// Introspection returns the introspection endpoint (RFC 7662), where a key asks
// whether a token is live. A key may introspect the tokens of its own workspace,
// and those of others only if it holds Config.IntrospectAll. The endpoint accepts a
// form, authenticates the key like the login, and asks the policy
// (policy.UseIntrospect).
func (s *Server) Introspection() http.Handler {
	return s.aboutToken(s.keys.MayIntrospect, s.introspect)
}

// introspection is the response for a live token (RFC 7662, section 2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	TokenID   string   `json:"jti,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Workspace string   `json:"workspace,omitempty"`
}

func (s *Server) introspect(_ context.Context, caller *apikey.Key, token *bearer.Principal) ([]byte, error) {
	var answer introspection
	// A token that the caller may not see gets the same response as one that is not
	// live: "active": false without other members (RFC 7662, section 2.2). So does
	// an expired token, since the leeway is for guards only.
	if token != nil && s.cfg.Now().Before(token.Expires) && s.maySee(caller, token) {
		answer = introspection{
			Active:    true,
			Issuer:    s.cfg.Issuer,
			Subject:   token.KeyID,
			Audience:  token.Audience,
			ClientID:  token.KeyID,
			Scope:     token.Permissions.String(),
			Expires:   token.Expires.Unix(),
			IssuedAt:  token.IssuedAt.Unix(),
			TokenID:   token.TokenID,
			TokenType: "Bearer",
			Workspace: token.Workspace,
		}
	}
	return toJSON(answer), nil
}

func (s *Server) maySee(caller *apikey.Key, token *bearer.Principal) bool {
	// If IntrospectAll is empty, Has reports false.
	return caller.Workspace == token.Workspace || caller.Permissions.Has(s.cfg.IntrospectAll)
}
