package console

import (
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// question is the data of a page that asks for confirmation.
type question struct {
	Action     string // confirmRetire, confirmDisable or confirmDelete
	Key        apikey.Key
	Credential *store.Credential // the credential to retire; otherwise nil
	Typed      string            // what was typed as the key's name
}

// The actions that need confirmation. Each text is the beginning of the page's title and
// of the button's label. ask.html compares confirmDelete.
const (
	confirmRetire  = "Retire"
	confirmDisable = "Disable"
	confirmDelete  = "Delete"
)

// askToConfirm shows the page that asks for confirmation.
func askToConfirm(action string) func(*call) error {
	return func(s *call) error { return s.ask(http.StatusOK, action) }
}

func (s *call) ask(status int, action string, wrong ...problem) error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	q, title := question{Action: action, Key: key, Typed: s.r.PostForm.Get("name")}, action+" "
	if action == confirmRetire {
		if q.Credential, err = s.credentialOf(&key); err != nil {
			return err
		}
		title += "a " + kindOf(*q.Credential) + " of "
	}
	return s.show(status, "ask", frame{Here: "keys", Title: title + key.Name, Workspace: key.Workspace, Problems: wrong, Data: q})
}

// confirmed carries out an action, or asks again if the person can correct the form.
func confirmed(action string, carryOut func(*call) error) func(*call) error {
	return func(s *call) error {
		return s.handleFormError(carryOut(s), func(status int, wrong []problem) error { return s.ask(status, action, wrong...) })
	}
}

func (s *call) retire() error {
	_, err := s.keys().Retire(s.r.Context(), s.actor(), s.key(), s.pathID("credential"), s.version(1))
	return s.redirectUnless(err, "done=retire", "keys", s.key())
}

// changeKey returns the handler of a change that needs only the id of a key, and the
// version that the form has.
func changeKey(change func(*apikey.Service, context.Context, apikey.Actor, string, int64) (apikey.Key, error), done string) func(*call) error {
	return func(s *call) error {
		_, err := change(s.keys(), s.r.Context(), s.actor(), s.key(), s.version(1))
		return s.redirectUnless(err, done, "keys", s.key())
	}
}

// deleteKey deletes a key if its name was typed correctly.
func (s *call) deleteKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	if s.r.PostForm.Get("name") != key.Name {
		return s.ask(http.StatusUnprocessableEntity, confirmDelete, problem{"name", "Type the key's name exactly as it is shown."})
	}
	err = s.keys().Delete(ctx, s.actor(), key.ID, s.version(1))
	return s.redirectUnless(err, "done=delete", "workspaces", key.Workspace, "keys")
}
