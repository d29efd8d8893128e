package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyForm is the form to create, change or rotate a key.
type keyForm struct {
	form
	Page    string     // "new", "change" or "rotate"
	Key     apikey.Key // the key to change or rotate
	Version int64      // the key's version when the form was made
	Rules   store.Rules
	// Groups holds what the person may grant and what the key already holds.
	Groups            []scope.Group
	Grantable, Chosen scope.Set
	Expiry            expiryForm
	quota                          // of the workspace, for a new key
	Off               policy.State // why no key works now; empty if they work

	call      *call
	id        string // the form's id, if it creates a secret
	workspace string
	now       time.Time
	since     time.Time // the maximum lifetime counts from here
	endless   bool      // policies allow a key without an expiry
}

// keyForm returns the form of a page, for the key in the path or for a new key of
// the workspace in the path.
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
	if page == "change" { // the other pages create a new secret
		f.since = f.Key.SecretCreated
	}
	f.Values = url.Values{"name": {f.Key.Name}, "permissions": f.Key.Permissions.Minus(f.Key.Withheld).Names()}
	if s.r.Method == http.MethodPost {
		f.Values, f.Version = s.r.PostForm, s.version()
	}
	if _, f.Rules, err = s.keys().Workspace(ctx, s.actor(), f.workspace); err != nil {
		return nil, err
	}
	if f.Off, err = s.off(f.workspace); err != nil {
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
		if link := (&form{Values: s.r.URL.Query()}); page == "new" && link.has("name", "permissions", "expires_at") {
			return f.prefill(link)
		}
		return f.ask(http.StatusOK, nil)
	}
}

// permissions reads the selected permissions.
func (f *keyForm) permissions() scope.Set {
	set, err := scope.Of(f.Values["permissions"]...)
	if err != nil {
		f.fail("permissions", "One of them is not a permission. Choose again.")
	}
	return set
}

// ask shows the form with its problems.
func (f *keyForm) ask(status int, wrong []problem) error {
	s := f.call
	if status == http.StatusConflict {
		f.Version = f.Key.Version // the person knows of the change from the page
	}
	f.Chosen, _ = scope.Of(f.Values["permissions"]...) //nolint:errcheck // invalid ones are not selected again
	f.Groups = groupsOf(s.keys().Catalog(), f.Grantable.Union(f.Key.Permissions.Minus(f.Key.Withheld)))
	f.offerExpiry()
	title := map[string]string{"new": "Create an API key", "change": "Change " + f.Key.Name, "rotate": "Rotate " + f.Key.Name}[f.Page]
	if f.Page == "new" {
		if f.Grantable.Len() == 0 {
			return &apikey.ForbiddenError{Action: audit.Create, Reason: "You may see the keys of this workspace, but not create any."}
		}
		var err error
		if f.quota, err = s.quota(f.workspace); err != nil {
			return err
		}
	}
	return s.show(status, f.Page, frame{Here: "keys", Title: title, Workspace: f.workspace, Form: f.id, Problems: wrong, Data: f})
}
