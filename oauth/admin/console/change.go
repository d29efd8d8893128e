package console

import (
	"net/http"
	"net/url"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

// editKey shows the form that changes a key.
func (s *call) editKey() error {
	f, err := s.keyForm("change")
	if err != nil {
		return err
	}
	f.Values = url.Values{"name": {f.key.Name}, "permissions": f.key.Permissions.Minus(f.key.Withheld).Names()}
	return f.ask(http.StatusOK, nil)
}

// changeKey changes name, permissions and expiry.
func (s *call) changeKey() error {
	f, err := s.keyForm("change")
	if err != nil {
		return err
	}
	changes := apikey.Changes{Version: f.Version, Address: s.c.clients.Addr(s.r)}
	var wrong []problem
	if name := f.Values.Get("name"); name != f.key.Name {
		changes.Name = &name
	}
	permissions, err := scope.Of(f.Values["permissions"]...)
	// What has left the catalog stays, and what has become an admin permission,
	// unless this person may grant it: neither is in the form.
	held := f.key.Permissions.Minus(f.key.Withheld)
	stays := f.key.Withheld.Minus(f.grantable)
	permissions = permissions.Union(stays)
	switch {
	case err != nil:
		wrong = append(wrong, problem{"permissions", "Permissions: choose again."})
	case permissions.Equal(held.Union(stays)):
	case permissions.Len() == 0:
		wrong = append(wrong, problem{"permissions", "Permissions: choose at least one, or disable the key instead."})
	default:
		changes.Permissions = &permissions
	}
	expiry, bad := f.expiry()
	changes.Expiry = expiry
	if wrong = append(wrong, bad...); len(wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, wrong)
	}
	if changes.Name == nil && changes.Permissions == nil && changes.Expiry == nil {
		return s.redirect("done=same", "keys", f.key.ID)
	}
	if _, err := s.keys().Update(s.r.Context(), s.actor(), f.key.ID, changes); err != nil {
		return s.orAsk(err, f.ask)
	}
	return s.redirect("done=change", "keys", f.key.ID)
}
