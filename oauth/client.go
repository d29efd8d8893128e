package oauth

import (
	"bytes"
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// clientAndToken does the common part of revocation and introspection: it reads the
// form, authenticates the calling key with may, and verifies the token in the form.
// The result token is nil if the token is not live.
func (s *Server) clientAndToken(
	ctx context.Context, w http.ResponseWriter, r *http.Request, may func(context.Context, apikey.Credentials) (apikey.Key, error),
) (caller apikey.Key, token *bearer.Principal, err error) {
	var request tokenRequest
	var buffer bytes.Buffer
	if bad := s.readTokenRequest(w, r, &buffer, &request); bad != nil {
		return caller, nil, bad
	}
	if request.json {
		return caller, nil, badRequest("This endpoint accepts application/x-www-form-urlencoded only.")
	}
	caller, err = may(ctx, apikey.Credentials{ID: request.clientID, Secret: request.clientSecret, Address: s.host.Addr(r)})
	switch {
	case err != nil:
		return caller, nil, err
	case request.token == "":
		return caller, nil, badRequest("The parameter token is missing.")
	}
	token, err = s.issued.Verify(ctx, request.token)
	if outcome.IsOutage(err) { // not "not live": the client would believe that the token is revoked
		return caller, nil, err
	}
	return caller, token, nil
}
