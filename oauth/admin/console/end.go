package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/store"
)

// question is a page that says what will happen, and asks.
type question struct {
	Key       keyView
	Act       string // the last part of the form's address
	Text      string
	Button    string
	Danger    bool
	TypeName  bool // the key's name is to be typed
	Typed     string
	Workspace string // of a question about a workspace
	Secret    *secretView
}

// ask shows a question about a key.
func (s *call) ask(status int, title string, key *store.Key, q question, wrong ...problem) error {
	q.Key = viewOf(key, s.keys().Now())
	f := s.frame("keys", title, q)
	f.Workspace, f.Problems = key.Workspace, wrong
	return s.show(status, "ask", f)
}

// askRetire asks before a secret ends.
func (s *call) askRetire() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	for _, secret := range viewOf(&key, s.keys().Now()).Secrets {
		if secret.ID != s.secret() {
			continue
		}
		q := question{Secret: &secret, Text: "The secret that ends in " + secret.Hint + " will open nothing any more, and every token issued from it ends now.", Button: "Retire this secret", Danger: true}
		if len(key.Secrets) == 1 {
			q.Text += " It is the key's only secret: nobody can log in with the key until it is rotated."
		}
		return s.ask(http.StatusOK, "Retire a secret of "+key.Name, &key, q)
	}
	return store.ErrNotFound
}

// retireSecret ends one secret.
func (s *call) retireSecret() error {
	if _, err := s.keys().RetireSecret(s.r.Context(), s.actor(), s.key(), s.secret(), s.version()); err != nil {
		return err
	}
	return s.redirect("done=retire", "keys", s.key())
}

// askDisable asks before a key stops.
func (s *call) askDisable() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	return s.ask(http.StatusOK, "Disable "+key.Name, &key, question{
		Text:   "Nobody can log in with this key until it is enabled again, and every token issued from it ends now.",
		Button: "Disable this key", Danger: true,
	})
}

// disableKey stops logins with a key.
func (s *call) disableKey() error {
	if _, err := s.keys().Disable(s.r.Context(), s.actor(), s.key(), s.version()); err != nil {
		return err
	}
	return s.redirect("done=disable", "keys", s.key())
}

// enableKey lets a key log in again.
func (s *call) enableKey() error {
	if _, err := s.keys().Enable(s.r.Context(), s.actor(), s.key(), s.version()); err != nil {
		return err
	}
	return s.redirect("done=enable", "keys", s.key())
}

// askDelete asks for the key's name before it ends for good.
func (s *call) askDelete() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	return s.ask(http.StatusOK, "Delete "+key.Name, &key, deletion(""))
}

func deletion(typed string) question {
	return question{
		Text:   "The key and its secrets end for good, and every token issued from it ends now. This cannot be undone. Its events stay in the log.",
		Button: "Delete this key", Danger: true, TypeName: true, Typed: typed,
	}
}

// deleteKey ends a key for good.
func (s *call) deleteKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	if typed := s.r.PostForm.Get("name"); typed != key.Name {
		return s.ask(http.StatusUnprocessableEntity, "Delete "+key.Name, &key, deletion(typed),
			problem{"name", "Name: type the key's name exactly as it is shown."})
	}
	if err := s.keys().Delete(ctx, s.actor(), key.ID, s.version()); err != nil {
		return err
	}
	return s.redirect("done=delete", "workspaces", key.Workspace, "keys")
}
