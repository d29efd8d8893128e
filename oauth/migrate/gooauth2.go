package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// GoOAuth2 reads clients of a go-oauth2 store. The store cannot list, so the
// host names the ids. mapping says which key a client becomes; without a name
// the key gets the id, and an error leaves the client out.
//
// Import only clients that log in for themselves: one that sends users through
// authorization_code stays the host's, for an imported id is no longer found
// there (see gooauth2.ClientStore). Remove an imported client from the store,
// where its secret stands in plain text.
//
// A public client, one without a secret (go-oauth2 lets anybody in as such a
// one) and one that is not found are skipped. A client that verifies its
// secret itself (oauth2.ClientPasswordVerifier) is taken if GetSecret returns
// a bcrypt, argon2id or PBKDF2 digest; any other client's secret is plain text,
// whatever it looks like. An outage of the store (store.ErrUnavailable, an
// ended context, go-oauth2's ErrTemporarilyUnavailable and ErrServerError) is
// the error.
func GoOAuth2(ctx context.Context, from oauth2.ClientStore, ids []string, mapping func(oauth2.ClientInfo) (apikey.Spec, error)) (Result, error) {
	var result Result
	if from == nil || mapping == nil {
		return result, errors.New("migrate: read clients: a store and a mapping are needed")
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		info, err := from.GetByID(ctx, id)
		if store.IsOutage(err) || errors.Is(err, oautherrors.ErrTemporarilyUnavailable) || errors.Is(err, oautherrors.ErrServerError) {
			return result, fmt.Errorf("migrate: read clients: %w", err)
		}
		spec, reason := importOf(id, info, err, mapping)
		if reason != "" {
			result.Skipped = append(result.Skipped, Skipped{ID: id, Reason: reason})
			continue
		}
		result.Keys = append(result.Keys, spec)
	}
	return result, nil
}

func importOf(id string, info oauth2.ClientInfo, err error, mapping func(oauth2.ClientInfo) (apikey.Spec, error)) (apikey.ImportSpec, string) {
	switch {
	case err != nil:
		return apikey.ImportSpec{}, fmt.Sprintf("The store does not find it: %v.", err)
	case info == nil:
		return apikey.ImportSpec{}, "The store does not find it."
	case info.GetID() != id:
		return apikey.ImportSpec{}, "The store found a client with another id."
	case info.IsPublic():
		return apikey.ImportSpec{}, "It is a public client."
	case info.GetSecret() == "":
		return apikey.ImportSpec{}, "It has no secret."
	}
	spec := apikey.ImportSpec{ID: id, Secret: info.GetSecret()}
	if _, verifies := info.(oauth2.ClientPasswordVerifier); verifies {
		spec.Secret, spec.Digest = "", info.GetSecret()
		if !strings.HasPrefix(spec.Digest, "$") {
			return apikey.ImportSpec{}, "It verifies its secret in a way of its own."
		}
	}
	if spec.Spec, err = mapping(info); err != nil {
		return apikey.ImportSpec{}, fmt.Sprintf("The host's mapping left it out: %v.", err)
	}
	if spec.Name == "" {
		spec.Name = id
	}
	return spec, ""
}
