package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyForm is the form to create, change or rotate a key, or to add a public key or a trust.
type keyForm struct {
	form
	Page    string     // "new", "change", "rotate", "publickey" or "trust"
	Key     apikey.Key // the key to change
	Version int64      // the key's version when the form was made
	workspaceInfo
	// Groups holds what the person may grant and what the key already holds.
	Groups []scope.Group
	Chosen scope.Set
	Expiry expiryForm
	// NoDirect says why keys may not allow direct use. It is empty if they may.
	NoDirect string
	Entry    trust.Issuer // of the trust

	call  *call
	id    string // the form's id, if it creates a secret
	now   time.Time
	since time.Time // from here the maximum lifetime is counted
}

// withForm returns the handler of a page with a form: it shows the form, or carries it
// out if it was sent.
func withForm(page string, carryOut func(*keyForm) error) func(*call) error {
	return func(s *call) error {
		f, err := s.keyForm(page)
		if err != nil {
			return err
		}
		if s.r.Method == http.MethodPost {
			return f.handleFormError(carryOut(f))
		}
		if link := (&form{Values: s.r.URL.Query()}); page == "new" && link.has("name", "permissions", "expires_at") {
			return f.prefill(link)
		}
		return f.ask(http.StatusOK, nil)
	}
}

// keyForm returns the form of a page, for the key in the path or for a new key of
// the workspace in the path.
func (s *call) keyForm(page string) (*keyForm, error) {
	now, workspace := s.keys().Now(), s.workspace()
	f := &keyForm{call: s, Page: page, now: now, since: now}
	var err error
	if page == "new" || page == "rotate" {
		if f.id, err = s.onceFormID(); err != nil {
			return nil, err
		}
	}
	if page != "new" {
		if f.Key, err = s.keys().Get(s.r.Context(), s.actor(), s.key()); err != nil {
			return nil, err
		}
		workspace, f.Version = f.Key.Workspace, f.Key.Version
	}
	for _, c := range f.Key.Credentials {
		if page == "rotate" && !c.IsSecret() && c.NotAfter.IsZero() && c.Created.Before(f.since) {
			f.since = c.Created // see policy.LifetimeStart
		}
	}
	if page == "trust" {
		if f.Entry = entryOf(s.keys().TrustedIssuers(), s.pathID("issuer")); f.Entry.Issuer == "" {
			return nil, store.ErrNotFound
		}
	}
	f.Values = url.Values{"permissions": f.Key.Permissions.Minus(f.Key.Withheld).Names()}
	if page == "change" { // the other pages create a new credential
		f.since = f.Key.LifetimeStart
		f.Set("name", f.Key.Name)
	}
	if f.Key.Direct {
		f.Set("direct", "yes")
	}
	if s.r.Method == http.MethodPost {
		f.Values, f.Version = s.r.PostForm, s.version(1)
	}
	f.workspaceInfo, err = s.workspaceInfo(workspace)
	return f, err
}

// prefill shows the form of a new key, filled with the values of a link, and says what
// is wrong with these values.
func (f *keyForm) prefill(link *form) error {
	expires := link.Get("expires_at")
	f.Set("name", link.Get("name"))
	f.Values["permissions"] = strings.Fields(strings.Join(link.Values["permissions"], " "))
	if expires == "never" {
		f.Set("expires", expires)
	} else if expires != "" {
		f.Set("expires", "date")
		f.Set("expires_on", expires)
	}
	spec := f.spec()
	spec.Name = cmp.Or(spec.Name, "preview")
	if expires != "never" && spec.Expiry == (apikey.Expiry{}) {
		// The link gives no valid expiry. Try the key with one that every rule allows, so
		// that the rules do not refuse the key for the lack of an expiry.
		spec.Expiry.At = f.now.Add(time.Minute)
	}
	_, wrong := f.call.try(spec)
	fields := map[string]string{"name": "name", "permissions": "permissions", "expires": "expires_at", "expires_on": "expires_at"}
	wrong = slices.DeleteFunc(append(f.wrong, wrong...), func(p problem) bool { return fields[p.Field] == "" || !link.has(fields[p.Field]) })
	if len(wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, wrong)
	}
	return f.ask(http.StatusOK, nil)
}

// errTried ends a creation before the key is stored.
var errTried = errors.New("console: the key was tried and is not stored")

// try asks the service for a key without storing it. It returns the key as it would
// be stored, and the problems with the form.
func (s *call) try(spec apikey.Spec) (key apikey.Key, wrong []problem) {
	ctx := s.r.Context()
	spec.BeforeStore = func(_ context.Context, made apikey.Key, _ apikey.Secret) error {
		key = made
		return errTried
	}
	_, _, err := s.keys().Create(ctx, s.actor(), spec)
	return key, problemsOf(outcome.Manage(ctx, err))
}

// mayNeverExpire reports whether a new key may be without an expiry: no policy refuses it
// because of that, or gives it one. A refusal for another reason does not count.
func (f *keyForm) mayNeverExpire() bool {
	key, wrong := f.call.try(apikey.Spec{Workspace: f.Record.ID, Name: "preview"})
	return key.NotAfter.IsZero() && !slices.ContainsFunc(wrong, func(p problem) bool { return p.Field == "expires" })
}

// noDirect returns why no new key of a workspace may allow direct use, or "". A refusal
// for another reason does not count.
func (s *call) noDirect(workspace string) string {
	_, wrong := s.try(apikey.Spec{Workspace: workspace, Name: "preview", Direct: true, Expiry: apikey.Expiry{At: s.keys().Now().Add(time.Minute)}})
	return frame{Problems: wrong}.Reason("direct")
}

// permissions reads the selected permissions.
func (f *keyForm) permissions() scope.Set {
	set, err := scope.Of(f.Values["permissions"]...)
	if err != nil {
		f.fail("permissions", "The form holds a text that is not a permission. Choose from the list.")
	}
	return set
}

// ask shows the form with its problems.
func (f *keyForm) ask(status int, wrong []problem) error {
	s := f.call
	if status == http.StatusConflict {
		f.Version = f.Key.Version // the page says what was changed, so the person may now change that version
	}
	f.Chosen, _ = scope.Of(f.Values["permissions"]...) //nolint:errcheck // invalid ones are not selected again
	f.Groups = groupsOf(s.keys().Catalog(), f.Grantable.Union(f.Key.Permissions.Minus(f.Key.Withheld)))
	f.Expiry = f.expiryForm()
	if f.Page == "new" || f.Page == "change" {
		f.NoDirect = s.noDirect(f.Record.ID)
	}
	title := map[string]string{
		"new": "Create an API key", "change": "Change " + f.Key.Name, "rotate": "Rotate " + f.Key.Name,
		"publickey": "Add a public key to " + f.Key.Name, "trust": "Add a trust to " + f.Key.Name,
	}[f.Page]
	if f.Page == "new" && f.Grantable.Len() == 0 {
		return &apikey.ForbiddenError{Action: audit.Create, Reason: "You may see the keys of this workspace, but not create any."}
	}
	return s.show(status, f.Page, frame{Here: "keys", Title: title, Workspace: f.Record.ID, Form: f.id, Problems: wrong, Data: f})
}
