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

// GoOAuth2 reads clients of a go-oauth2 store. The host passes the ids, because the
// store cannot list clients. mapping returns the fields of a client's key. Without a
// name the key gets the id. If mapping returns an error, the client is skipped.
//
// Import only clients that log in with client_credentials. Do not import a client
// that uses authorization_code: the host no longer finds an imported id there (see
// gooauth2.ClientStore). Remove imported clients from the old store, because it holds
// their secrets in plain text.
//
// It skips public clients, clients without a secret (go-oauth2 accepts any secret for
// them) and clients that are not found. A client that verifies its secret itself
// (oauth2.ClientPasswordVerifier) can be imported if GetSecret returns a bcrypt,
// argon2id or PBKDF2 digest. The secret of any other client is plain text, whatever
// it looks like. GoOAuth2 returns an error for an outage of the store:
// store.ErrUnavailable, an ended context, go-oauth2's ErrTemporarilyUnavailable and
// ErrServerError.
func GoOAuth2(ctx context.Context, from oauth2.ClientStore, ids []string, mapping func(oauth2.ClientInfo) (apikey.Spec, error)) (Result, error) {
	if from == nil || mapping == nil {
		return Result{}, errors.New("migrate: read clients: the store and the mapping must not be nil")
	}
	r := &reader{seen: make(map[string]bool)}
	listed := make(map[string]bool, len(ids))
	for _, id := range ids {
		if listed[id] {
			continue
		}
		listed[id] = true
		info, err := from.GetByID(ctx, id)
		if store.IsOutage(err) || errors.Is(err, oautherrors.ErrTemporarilyUnavailable) || errors.Is(err, oautherrors.ErrServerError) {
			return r.result, fmt.Errorf("migrate: read clients: %w", err)
		}
		r.mapping = func(Client) (apikey.Spec, error) { return mapping(info) }
		r.goOAuth2Client(id, info, err)
	}
	return r.result, nil
}

func (r *reader) goOAuth2Client(id string, info oauth2.ClientInfo, err error) {
	r.count++
	_, verifies := info.(oauth2.ClientPasswordVerifier)
	switch {
	case err != nil:
		r.skip(id, "It was not found in the store: %v.", err)
	case info == nil:
		r.skip(id, "It was not found in the store.")
	case info.GetID() != id:
		r.skip(id, "The store returned a client with another id.")
	case info.IsPublic():
		r.skip(id, "It is a public client.")
	case info.GetSecret() == "":
		r.skip(id, "It has no secret.")
	case !verifies:
		r.add(Client{ID: id}, apikey.ImportSpec{Secret: info.GetSecret()})
	case strings.HasPrefix(info.GetSecret(), "$"):
		r.add(Client{ID: id}, apikey.ImportSpec{Digest: info.GetSecret()})
	default:
		r.skip(id, "It verifies its secret itself, and GetSecret does not return a digest that can be imported.")
	}
}
