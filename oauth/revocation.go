package oauth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/store"
)

// Revocation returns the revocation endpoint (RFC 7009), where a key revokes one of
// its own tokens. From then on this server's guards refuse the token. The endpoint
// accepts a form and authenticates the key like the login, but without the
// administrator's expiry rules and policies: a key that only these refuse may still
// revoke its tokens. A revocation writes an audit event only if the key is refused, as
// a login does.
func (s *Server) Revocation() http.Handler { return s.aboutToken(s.keys.MayRevoke, s.revoke) }

func (s *Server) revoke(ctx context.Context, caller *apikey.Key, token *bearer.Principal) ([]byte, error) {
	if token == nil || token.KeyID != caller.ID {
		// The token is unknown, expired or already revoked, so there is nothing to
		// do (RFC 7009, section 2.2). Another key's token gets the same response.
		return nil, nil
	}
	// The store keeps the revocation as long as a verifier could accept the token.
	if err := s.store.Epochs.Revoke(ctx, token.TokenID, token.Expires.Add(bearer.MaxLeeway), s.cfg.Now()); err != nil {
		// Any error of the driver is a 503: perhaps the revocation was not stored.
		return nil, fmt.Errorf("oauth: revoke a token: %w: %w", store.ErrUnavailable, err)
	}
	return nil, nil
}
