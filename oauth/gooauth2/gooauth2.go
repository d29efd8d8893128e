// Package gooauth2 lets API keys log in to a go-oauth2 server. It has a ClientStore
// that finds keys, an AccessGenerate that asks the policy and signs RFC 9068
// tokens, and a TokenStore that does not store these self-contained tokens.
//
// The adapters serve the client_credentials grant. In a server with its own clients
// and users, pass them the server's own stores:
//
//	manager.MapClientStorage(gooauth2.NewClientStore(srv.APIKeys(), clients))
//	manager.MapAccessGenerate(gooauth2.NewAccessGenerate(srv.APIKeys(), srv.Sign, generates.NewAccessGenerate()))
//	manager.MapTokenStorage(gooauth2.NewTokenStore(tokens))
//	web := server.NewDefaultServer(gooauth2.Manager{Manager: manager})
//
// Map all three. Without the AccessGenerate, keys would get the host's tokens,
// without policy. Without the TokenStore, the host's store would keep keys' tokens
// in plain text, and still find them after they were revoked. In a server that
// serves only keys, pass nil for the host's own. Leave out Manager if an
// unavailable store may look like a wrong secret to clients.
//
// # Clients of Latchkey and of the host
//
// A client id belongs to Latchkey if a key has it, and to the host otherwise. So an
// imported client (see migrate.GoOAuth2) is authenticated only by its key, and
// disabling the key disables the client. Still, remove imported clients from the
// host's store: if such a key is deleted, its id belongs to the host again. While
// the key store is unavailable, it is not known to which of the two an id belongs,
// and no client can log in, not even the host's.
//
// OAuth 2.0 clients send their secret by HTTP Basic or in the form. go-oauth2's
// ClientFormHandler reads only the form, and its 401 has no challenge:
// examples/gooauth2 shows a handler that reads both.
//
// Keys log in with client_credentials only. They get no refresh token (RFC 6749,
// section 4.4.3), no token for a user and no authorization code. The host's clients
// get codes, tokens and refresh tokens as before.
//
// Verify a key's tokens with the oauth.Server's bearer.Verifier, which its Require
// uses. go-oauth2's server.Server.ValidationBearerToken does not accept them: it
// looks them up in the token store, and does not know workspaces.
package gooauth2

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// ClientStore is an oauth2.ClientStore of API keys. It is safe for
// concurrent use.
//
// go-oauth2's check of a secret has only the results yes and no. If the key store
// is unavailable, the ClientStore finds that out before, and the response is 503
// temporarily_unavailable. Any later failure to check a secret, such as too many
// slow digests at the same time, looks like a wrong secret, unless the server uses
// the Manager of this package.
type ClientStore struct {
	keys *apikey.Service
	next oauth2.ClientStore
}

// NewClientStore returns a ClientStore that looks for a key first and then for a
// client of the host in next; nil: the host has none. A client from next is
// entirely the host's: go-oauth2 compares its secret (and accepts any if the
// client's secret is empty), and AccessGenerate passes it to the host's generator.
//
// If next returns store.ErrUnavailable, the error of an ended context, or
// go-oauth2's ErrTemporarilyUnavailable or ErrServerError, the response is 503. Any
// other error means that there is no such client, since go-oauth2 has no error for
// that.
func NewClientStore(keys *apikey.Service, next oauth2.ClientStore) *ClientStore {
	return &ClientStore{keys, next}
}

// GetByID returns the client with the given id. For an unknown id it returns a
// client whose secret is always wrong, so that a response does not show whether an
// id exists.
func (s *ClientStore) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	ours := &client{Client: models.Client{ID: id, Domain: noDomain}, keys: s.keys, ctx: ctx, attempt: attemptFrom(ctx)}
	known, err := s.keys.Exists(ctx, id)
	switch {
	case err != nil:
		// Not wrapped, since server.Server compares errors with ==.
		return nil, oautherrors.ErrTemporarilyUnavailable
	case known:
		ours.next = s.next
		return ours, nil
	case s.next == nil:
		return ours, nil
	}
	theirs, err := s.next.GetByID(ctx, id)
	switch {
	case isOutage(err):
		return nil, oautherrors.ErrTemporarilyUnavailable
	case err != nil || theirs == nil:
		return ours, nil //nolint:nilerr // an unknown id
	}
	return theirs, nil
}

