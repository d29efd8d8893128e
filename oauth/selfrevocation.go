package oauth

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

// SelfRevocation returns the handler at Config.SelfRevocationPath, where anyone who holds
// a secret ends it: a POST with the parameter secret, as a form or as JSON, without
// authentication. The response is 200 without a body, for a secret that no key has, too;
// see apikey.Service.RevokeSecret for what that and its time can show, and for 429. A
// malformed secret is 400.
func (s *Server) SelfRevocation() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.revokeOwn(w, r); err != nil {
			s.refuse(r.Context(), w, err)
			return
		}
		writeJSON(w, nil)
	})
}

func (s *Server) revokeOwn(w http.ResponseWriter, r *http.Request) error {
	request := tokenRequest{alone: true}
	var buffer bytes.Buffer
	if bad := s.readTokenRequest(w, r, &buffer, &request); bad != nil {
		return bad
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.LoginTimeout)
	defer cancel()
	err := s.keys.RevokeSecret(ctx, apikey.Credentials{Secret: request.secret, Address: s.host.Addr(r)})
	var throttled *apikey.ThrottledError
	switch {
	case errors.Is(err, apikey.ErrInvalidCredentials):
		return badRequest("The parameter secret is not a secret of this service; was it cut off, or was something else sent with it?")
	case errors.As(err, &throttled):
		return &refusal{Kind: answer.Throttled, RetryAfter: throttled.RetryAfter, Detail: "Too many unknown secrets came from this address. Wait, then send this one again."}
	}
	return err
}
