package oauth

import (
	"bytes"
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// aboutToken returns the handler of revocation or introspection, which differ in what the
// calling key may do and in the answer. answer gets the key and the token in the form; nil
// if the token is not live.
func (s *Server) aboutToken(
	may func(context.Context, apikey.Credentials) (apikey.Key, error),
	answer func(ctx context.Context, caller *apikey.Key, token *bearer.Principal) ([]byte, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.LoginTimeout)
		defer cancel()
		caller, token, err := s.clientAndToken(ctx, w, r, may)
		var body []byte
		if err == nil {
			body, err = answer(ctx, &caller, token)
		}
		if err != nil {
			s.refuse(ctx, w, err)
			return
		}
		writeJSON(w, body)
	})
}

// clientAndToken reads the form, authenticates the calling key with may, and verifies the
// token in the form. The result token is nil if the token is not live.
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
