package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// askSecret shows the form that finds the key of a secret.
func (s *call) askSecret() error { return s.showFind(http.StatusOK, nil) }

func (s *call) showFind(status int, wrong []problem) error {
	return s.show(status, "find", frame{Here: "find", Title: "Whose secret is this?", Problems: wrong})
}

// findSecret redirects to the page about the secret that was sent. The secret is in no
// answer, and in no address.
func (s *call) findSecret() error {
	key, secret, err := s.keys().FindSecret(s.r.Context(), s.actor(), s.r.PostForm.Get("secret"))
	if outcome.Manage(s.r.Context(), err).Kind == answer.NotFound {
		return s.showFind(http.StatusNotFound, []problem{{
			"secret", "No key that you may see has this secret. Check that you pasted the whole of it. It may have been retired, its key may have been deleted, or it is of another service.",
		}})
	}
	return s.handleFormError(s.redirectUnless(err, "", "keys", key.ID, "found", secret.ID), s.showFind)
}

// foundSecret is the data of the page about a secret that somebody has found.
type foundSecret struct {
	Key    apikey.Key
	Secret *apikey.KeySecret
	workspaceInfo
}

// showFound says which key has the secret that the path names, and what to do next.
func (s *call) showFound() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	found := foundSecret{Key: key}
	if found.Secret, err = s.secretOf(&key); err != nil {
		return err
	}
	if found.workspaceInfo, err = s.workspaceInfo(key.Workspace); err != nil {
		return err
	}
	return s.show(http.StatusOK, "found", frame{Here: "find", Title: "A secret of " + key.Name, Workspace: key.Workspace, Data: found})
}
