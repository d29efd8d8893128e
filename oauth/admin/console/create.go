package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyForm is the form of a key to be made or changed.
type keyForm struct {
	Key     keyView // that is changed
	Name    string
	Groups  []permissionGroup
	Expiry  expiryForm
	Total   int
	Limit   int
	Full    bool
	Graces  []grace
	Version int64
}

// newKey shows the form of a new key.
func (s *call) newKey() error {
	form, done, err := s.onceForm()
	if done || err != nil {
		return err
	}
	return s.askKey(http.StatusOK, form, url.Values{}, nil)
}

// askKey shows the form with what was typed and what is wrong with it.
func (s *call) askKey(status int, form string, values url.Values, wrong []problem) error {
	workspace, rules, grantable, err := s.around()
	if err != nil {
		return err
	}
	if grantable.Len() == 0 {
		return &apikey.ForbiddenError{Action: audit.Create, Reason: "You may see the keys of this workspace, but not make any."}
	}
	chosen, err := scope.Of(values["permissions"]...)
	if err != nil {
		chosen = scope.Set{}
	}
	now := s.keys().Now()
	f := s.frame("keys", "Create an API key", keyForm{
		Name: values.Get("name"), Groups: choices(s.keys().Catalog(), grantable, scope.Set{}, chosen),
		Expiry: offerExpiry(rules, now, now, nil, values),
		Total:  workspace.Keys, Limit: rules.MaxKeys, Full: rules.MaxKeys > 0 && workspace.Keys >= rules.MaxKeys,
	})
	f.Form, f.Problems = form, wrong
	return s.show(status, "new", f)
}

// createKey makes the key and shows its secret: here and never again.
func (s *call) createKey() error {
	ctx, values := s.r.Context(), s.r.PostForm
	form := values.Get("form")
	if done, err := s.spent(form); done || err != nil {
		return err
	}
	rules, err := s.keys().Rules(ctx, s.actor(), s.workspace())
	if err != nil {
		return err
	}
	now := s.keys().Now()
	spec := apikey.Spec{Workspace: s.workspace(), Name: values.Get("name"), Once: s.once(form), Address: s.c.clients.Addr(s.r)}
	var wrong []problem
	if spec.Name == "" {
		wrong = append(wrong, problem{"name", "Name: type what this key is for, such as \"ci of the shop\"."})
	}
	spec.Permissions, err = scope.Of(values["permissions"]...)
	if err != nil || spec.Permissions.Len() == 0 {
		wrong = append(wrong, problem{"permissions", "Permissions: choose at least one."})
	}
	expiry, _, bad := chosenExpiry(rules, now, now, values)
	if spec.Expiry = expiry; bad != nil {
		wrong = append(wrong, *bad)
	}
	if len(wrong) > 0 {
		return s.askKey(http.StatusUnprocessableEntity, form, values, wrong)
	}
	key, secret, err := s.keys().Create(ctx, s.actor(), spec)
	if err != nil {
		return s.orAgain(form, err, func(status int, wrong []problem) error { return s.askKey(status, form, values, wrong) })
	}
	return s.showSecret(http.StatusCreated, "Key created", &key, secret)
}

// orAgain answers for a form that failed: where the same form was carried out
// meanwhile, that is why; what can be mended is asked again.
func (s *call) orAgain(form string, err error, ask func(status int, wrong []problem) error) error {
	if errors.Is(err, store.ErrExists) {
		if done, err := s.spent(form); done || err != nil {
			return err
		}
	}
	return s.orAsk(err, ask)
}

// newSecret is the page that shows a secret.
type newSecret struct {
	Key     keyView
	Secret  string
	Curl    []string // its words
	Rotated bool
}

// showSecret shows a secret once.
func (s *call) showSecret(status int, title string, key *store.Key, secret apikey.Secret) error {
	shown := newSecret{Key: viewOf(key, s.keys().Now()), Secret: secret.Reveal(), Rotated: status == http.StatusOK}
	if s.c.cfg.LoginURL != "" {
		// Escaped for the form, nothing is left that a shell would read.
		shown.Curl = []string{
			"curl", "-d grant_type=client_credentials", "-d client_id=" + url.QueryEscape(key.ID),
			"-d client_secret=" + url.QueryEscape(shown.Secret), "'" + strings.ReplaceAll(s.c.cfg.LoginURL, "'", `'\''`) + "'",
		}
	}
	f := s.frame("keys", title, shown)
	f.Workspace = key.Workspace
	return s.show(status, "secret", f)
}
