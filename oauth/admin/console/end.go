package console

import (
	"net/http"
	"slices"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// question is a page that says what will happen to a key, and asks.
type question struct {
	Deed   string
	Key    apikey.Key
	Secret *apikey.KeySecret // to be retired
	Typed  string            // where the key's name is to be typed
}

// What is asked before it is done, as a title begins.
const (
	deedRetire  = "Retire a secret of"
	deedDisable = "Disable"
	deedDelete  = "Delete"
)

// askBefore shows the question about a deed.
func askBefore(deed string) func(*call) error {
	return func(s *call) error { return s.ask(http.StatusOK, deed) }
}

func (s *call) ask(status int, deed string, wrong ...problem) error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	q := question{Deed: deed, Key: key, Typed: s.r.PostForm.Get("name")}
	if deed == deedRetire {
		i := slices.IndexFunc(key.Secrets, func(secret apikey.KeySecret) bool { return secret.ID == s.secret() })
		if i < 0 {
			return store.ErrNotFound
		}
		q.Secret = &key.Secrets[i]
	}
	return s.show(status, "ask", frame{Here: "keys", Title: deed + " " + key.Name, Workspace: key.Workspace, Problems: wrong, Data: q})
}

// retireSecret ends one secret.
func (s *call) retireSecret() error {
	_, err := s.keys().RetireSecret(s.r.Context(), s.actor(), s.key(), s.secret(), s.version())
	return s.then(err, "done=retire", "keys", s.key())
}

// disableKey stops logins with a key.
func (s *call) disableKey() error {
	_, err := s.keys().Disable(s.r.Context(), s.actor(), s.key(), s.version())
	return s.then(err, "done=disable", "keys", s.key())
}

// enableKey lets a key log in again.
func (s *call) enableKey() error {
	_, err := s.keys().Enable(s.r.Context(), s.actor(), s.key(), s.version())
	return s.then(err, "done=enable", "keys", s.key())
}

// deleteKey ends a key for good, if its name was typed.
func (s *call) deleteKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	if s.r.PostForm.Get("name") != key.Name {
		return s.ask(http.StatusUnprocessableEntity, deedDelete, problem{"name", "Type the key's name exactly as it is shown."})
	}
	err = s.keys().Delete(ctx, s.actor(), key.ID, s.version())
	return s.then(err, "done=delete", "workspaces", key.Workspace, "keys")
}
