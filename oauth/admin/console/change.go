package console

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

// editKey shows the form that changes a key.
func (s *call) editKey() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	return s.askChange(http.StatusOK, &key, key.Version, url.Values{"name": {key.Name}, "permissions": key.Permissions.Minus(key.Withheld).Names()}, nil)
}

func (s *call) askChange(status int, key *apikey.Key, version int64, values url.Values, wrong []problem) error {
	data, err := s.formOf(key, values)
	if err != nil {
		return err
	}
	data.Version = version
	f := s.frame("keys", "Change "+key.Name, data)
	f.Workspace, f.Problems = key.Workspace, wrong
	return s.show(status, "change", f)
}

// formOf is the form of a key that exists.
func (s *call) formOf(key *apikey.Key, values url.Values) (keyForm, error) {
	ctx := s.r.Context()
	rules, err := s.keys().Rules(ctx, s.actor(), key.Workspace)
	if err != nil {
		return keyForm{}, err
	}
	grantable, err := s.keys().Grantable(ctx, s.actor(), key.Workspace)
	if err != nil {
		return keyForm{}, err
	}
	chosen, err := scope.Of(values["permissions"]...)
	if err != nil {
		chosen = scope.Set{}
	}
	now := s.keys().Now()
	return keyForm{
		Key: viewOf(key, now), Name: values.Get("name"), Version: key.Version,
		Groups: choices(s.keys().Catalog(), grantable, key.Permissions.Minus(key.Withheld), chosen),
		Expiry: offerExpiry(rules, now, key.Renewed, key, values),
	}, nil
}

// changeKey changes name, permissions and expiry.
func (s *call) changeKey() error {
	ctx, values := s.r.Context(), s.r.PostForm
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	rules, err := s.keys().Rules(ctx, s.actor(), key.Workspace)
	if err != nil {
		return err
	}
	grantable, err := s.keys().Grantable(ctx, s.actor(), key.Workspace)
	if err != nil {
		return err
	}
	version := s.version()
	changes := apikey.Changes{Version: version, Address: s.c.clients.Addr(s.r)}
	var wrong []problem
	if name := values.Get("name"); name != key.Name {
		changes.Name = &name
	}
	permissions, err := scope.Of(values["permissions"]...)
	// What has left the catalog stays, and what has become an admin permission,
	// unless this person may grant it: neither is in the form.
	held := key.Permissions.Minus(key.Withheld)
	stays := key.Withheld.Minus(grantable)
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
	expiry, keep, bad := chosenExpiry(rules, s.keys().Now(), key.Renewed, values)
	switch {
	case bad != nil:
		wrong = append(wrong, *bad)
	case !keep:
		changes.Expiry = &expiry
	}
	ask := func(status int, wrong []problem) error { return s.askChange(status, &key, version, values, wrong) }
	if len(wrong) > 0 {
		return ask(http.StatusUnprocessableEntity, wrong)
	}
	if changes.Name == nil && changes.Permissions == nil && changes.Expiry == nil {
		return s.redirect("done=same", "keys", key.ID)
	}
	if _, err := s.keys().Update(ctx, s.actor(), key.ID, changes); err != nil {
		return s.orAsk(err, ask)
	}
	return s.redirect("done=change", "keys", key.ID)
}

// version is that of the record that the form was made from. A form without
// one matches no record.
func (s *call) version() int64 {
	version, err := strconv.ParseInt(s.r.PostForm.Get("version"), 10, 64)
	if err != nil || version <= 0 {
		return -1
	}
	return version
}
