package console

import (
	"net/http"
	"net/url"
	"strings"

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
	Key     apikey.Key
	Secret  string
	Curl    []string // its words
	Rotated bool
}

// showSecret shows a secret once.
func (s *call) showSecret(status int, title string, key apikey.Key, secret apikey.Secret) error {
	shown := newSecret{Key: key, Secret: secret.Reveal(), Rotated: status == http.StatusOK}
	if s.c.cfg.LoginURL != "" {
		// Escaped for the form, nothing is left that a shell would read.
		shown.Curl = []string{
			"curl", "-d grant_type=client_credentials", "-d client_id=" + url.QueryEscape(key.ID),
			"-d client_secret=" + url.QueryEscape(shown.Secret), "'" + strings.ReplaceAll(s.c.cfg.LoginURL, "'", `'\''`) + "'",
		}
	}
	return s.show(status, "secret", frame{Here: "keys", Title: title, Workspace: key.Workspace, Data: shown})
}
