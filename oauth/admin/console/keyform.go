package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyForm is the form of a key to be made, changed or rotated.
type keyForm struct {
	Values  url.Values // what its fields hold
	Key     keyView    // that is changed or rotated
	Version int64      // of the key that the form was made from
	Groups  []permissionGroup
	Expiry  expiryForm
	Graces  []grace
	// Of the workspace of a new key:
	Total, Limit int
	Full         bool

	call      *call
	page      string // "new", "change" or "rotate"
	id        string // of a form that makes a secret
	key       apikey.Key
	workspace string
	rules     store.Rules
	grantable scope.Set
	now       time.Time
	since     time.Time // the longest life of the key counts from here
}

// keyForm begins the form of a page: of the key in the address, or of a new one in
// the workspace there.
func (s *call) keyForm(page string) (*keyForm, error) {
	ctx := s.r.Context()
	f := &keyForm{Values: s.r.PostForm, call: s, page: page, workspace: s.workspace(), now: s.keys().Now()}
	f.since = f.now // a new secret is about to be made
	var err error
	if page != "new" {
		if f.key, err = s.keys().Get(ctx, s.actor(), s.key()); err != nil {
			return nil, err
		}
		f.workspace, f.Key, f.Version = f.key.Workspace, viewOf(&f.key, f.now), f.key.Version
	}
	if page == "change" {
		f.since = f.key.Renewed
	}
	if s.r.Method == http.MethodPost {
		f.Version = s.version()
	}
	if _, f.rules, err = s.keys().Workspace(ctx, s.actor(), f.workspace); err != nil {
		return nil, err
	}
	f.grantable, err = s.keys().Grantable(ctx, s.actor(), f.workspace)
	return f, err
}

// ask shows the form, and what is wrong with it.
func (f *keyForm) ask(status int, wrong []problem) error {
	s := f.call
	chosen, err := scope.Of(f.Values["permissions"]...)
	if err != nil {
		chosen = scope.Set{}
	}
	f.Groups = choices(s.keys().Catalog(), f.grantable, f.key.Permissions.Minus(f.key.Withheld), chosen)
	f.offerExpiry()
	f.Graces = graces(f.Values.Get("grace"))
	title := map[string]string{"new": "Create an API key", "change": "Change " + f.key.Name, "rotate": "Rotate " + f.key.Name}[f.page]
	if f.page == "new" {
		if f.grantable.Len() == 0 {
			return &apikey.ForbiddenError{Action: audit.Create, Reason: "You may see the keys of this workspace, but not make any."}
		}
		workspace, _, err := s.keys().Workspace(s.r.Context(), s.actor(), f.workspace)
		if err != nil {
			return err
		}
		f.Total, f.Limit, f.Full = workspace.Keys, f.rules.MaxKeys, f.rules.MaxKeys > 0 && workspace.Keys >= f.rules.MaxKeys
	}
	return s.show(status, f.page, frame{Here: "keys", Title: title, Workspace: f.workspace, Form: f.id, Problems: wrong, Data: f})
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
