package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keysAPI is /api/meshobjects/meshapikeys, as the meshStack Terraform provider
// speaks it. Who may do what is the service's to decide, on the key behind the
// token; this is translation.
//
// One thing follows from the provider: it reads a new secret from the answer
// to the PUT that moves the expiry. If that answer is lost, its retry finds
// nothing to change, and its state keeps the old, dead secret. Move the expiry
// once more then.
type keysAPI struct{ keys *apikey.Service }

const keyMedia = "application/vnd.meshcloud.api.meshApiKey.v1-preview.hal+json"

// keyObject is a request's body. Its status is not read: nobody chooses a
// secret.
type keyObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		UUID             string `json:"uuid,omitempty"`
		OwnedByWorkspace string `json:"ownedByWorkspace"`
	} `json:"metadata"`
	Spec struct {
		DisplayName string   `json:"displayName"`
		Permissions []string `json:"permissions"`
		ExpiresAt   *string  `json:"expiresAt,omitempty"`
	} `json:"spec"`
}

// keyAnswer is an answer's body. The secret is in it only when the key is made
// and when it rotates.
type keyAnswer struct {
	keyObject
	Status struct {
		ClientID     string `json:"clientId"`
		ClientSecret string `json:"clientSecret,omitempty"`
	} `json:"status"`
}

// host acts for the program itself, never on a caller's behalf.
func host() apikey.Actor { return apikey.OrganizationAdmin("meshstack") }

// caller is the key behind the token, within what the token grants.
func caller(r *http.Request) apikey.Actor {
	if p, ok := bearer.PrincipalFrom(r.Context()); ok {
		return apikey.ByKey(p.KeyID, p.Permissions)
	}
	return apikey.Actor{} // may do nothing
}

func (a keysAPI) create(w http.ResponseWriter, r *http.Request) error {
	spec, _, err := a.read(w, r)
	if err != nil {
		return err
	}
	key, secret, err := a.keys.Create(r.Context(), caller(r), spec)
	if err != nil {
		return err
	}
	if dateOf(key) != spec.Expiry.String() { // the provider takes no expiry but the one it sent
		if err := a.keys.Delete(context.WithoutCancel(r.Context()), host(), key.ID); err != nil {
			return err
		}
		last := key.NotAfter.AddDate(0, 0, -1).Format(time.DateOnly)
		return refusal{http.StatusUnprocessableEntity, "A key ends with the key that made it: set spec.expiresAt to " + last + " or an earlier date."}
	}
	answerKey(w, http.StatusCreated, key, secret)
	return nil
}

func (a keysAPI) get(w http.ResponseWriter, r *http.Request) error {
	key, err := a.keys.Get(r.Context(), caller(r), r.PathValue("uuid"))
	if err != nil {
		return err
	}
	answerKey(w, http.StatusOK, key, apikey.Secret{})
	return nil
}

// replace is PUT: what the body lacks is removed. A change of the expiry, and
// nothing else, rotates the secret; the old one ends at once.
func (a keysAPI) replace(w http.ResponseWriter, r *http.Request) error {
	spec, uuid, err := a.read(w, r)
	if err != nil {
		return err
	}
	// The program looks up what there is; the service decides below whether
	// the caller may know of it. Version ties that decision to what was read.
	before, err := a.keys.Get(r.Context(), host(), r.PathValue("uuid"))
	if err != nil {
		return err
	}
	if spec.Workspace != before.Workspace || uuid != "" && uuid != before.ID {
		return store.ErrNotFound // a key never moves
	}
	var key store.Key
	var secret apikey.Secret // none, unless the key rotates
	changes := apikey.Changes{Name: &spec.Name, Permissions: &spec.Permissions, Version: before.Version}
	if spec.Expiry.String() == dateOf(before) {
		key, err = a.keys.Update(r.Context(), caller(r), before.ID, changes)
	} else {
		changes.Expiry = &spec.Expiry
		key, secret, err = a.keys.Rotate(r.Context(), caller(r), before.ID, apikey.Rotation{Changes: changes})
	}
	if err != nil {
		return err
	}
	answerKey(w, http.StatusOK, key, secret)
	return nil
}

func (a keysAPI) remove(w http.ResponseWriter, r *http.Request) error {
	if err := a.keys.Delete(r.Context(), caller(r), r.PathValue("uuid")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// read checks the form of a body; the service checks the rest.
func (a keysAPI) read(w http.ResponseWriter, r *http.Request) (spec apikey.Spec, uuid string, err error) {
	bad := func(text string) (apikey.Spec, string, error) {
		return spec, "", refusal{http.StatusBadRequest, text}
	}
	var (
		o     keyObject
		large *http.MaxBytesError
		wrong *json.UnmarshalTypeError
	)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	switch text := o.Spec.ExpiresAt; {
	case errors.As(err, &large):
		return spec, "", refusal{http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB."}
	case errors.As(err, &wrong):
		return bad(wrong.Field + ": It is of the wrong type.")
	case err != nil:
		return bad("The body is not JSON.") // no word of what it holds: a secret may be in it
	case o.APIVersion != "v1-preview" || o.Kind != "meshApiKey":
		return bad("The apiVersion must be v1-preview and the kind meshApiKey.")
	case o.Spec.Permissions == nil:
		return bad("spec.permissions: It is missing; it may be empty.")
	case text != nil:
		spec.Expiry, err = apikey.ParseExpiry(*text)
		if _, noDate := time.Parse(time.DateOnly, *text); err != nil || noDate != nil {
			return bad("spec.expiresAt: It must be a date such as 2027-01-31; without it a key never expires.")
		}
	}
	for _, name := range o.Spec.Permissions { // one by one: wildcards would not come back as they were sent
		if _, known := a.keys.Catalog().Lookup(name); !known {
			return bad(fmt.Sprintf("spec.permissions: %.64q is not a permission.", name))
		}
	}
	spec.Workspace, spec.Name = o.Metadata.OwnedByWorkspace, o.Spec.DisplayName
	spec.Permissions, err = scope.Of(o.Spec.Permissions...)
	return spec, o.Metadata.UUID, err
}

// dateOf is the expiry as the provider knows it: the last day, or nothing.
func dateOf(key store.Key) string {
	if key.NotAfterText != "" || key.NotAfter.IsZero() {
		return key.NotAfterText
	}
	return key.NotAfter.Add(-time.Microsecond).Format(time.DateOnly) // an instant, given elsewhere
}

func answerKey(w http.ResponseWriter, status int, key store.Key, secret apikey.Secret) {
	o := keyAnswer{keyObject: keyObject{APIVersion: "v1-preview", Kind: "meshApiKey"}}
	o.Metadata.UUID, o.Metadata.OwnedByWorkspace = key.ID, key.Workspace
	o.Spec.DisplayName, o.Spec.Permissions = key.Name, []string{}
	for name := range key.Permissions.All() {
		o.Spec.Permissions = append(o.Spec.Permissions, name)
	}
	if date := dateOf(key); date != "" {
		o.Spec.ExpiresAt = &date
	}
	o.Status.ClientID, o.Status.ClientSecret = key.ID, secret.Reveal()
	reply(w, status, keyMedia, o)
}
