package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// changeKey changes name, permissions and expiry.
func (s *call) changeKey() error {
	f, err := s.keyForm("change")
	if err != nil {
		return err
	}
	changes := apikey.Changes{Version: f.Version, Address: s.c.clients.Addr(s.r)}
	if name := f.Get("name"); name != f.Key.Name {
		changes.Name = &name
	}
	// What has left the catalog stays, and what has become an admin permission,
	// unless this person may grant it: neither is in the form.
	held := f.Key.Permissions.Minus(f.Key.Withheld)
	stays := f.Key.Withheld.Minus(f.Grantable)
	permissions := f.permissions().Union(stays)
	switch {
	case permissions.Equal(held.Union(stays)):
	case permissions.Len() == 0:
		f.fail("permissions", "Choose at least one, or disable the key instead.")
	default:
		changes.Permissions = &permissions
	}
	changes.Expiry = f.expiry()
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	if changes.Name == nil && changes.Permissions == nil && changes.Expiry == nil {
		return s.redirect("done=same", "keys", f.Key.ID)
	}
	if _, err := s.keys().Update(s.r.Context(), s.actor(), f.Key.ID, changes); err != nil {
		return s.orAsk(err, f.ask)
	}
	return s.redirect("done=change", "keys", f.Key.ID)
}
