package oauth

import (
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// refusal is an error response. Its description is the server's own text or a policy's
// reason. The server's text repeats no input except names of permissions.
type refusal = answer.Refusal

func badRequest(description string) *refusal {
	return &refusal{Kind: answer.Malformed, Detail: description}
}

// refusalOf returns the refusal for err, and logs that of a policy.
func (s *Server) refusalOf(ctx context.Context, err error) *refusal {
	bad := outcome.OAuth(ctx, err)
	if bad.Rule != "" {
		s.cfg.Logger.InfoContext(ctx, "a policy refused a request", "rule", bad.Rule, "error", err)
	}
	return bad
}

// refuse writes the error response for err. All endpoints of this package use it.
func (s *Server) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	bad := s.refusalOf(ctx, err)
	bad.Log(ctx, s.cfg.Logger, "a client's request", err)
	if bad.Row().OAuth.Status == http.StatusUnauthorized { // RFC 6749, section 5.2; RFC 9110, section 11.6.1
		w.Header().Set("WWW-Authenticate", `Basic realm="`+s.cfg.Realm+`", charset="UTF-8"`)
	}
	bad.WriteOAuth(w)
}