// isOutage reports whether an error of the host's code says that a store is
// unavailable, by an error of go-oauth2 or of Latchkey.
func isOutage(err error) bool {
	return outcome.IsOutage(err) || errors.Is(err, oautherrors.ErrTemporarilyUnavailable) || errors.Is(err, oautherrors.ErrServerError)
}

// answerTo returns go-oauth2's error for err. It is not wrapped, since
// server.Server compares errors with ==.
func answerTo(ctx context.Context, err error) error {
	code := outcome.OAuth(ctx, err).Row().OAuth.Code
	for _, known := range []error{
		oautherrors.ErrInvalidClient, oautherrors.ErrInvalidScope, oautherrors.ErrUnauthorizedClient, oautherrors.ErrTemporarilyUnavailable,
	} {
		if known.Error() == code {
			return known
		}
	}
	return oautherrors.ErrServerError
}

// client is one key within one request.
type client struct {
	models.Client
	keys *apikey.Service
	// ctx is the request's: VerifyPassword has no parameter for it.
	ctx     context.Context //nolint:containedctx // forced by oauth2.ClientPasswordVerifier
	attempt *attempt
	// next is the host's store, if GetByID has not read it for this id.
	next  oauth2.ClientStore
	proof *apikey.Proof
}

var _ oauth2.ClientPasswordVerifier = (*client)(nil)

// noDomain is not a URL. With an empty domain go-oauth2 allows redirects to any
// URI, and without a redirect URI it redirects to the domain itself.
const noDomain = "://a-key-has-no-redirect-uri"

// VerifyPassword verifies the secret. It returns false on every failure, so that a
// server with another AccessGenerate never makes a token.
func (c *client) VerifyPassword(secret string) bool {
	proof, err := c.keys.Authenticate(c.ctx, apikey.Credentials{ID: c.ID, Secret: secret, Address: c.attempt.address})
	if err != nil {
		c.attempt.failed = err
		if c.next != nil {
			// GetByID looks for an unknown id there, so do the same, or the response
			// time would show that the id exists.
			_, _ = c.next.GetByID(c.ctx, c.ID) //nolint:errcheck // the result does not matter
		}
		return false
	}
	c.proof = proof
	return true
}

// TokenStore is an oauth2.TokenStore that does not store tokens of keys: they are
// self-contained, and package apikey or the oauth.Server's revocation endpoint
// revokes them. The host's store keeps everything else: codes and the tokens of the
// host's clients.
type TokenStore struct{ oauth2.TokenStore }

// NewTokenStore returns a TokenStore that passes all but keys' tokens to next, the
// host's store. If next is nil, nothing is stored and nothing is found.
func NewTokenStore(next oauth2.TokenStore) TokenStore {
	if next == nil {
		next = noTokens{}
	}
	return TokenStore{next}
}

// Create stores nothing of a key's token. It passes every other token to the host's
// store.
func (t TokenStore) Create(ctx context.Context, info oauth2.TokenInfo) error {
	if isKeyToken(info) {
		return nil
	}
	return t.TokenStore.Create(ctx, info)
}

type noTokens struct{}

func (noTokens) Create(context.Context, oauth2.TokenInfo) error { return nil }
func (noTokens) RemoveByCode(context.Context, string) error     { return nil }
func (noTokens) RemoveByAccess(context.Context, string) error   { return nil }
func (noTokens) RemoveByRefresh(context.Context, string) error  { return nil }
func (noTokens) GetByCode(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidAuthorizeCode
}

func (noTokens) GetByAccess(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidAccessToken
}

func (noTokens) GetByRefresh(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidRefreshToken
}

// keyExtension is set in the TokenInfo of a key's token, by AccessGenerate for
// TokenStore.
const keyExtension = "latchkey.key"

func isKeyToken(info oauth2.TokenInfo) bool {
	extendable, ok := info.(oauth2.ExtendableTokenInfo)
	return ok && extendable.GetExtension().Has(keyExtension)
}

func setKeyToken(info oauth2.TokenInfo) error {
	extendable, ok := info.(oauth2.ExtendableTokenInfo)
	if !ok {
		return fmt.Errorf("gooauth2: the TokenInfo is not an oauth2.ExtendableTokenInfo, so a key's token cannot be recognized later: %w", oautherrors.ErrServerError)
	}
	extension := extendable.GetExtension()
	if extension == nil {
		extension = map[string][]string{}
	}
	extension.Set(keyExtension, "1")
	extendable.SetExtension(extension)
	return nil
}
