package console

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// create creates a key. Only its answer shows the key's secret, if the key has one.
func (f *keyForm) create() error {
	s := f.call
	spec := f.spec()
	spec.Once = f.onceID()
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	key, secret, err := s.keys().Create(s.r.Context(), s.actor(), spec)
	if err != nil || spec.NoSecret {
		return s.redirectUnless(err, "done=create", "keys", key.ID)
	}
	return s.showSecret(http.StatusCreated, "Key created", key, secret)
}

// spec reads the form of a new key.
func (f *keyForm) spec() apikey.Spec {
	spec := apikey.Spec{Workspace: f.Record.ID, Name: f.Get("name"), Permissions: f.permissions(), Direct: f.Get("direct") != "", NoSecret: f.Get("no_secret") != ""}
	if spec.Name == "" {
		f.fail("name", "Type what this key is for, such as \"ci of the shop\".")
	}
	if spec.Permissions.Len() == 0 {
		f.fail("permissions", "Choose at least one.")
	}
	if expiry := f.expiry(); expiry != nil {
		spec.Expiry = *expiry
	}
	return spec
}

// newSecret is the data of the page that shows a secret.
type newSecret struct {
	Key              apikey.Key
	Secret, LoginURL string
}

// showSecret sends the page with a new secret, the only one that shows it.
func (s *call) showSecret(status int, title string, key apikey.Key, secret apikey.Secret) error {
	shown := newSecret{Key: key, Secret: secret.Reveal(), LoginURL: s.c.cfg.LoginURL}
	return s.show(status, "secret", frame{Here: "keys", Title: title, Workspace: key.Workspace, Data: shown})
}

// change changes name, permissions, expiry and direct use.
func (f *keyForm) change() error {
	s := f.call
	changes := apikey.Changes{Version: f.Version}
	if name := f.Get("name"); name != f.Key.Name {
		changes.Name = &name
	}
	// The form does not offer withheld permissions that this person may not grant. The
	// key keeps them.
	held := f.Key.Permissions.Minus(f.Key.Withheld)
	notOffered := f.Key.Withheld.Minus(f.Grantable)
	permissions := f.permissions().Union(notOffered)
	switch {
	case permissions.Equal(held.Union(notOffered)):
	case permissions.Len() == 0:
		f.fail("permissions", "Choose at least one, or disable the key instead.")
	default:
		changes.Permissions = &permissions
	}
	changes.Expiry = f.expiry()
	if direct := f.Get("direct") != ""; direct != f.Key.Direct {
		changes.Direct = &direct
	}
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	if changes.Name == nil && changes.Permissions == nil && changes.Expiry == nil && changes.Direct == nil {
		return s.redirect("done=same", "keys", f.Key.ID)
	}
	_, err := s.keys().Update(s.r.Context(), s.actor(), f.Key.ID, changes)
	return s.redirectUnless(err, "done=change", "keys", f.Key.ID)
}

// rotate adds a new secret. Only its answer shows the secret. The form field "replaces"
// holds the id of a lost secret; it comes from the page of answerRepeated.
func (f *keyForm) rotate() (err error) {
	s := f.call
	rotation := apikey.Rotation{Once: f.onceID(), Replaces: f.Get("replaces"), Changes: apikey.Changes{Version: f.Version, Expiry: f.expiry()}}
	if rotation.Grace, err = time.ParseDuration(f.Get("grace")); err != nil {
		f.fail("grace", "Choose how long the other secrets still work.")
	}
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	key, secret, err := s.keys().Rotate(s.r.Context(), s.actor(), f.Key.ID, rotation)
	if err != nil {
		return err
	}
	return s.showSecret(http.StatusOK, "Key rotated", key, secret)
}
