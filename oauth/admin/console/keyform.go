package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyForm is the form of a key to be made, changed or rotated.
type keyForm struct {
	form
	Page    string     // "new", "change" or "rotate"
	Key     apikey.Key // that is changed or rotated
	Version int64      // of the key that the form was made from
	Rules   store.Rules
	// What the person may grant and what the key holds already is offered.
	Groups            []scope.Group
	Grantable, Chosen scope.Set
	Expiry            expiryForm
	quota             // of the workspace of a new key

	call      *call
	id        string // of a form that makes a secret
	workspace string
	now       time.Time
	since     time.Time // the longest life of the key counts from here
}

// keyForm begins the form of a page: of the key in the address, or of a new one in
// the workspace there.
func (s *call) keyForm(page string) (*keyForm, error) {
	ctx, now := s.r.Context(), s.keys().Now()
	f := &keyForm{call: s, Page: page, workspace: s.workspace(), now: now, since: now}
	var err error
	if page != "change" {
		if f.id, err = s.onceForm(); err != nil {
			return nil, err
		}
	}
	if page != "new" {
		if f.Key, err = s.keys().Get(ctx, s.actor(), s.key()); err != nil {
			return nil, err
		}
		f.workspace, f.Version = f.Key.Workspace, f.Key.Version
	}
	if page == "change" { // otherwise a new secret is about to be made
		f.since = f.Key.Renewed
	}
	f.Values = url.Values{"name": {f.Key.Name}, "permissions": f.Key.Permissions.Minus(f.Key.Withheld).Names()}
	if s.r.Method == http.MethodPost {
		f.Values, f.Version = s.r.PostForm, s.version()
	}
	if _, f.Rules, err = s.keys().Workspace(ctx, s.actor(), f.workspace); err != nil {
		return nil, err
	}
	f.Grantable, err = s.keys().Grantable(ctx, s.actor(), f.workspace)
	return f, err
}

// askKey shows the form of a page.
func askKey(page string) func(*call) error {
	return func(s *call) error {
		f, err := s.keyForm(page)
		if err != nil {
			return err
		}
		return f.ask(http.StatusOK, nil)
	}
}

// permissions reads what was ticked.
func (f *keyForm) permissions() scope.Set {
	set, err := scope.Of(f.Values["permissions"]...)
	if err != nil {
		f.fail("permissions", "Choose again: one of them is not a permission.")
	}
	return set
}

// ask shows the form, and what is wrong with it.
func (f *keyForm) ask(status int, wrong []problem) error {
	s := f.call
	f.Chosen, _ = scope.Of(f.Values["permissions"]...) //nolint:errcheck // to be chosen again
	f.Groups = groupsOf(s.keys().Catalog(), f.Grantable.Union(f.Key.Permissions.Minus(f.Key.Withheld)))
	f.offerExpiry()
	title := map[string]string{"new": "Create an API key", "change": "Change " + f.Key.Name, "rotate": "Rotate " + f.Key.Name}[f.Page]
	if f.Page == "new" {
		if f.Grantable.Len() == 0 {
			return &apikey.ForbiddenError{Action: audit.Create, Reason: "You may see the keys of this workspace, but not make any."}
		}
		var err error
		if f.quota, err = s.quota(f.workspace); err != nil {
			return err
		}
	}
	return s.show(status, f.Page, frame{Here: "keys", Title: title, Workspace: f.workspace, Form: f.id, Problems: wrong, Data: f})
}
