package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// createKey makes the key and shows its secret: here and never again.
func (s *call) createKey() error {
	f, done, err := s.onceForm("new")
	if done || err != nil {
		return err
	}
	spec := apikey.Spec{Workspace: s.workspace(), Name: f.Values.Get("name"), Once: s.once(f.id), Address: s.c.clients.Addr(s.r)}
	var wrong []problem
	if spec.Name == "" {
		wrong = append(wrong, problem{"name", "Name: type what this key is for, such as \"ci of the shop\"."})
	}
	spec.Permissions, err = scope.Of(f.Values["permissions"]...)
	if err != nil || spec.Permissions.Len() == 0 {
		wrong = append(wrong, problem{"permissions", "Permissions: choose at least one."})
	}
	expiry, bad := f.expiry()
	if expiry != nil {
		spec.Expiry = *expiry
	}
	if wrong = append(wrong, bad...); len(wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, wrong)
	}
	key, secret, err := s.keys().Create(s.r.Context(), s.actor(), spec)
	if err != nil {
		return f.orAgain(err)
	}
	return s.showSecret(http.StatusCreated, "Key created", &key, secret)
}

// orAgain answers for a form that failed: where the same form was carried out
// meanwhile, that is why; what can be mended is asked again.
func (f *keyForm) orAgain(err error) error {
	if errors.Is(err, store.ErrExists) {
		if done, err := f.call.spent(f.id); done || err != nil {
			return err
		}
	}
	return f.call.orAsk(err, f.ask)
}

// newSecret is the page that shows a secret.
type newSecret struct {
	Key     keyView
	Secret  string
	Curl    []string // its words
	Rotated bool
}

// showSecret shows a secret once.
func (s *call) showSecret(status int, title string, key *apikey.Key, secret apikey.Secret) error {
	shown := newSecret{Key: viewOf(key, s.keys().Now()), Secret: secret.Reveal(), Rotated: status == http.StatusOK}
	if s.c.cfg.LoginURL != "" {
		// Escaped for the form, nothing is left that a shell would read.
		shown.Curl = []string{
			"curl", "-d grant_type=client_credentials", "-d client_id=" + url.QueryEscape(key.ID),
			"-d client_secret=" + url.QueryEscape(shown.Secret), "'" + strings.ReplaceAll(s.c.cfg.LoginURL, "'", `'\''`) + "'",
		}
	}
	return s.show(status, "secret", frame{Here: "keys", Title: title, Workspace: key.Workspace, Data: shown})
}
