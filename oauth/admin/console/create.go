package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// createKey makes the key and shows its secret: here and never again.
func (s *call) createKey() error {
	f, err := s.keyForm("new")
	if err != nil {
		return err
	}
	spec := apikey.Spec{Workspace: f.workspace, Name: f.Get("name"), Permissions: f.permissions(), Once: s.once(f.id), Address: s.c.clients.Addr(s.r)}
	if spec.Name == "" {
		f.fail("name", "Type what this key is for, such as \"ci of the shop\".")
	}
	if spec.Permissions.Len() == 0 {
		f.fail("permissions", "Choose at least one.")
	}
	if expiry := f.expiry(); expiry != nil {
		spec.Expiry = *expiry
	}
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	key, secret, err := s.keys().Create(s.r.Context(), s.actor(), spec)
	if err != nil {
		return f.orAgain(err)
	}
	return s.showSecret(http.StatusCreated, "Key created", key, secret)
}

// newSecret is the page that shows a secret.
type newSecret struct {
	Key              apikey.Key
	Secret, LoginURL string
}

// showSecret shows a secret once.
func (s *call) showSecret(status int, title string, key apikey.Key, secret apikey.Secret) error {
	shown := newSecret{Key: key, Secret: secret.Reveal(), LoginURL: s.c.cfg.LoginURL}
	return s.show(status, "secret", frame{Here: "keys", Title: title, Workspace: key.Workspace, Data: shown})
}
