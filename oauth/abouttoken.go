package oauth

import (
	"bytes"
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// aboutToken returns the handler of revocation or introspection. authenticate returns
// the calling key, if it may use the endpoint. respond acts on the token in the form and
// returns the body of the response; its token is nil if the token is not live.
func (s *Server) aboutToken(
	authenticate func(context.Context, apikey.Credentials) (apikey.Key, error),
	respond func(ctx context.Context, caller *apikey.Key, token *bearer.Principal) ([]byte, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request tokenRequest
		var buffer bytes.Buffer
		if bad := s.readTokenRequest(w, r, &buffer, &request); bad != nil {
			s.refuse(r.Context(), w, bad)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.LoginTimeout)
		defer cancel()
		caller, token, err := s.clientAndToken(ctx, r, &request, authenticate)
		var body []byte
		if err == nil {
			body, err = respond(ctx, &caller, token)
		}
		if err != nil {
			s.refuse(ctx, w, err)
			return
		}
		writeJSON(w, body)
	})
}

// clientAndToken authenticates the calling key, and verifies the token in the form. The
// returned token is nil if it is not live.
func (s *Server) clientAndToken(
	ctx context.Context, r *http.Request, request *tokenRequest, authenticate func(context.Context, apikey.Credentials) (apikey.Key, error),
) (caller apikey.Key, token *bearer.Principal, err error) {
	if request.json {
		return caller, nil, badRequest("This endpoint accepts application/x-www-form-urlencoded only.")
	}
	caller, err = authenticate(ctx, request.credentials(s.host.Addr(r)))
	switch {
	case err != nil:
		return caller, nil, err
	case request.token == "":
		return caller, nil, badRequest("The parameter token is missing; send the token in the form.")
	}
	token, err = s.allAudiences.Verify(ctx, request.token)
	if outcome.IsOutage(err) { // whether the token is live is not known
		return caller, nil, err
	}
	return caller, token, nil
}
