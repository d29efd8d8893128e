package oauth

import (
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// refusal is an error answer. Its description is the server's own text and
// repeats no input except the names of permissions.
type refusal = answer.Refusal

func badRequest(description string) *refusal {
	return &refusal{Kind: answer.Malformed, Detail: description}
}

// refuse answers a request of a client with what err is: the one place where these
// endpoints refuse.
func (s *Server) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	bad := outcome.OAuth(ctx, err)
	if bad.Rule != "" {
		s.cfg.Logger.InfoContext(ctx, "a policy refused a token", "rule", bad.Rule, "error", err)
	}
	bad.Log(ctx, s.cfg.Logger, "a client's request", err)
	if bad.Row().OAuth.Status == http.StatusUnauthorized { // RFC 6749, section 5.2; RFC 9110, section 11.6.1
		w.Header().Set("WWW-Authenticate", `Basic realm="`+s.cfg.Realm+`", charset="UTF-8"`)
	}
	bad.WriteOAuth(w)
}
