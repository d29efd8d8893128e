package oauth

import (
	"bytes"
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// authenticate says which key the caller of an endpoint is, if it may use that.
type authenticate func(context.Context, apikey.Credentials) (apikey.Key, error)

// client authenticates the caller of an endpoint that takes a form with one
// token, revocation and introspection, and verifies that token: nil if it is not
// live. Where ok is false the answer is sent.
func (s *Server) client(
	ctx context.Context, w http.ResponseWriter, r *http.Request, may authenticate,
) (caller apikey.Key, token *bearer.Principal, ok bool) {
	var request tokenRequest
	var buffer bytes.Buffer
	bad := s.readTokenRequest(w, r, &buffer, &request)
	if bad == nil && request.json {
		bad = badRequest("This endpoint takes application/x-www-form-urlencoded only.")
	}
	if bad != nil {
		s.refuse(ctx, w, bad)
		return caller, nil, false
	}
	caller, err := may(ctx, apikey.Credentials{
		ID:      request.clientID,
		Secret:  request.clientSecret,
		Address: s.clients.Addr(r),
	})
	if err != nil {
		s.refuse(ctx, w, err)
		return caller, nil, false
	}
	if request.token == "" {
		s.refuse(ctx, w, badRequest("The parameter token is missing."))
		return caller, nil, false
	}
	token, err = s.issued.Verify(ctx, request.token)
	if outcome.IsOutage(err) { // never "not live": the client would take the token for ended
		s.refuse(ctx, w, err)
		return caller, nil, false
	}
	return caller, token, true
}
