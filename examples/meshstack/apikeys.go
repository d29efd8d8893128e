package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keysAPI is /api/meshobjects/meshapikeys for the meshStack Terraform provider. It only
// translates requests and answers. The service decides what the token's key may do.
//
// The provider has one limitation: it reads a new secret from the answer to the PUT that
// changes the expiry. If that answer is lost, its retry finds nothing to change, and its
// state keeps the old secret, which no longer works. Then change the expiry once more.
type keysAPI struct{ keys *apikey.Service }

const keyMedia = "application/vnd.meshcloud.api.meshApiKey.v1-preview.hal+json"

// keyObject is a request's body. Its status is ignored, because clients cannot choose a
// secret.
type keyObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		UUID             string `json:"uuid,omitempty"`
		OwnedByWorkspace string `json:"ownedByWorkspace"`
	} `json:"metadata"`
	Spec struct {
		DisplayName string     `json:"displayName"`
		Permissions *scope.Set `json:"permissions"`
		ExpiresAt   *string    `json:"expiresAt,omitempty"`
	} `json:"spec"`
}

// keyAnswer is an answer's body. It holds the secret only when the key was created or
// rotated.
type keyAnswer struct {
	keyObject
	Status struct {
		ClientID     string `json:"clientId"`
		ClientSecret string `json:"clientSecret,omitempty"`
	} `json:"status"`
}

// host is the actor for what the program does itself, never for a caller.
func host() apikey.Actor { return apikey.OrganizationAdmin("meshstack") }

// caller is the token's key as an actor, limited to the token's permissions.
func caller(r *http.Request) apikey.Actor {
	p, _ := bearer.PrincipalFrom(r.Context()) // the guard has set it
	return apikey.ByKey(p.KeyID, p.Permissions, p.CredentialID)
}

func (a keysAPI) create(r *http.Request) (status int, body any, err error) {
	spec, _, err := a.read(r)
	if err != nil {
		return 0, nil, err
	}
	spec.BeforeStore = func(_ context.Context, key apikey.Key, _ apikey.Secret) error {
		if dateOf(key) == spec.Expiry.String() { // the provider accepts only the expiry that it sent
			return nil
		}
		last := key.NotAfter.AddDate(0, 0, -1).Format(time.DateOnly)
		return refusal{http.StatusUnprocessableEntity, "A key expires with the key that created it: set spec.expiresAt to " + last + " or an earlier date."}
	}
	key, secret, err := a.keys.Create(r.Context(), caller(r), spec)
	return http.StatusCreated, answerOf(key, secret), err
}

func (a keysAPI) get(r *http.Request) (status int, body any, err error) {
	key, err := a.keys.Get(r.Context(), caller(r), r.PathValue("uuid"))
	return http.StatusOK, answerOf(key, apikey.Secret{}), err
}

// replace serves PUT: it removes what the body does not hold. Only a change of the expiry
// rotates the secret; the old one is retired at once.
func (a keysAPI) replace(r *http.Request) (status int, body any, err error) {
	spec, uuid, err := a.read(r)
	if err != nil {
		return 0, nil, err
	}
	// The program itself reads the key. The service decides below whether the caller may
	// know of it. Version binds that decision to the record that was read.
	key, err := a.keys.Get(r.Context(), host(), r.PathValue("uuid"))
	if err != nil {
		return 0, nil, err
	}
	if spec.Workspace != key.Workspace || uuid != "" && uuid != key.ID {
		return 0, nil, store.ErrNotFound // a key cannot change its workspace
	}
	var secret apikey.Secret // empty unless the key is rotated
	changes := apikey.Changes{Name: &spec.Name, Permissions: &spec.Permissions, Version: key.Version}
	if spec.Expiry.String() == dateOf(key) {
		key, err = a.keys.Update(r.Context(), caller(r), key.ID, changes)
	} else {
		changes.Expiry = &spec.Expiry
		key, secret, err = a.keys.Rotate(r.Context(), caller(r), key.ID, apikey.Rotation{Changes: changes})
	}
	return http.StatusOK, answerOf(key, secret), err
}

func (a keysAPI) remove(r *http.Request) (status int, body any, err error) {
	return http.StatusNoContent, nil, a.keys.Delete(r.Context(), caller(r), r.PathValue("uuid"), 0)
}

// read checks the form of a body; the service checks the rest.
func (a keysAPI) read(r *http.Request) (spec apikey.Spec, uuid string, err error) {
	bad := func(text string) (apikey.Spec, string, error) {
		return spec, "", refusal{http.StatusBadRequest, text}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return spec, "", refusal{http.StatusRequestEntityTooLarge, "The body is larger than 64 KiB or incomplete."}
	}
	var o keyObject
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(body, &o); {
	case errors.As(err, &wrong) && wrong.Field != "":
		return bad(wrong.Field + ": It has the wrong type.")
	case err != nil:
		return bad("The body is not a meshApiKey in JSON.") // does not quote the body, which may hold a secret
	case o.APIVersion != "v1-preview" || o.Kind != "meshApiKey":
		return bad("The apiVersion must be v1-preview and the kind meshApiKey.")
	case o.Spec.Permissions == nil:
		return bad("spec.permissions: It is required, but may be empty.")
	case a.keys.Catalog().Check(*o.Spec.Permissions) != nil: // also refuses wildcards, because answers would not hold them
		return bad("spec.permissions: One of them is not a permission of meshStack.")
	}
	if text := o.Spec.ExpiresAt; text != nil {
		spec.Expiry, err = apikey.ParseExpiry(*text)
		if _, noDate := time.Parse(time.DateOnly, *text); err != nil || noDate != nil {
			return bad("spec.expiresAt: It must be a date such as 2027-01-31. Leave it out for a key that never expires.")
		}
	}
	spec.Workspace, spec.Name, spec.Permissions = o.Metadata.OwnedByWorkspace, o.Spec.DisplayName, *o.Spec.Permissions
	return spec, o.Metadata.UUID, nil
}

// dateOf returns the expiry in the provider's form: the last day, or "".
func dateOf(key apikey.Key) string {
	if key.NotAfterText != "" || key.NotAfter.IsZero() {
		return key.NotAfterText
	}
	return key.NotAfter.Add(-time.Microsecond).Format(time.DateOnly) // an instant, which was set by another API
}

func answerOf(key apikey.Key, secret apikey.Secret) keyAnswer {
	o := keyAnswer{keyObject: keyObject{APIVersion: "v1-preview", Kind: "meshApiKey"}}
	o.Metadata.UUID, o.Metadata.OwnedByWorkspace = key.ID, key.Workspace
	o.Spec.DisplayName, o.Spec.Permissions = key.Name, &key.Permissions
	if date := dateOf(key); date != "" {
		o.Spec.ExpiresAt = &date
	}
	o.Status.ClientID, o.Status.ClientSecret = key.ID, secret.Reveal()
	return o
}
