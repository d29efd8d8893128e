package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// prefill shows the form of a new key with the values of a link, and what is wrong
// with them.
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
		spec.Expiry.At = f.now.Add(time.Minute) // any that the rules allow
	}
	_, wrong := f.try(spec)
	fields := map[string]string{"name": "name", "permissions": "permissions", "expires": "expires_at", "expires_on": "expires_at"}
	wrong = slices.DeleteFunc(append(f.wrong, wrong...), func(p problem) bool { return fields[p.Field] == "" || !link.has(fields[p.Field]) })
	if len(wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, wrong)
	}
	return f.ask(http.StatusOK, nil)
}

// errTried keeps a key from being stored.
var errTried = errors.New("console: only tried")

// try asks the service for a key without storing it. It returns the key as it would
// be stored, and the problems with the form.
func (f *keyForm) try(spec apikey.Spec) (key apikey.Key, wrong []problem) {
	ctx := f.call.r.Context()
	spec.BeforeStore = func(_ context.Context, made apikey.Key, _ apikey.Secret) error {
		key = made
		return errTried
	}
	_, _, err := f.call.keys().Create(ctx, f.call.actor(), spec)
	return key, problemsOf(outcome.Manage(ctx, err))
}

// mayBeEndless reports whether policies let a new key live without an expiry.
func (f *keyForm) mayBeEndless() bool {
	key, wrong := f.try(apikey.Spec{Workspace: f.workspace, Name: "preview"})
	return key.NotAfter.IsZero() && !slices.ContainsFunc(wrong, func(p problem) bool { return p.Field == "expires" })
}
