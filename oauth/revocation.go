package oauth

import (
	"context"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/store"
)

// Revocation returns the revocation endpoint (RFC 7009): a key ends one of its
// own tokens, and the next request with it is refused. It takes a form and
// authenticates the key as the login does, but for rules and policies: a key that
// only they refuse may still end its tokens. Like a login it leaves no event.
func (s *Server) Revocation() http.Handler { return http.HandlerFunc(s.revoke) }

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.LoginTimeout)
	defer cancel()
	caller, token, err := s.client(ctx, w, r, s.keys.MayRevoke)
	if err != nil {
		s.refuse(ctx, w, err)
		return
	}
	if token == nil || token.KeyID != caller.ID {
		// Unknown, expired or ended already: there is nothing to do (RFC 7009,
		// section 2.2). Another key's token looks like one of these.
		writeJSON(w, nil)
		return
	}
	// As long as any verifier could still take it.
	if err := s.store.Epochs.Revoke(ctx, token.TokenID, token.Expires.Add(bearer.MaxLeeway), s.cfg.Now()); err != nil {
		// Whatever the driver says: the token may not have ended.
		s.refuse(ctx, w, fmt.Errorf("oauth: revoke a token: %w: %w", store.ErrUnavailable, err))
		return
	}
	writeJSON(w, nil)
}
