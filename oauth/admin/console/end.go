package console

import (
	"net/http"
	"slices"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// question is a page that says what will happen, and asks.
type question struct {
	Key       apikey.Key
	Text      string
	Button    string
	TypeName  bool // the key's name is to be typed
	Typed     string
	Workspace string // of a question about a workspace
	Secret    *apikey.KeySecret
}

// ask shows a question about a key.
func (s *call) ask(status int, deed string, q question, wrong ...problem) error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	q.Key = key
	return s.show(status, "ask", frame{Here: "keys", Title: deed + " " + key.Name, Workspace: key.Workspace, Problems: wrong, Data: q})
}

// askRetire asks before a secret ends.
func (s *call) askRetire() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(key.Secrets, func(secret apikey.KeySecret) bool { return secret.ID == s.secret() })
	if i < 0 {
		return store.ErrNotFound
	}
	text := "The secret that ends in " + key.Secrets[i].Hint + " will open nothing any more, and every token issued from it ends now."
	if len(key.Secrets) == 1 {
		text += " It is the key's only secret: nobody can log in with the key until it is rotated."
	}
	return s.ask(http.StatusOK, "Retire a secret of", question{Secret: &key.Secrets[i], Text: text, Button: "Retire this secret"})
}

// retireSecret ends one secret.
func (s *call) retireSecret() error {
	_, err := s.keys().RetireSecret(s.r.Context(), s.actor(), s.key(), s.secret(), s.version())
	return s.then(err, "done=retire", "keys", s.key())
}

// askDisable asks before a key stops.
func (s *call) askDisable() error {
	return s.ask(http.StatusOK, "Disable", question{
		Text:   "Nobody can log in with this key until it is enabled again, and every token issued from it ends now.",
		Button: "Disable this key",
	})
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

// askDelete asks for the key's name before it ends for good, and again if another
// text was typed.
func (s *call) askDelete() error {
	q := question{
		Text:   "The key and its secrets end for good, and every token issued from it ends now. This cannot be undone. Its events stay in the log.",
		Button: "Delete this key", TypeName: true, Typed: s.r.PostForm.Get("name"),
	}
	if s.r.Method == http.MethodPost {
		return s.ask(http.StatusUnprocessableEntity, "Delete", q, problem{"name", "Type the key's name exactly as it is shown."})
	}
	return s.ask(http.StatusOK, "Delete", q)
}

// deleteKey ends a key for good.
func (s *call) deleteKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	if s.r.PostForm.Get("name") != key.Name {
		return s.askDelete()
	}
	err = s.keys().Delete(ctx, s.actor(), key.ID, s.version())
	return s.then(err, "done=delete", "workspaces", key.Workspace, "keys")
}
