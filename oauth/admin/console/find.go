package console

import (
	"net/http"
	"net/url"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// askSecret shows the form that finds the key of a secret.
func (s *call) askSecret() error { return s.showFind(http.StatusOK, nil) }

func (s *call) showFind(status int, wrong []problem) error {
	return s.show(status, "find", frame{Here: "find", Title: "Whose secret is this?", Problems: wrong})
}

// findSecret redirects to the page of the key that has the secret that was sent. The secret
// is in no answer, and in no address.
func (s *call) findSecret() error {
	key, secret, err := s.keys().FindSecret(s.r.Context(), s.actor(), s.r.PostForm.Get("secret"))
	if outcome.Manage(s.r.Context(), err).Kind == answer.NotFound {
		return s.showFind(http.StatusNotFound, []problem{{
			"secret", "No key that you may see has this secret. Check that you pasted the whole of it. It may have been retired, its key may have been deleted, or it is of another service.",
		}})
	}
	return s.handleFormError(s.redirectUnless(err, "found="+url.QueryEscape(secret.ID), "keys", key.ID), s.showFind)
}
