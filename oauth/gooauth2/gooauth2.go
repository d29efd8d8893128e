// Package gooauth2 lets Latchkey's keys work in a go-oauth2 server: a
// ClientStore that finds keys, an AccessGenerate that signs RFC 9068 tokens
// under policy, and a TokenStore that keeps no token that speaks for itself.
//
// The adapters serve the client_credentials grant. In a server that has
// clients and users of its own they stand beside what is there:
//
//	manager.MapClientStorage(gooauth2.NewClientStore(srv.APIKeys(), clients))
//	manager.MapAccessGenerate(gooauth2.NewAccessGenerate(srv.APIKeys(), srv.Sign, generates.NewAccessGenerate()))
//	manager.MapTokenStorage(gooauth2.NewTokenStore(tokens))
//	web := server.NewDefaultServer(gooauth2.Manager{Manager: manager})
//
// Map all three. A ClientStore without the AccessGenerate would give keys the
// host's tokens, without policy, and without the TokenStore the host's would
// keep keys' tokens in plain text and go on finding them once they have ended.
// The host's own are nil in a server that serves nothing but keys. Leave out
// Manager where an outage may look like a wrong secret.
//
// # Who is who
//
// An id belongs to Latchkey if a key has it, and to the host otherwise, so a
// client that was imported (see migrate.GoOAuth2) is authenticated by its key alone,
// and disabling the key disables the client. Take imported clients out of the
// host's store all the same: once such a key is deleted, its id is the host's
// again. Which of the two cannot be told during an outage of the key store;
// then nobody logs in, the host's clients neither.
//
// Keys log in with client_credentials only. They get no refresh token
// (RFC 6749, section 4.4.3) and no token for a user, and no code is sent
// anywhere in their name. The host's clients get codes, tokens and refresh
// tokens as before.
//
// A key's tokens are verified by the server's bearer.Verifier, which routes
// reach through Require. server.Server's ValidationBearerToken does not accept
// them: it asks for a user's token, and knows no workspace.
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
// go-oauth2 asks a client about its secret with yes or no. A key store that
// cannot be reached is noticed before that, and answered with 503
// temporarily_unavailable. Whatever else keeps a right secret from being
// checked, such as too many slow digests at once, looks like a wrong one,
// unless the server runs on a Manager of this package.
type ClientStore struct {
	keys *apikey.Service
	next oauth2.ClientStore
}

// NewClientStore returns a ClientStore that finds keys first and then the host's
// own clients in next; nil: there are none. A client that next finds is the host's
// altogether: how its secret is compared (go-oauth2 accepts any for an empty one),
// and whom AccessGenerate asks for its token.
//
// An error of next that is an outage's (store.ErrUnavailable, an ended
// context, go-oauth2's ErrTemporarilyUnavailable and ErrServerError) is
// answered with 503. Any other means that there is no such client, as
// go-oauth2 has no error for that.
func NewClientStore(keys *apikey.Service, next oauth2.ClientStore) *ClientStore {
	return &ClientStore{keys, next}
}

// GetByID returns the client with the given id. An id that nobody has gets a
// client too, one whose secret is always wrong: that it is unknown shows in no
// other way, so that nobody can probe for ids.
func (s *ClientStore) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	ours := &client{Client: models.Client{ID: id, Domain: noDomain}, keys: s.keys, ctx: ctx, attempt: attemptFrom(ctx)}
	known, err := s.keys.Exists(ctx, id)
	switch {
	case err != nil:
		// Bare, as a server.Server compares errors and wants its own.
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
		return ours, nil //nolint:nilerr // an id that nobody has
	}
	return theirs, nil
}

// isOutage reports whether an error of the host's says outage, in go-oauth2's words or
// in Latchkey's.
func isOutage(err error) bool {
	return outcome.IsOutage(err) || errors.Is(err, oautherrors.ErrTemporarilyUnavailable) || errors.Is(err, oautherrors.ErrServerError)
}

// answerTo returns go-oauth2's own error for err, bare, as a server.Server compares
// errors and wants its own.
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
	// next is the host's store, where it was not asked yet.
	next  oauth2.ClientStore
	proof *apikey.Proof
}

var (
	_ oauth2.ClientInfo             = (*client)(nil)
	_ oauth2.ClientPasswordVerifier = (*client)(nil)
)

// noDomain is no URL. go-oauth2 takes an empty domain for leave to redirect
// anywhere, and without a redirect URI redirects to the domain itself.
const noDomain = "://a-key-has-no-redirect-uri"

// VerifyPassword proves the secret. It says no whenever it cannot say yes: a server whose
// AccessGenerate is not of this package must not be led to make a token.
func (c *client) VerifyPassword(secret string) bool {
	proof, err := c.keys.Authenticate(c.ctx, apikey.Credentials{ID: c.ID, Secret: secret, Address: c.attempt.address})
	if err != nil {
		c.attempt.failed = err
		if c.next != nil {
			// As an unknown id was looked for there, so that a refusal's
			// duration does not tell the two apart.
			_, _ = c.next.GetByID(c.ctx, c.ID) //nolint:errcheck // whatever it says
		}
		return false
	}
	c.proof = proof
	return true
}

// TokenStore is an oauth2.TokenStore that keeps no token of a key: it carries
// all that is to know, and ends as package apikey says, or through the server's
// revocation endpoint. Everything else, codes and the tokens of the host's clients,
// is left to the host's store.
type TokenStore struct{ oauth2.TokenStore }

// NewTokenStore returns a TokenStore in front of the host's. Nil: nothing is kept, and
// nothing found.
func NewTokenStore(next oauth2.TokenStore) TokenStore {
	if next == nil {
		next = noTokens{}
	}
	return TokenStore{next}
}

// Create keeps what the host's store keeps; of a key's token nothing.
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

// keyMark marks the TokenInfo of a key's token, between AccessGenerate and
// TokenStore.
const keyMark = "latchkey.key"

func isKeyToken(info oauth2.TokenInfo) bool {
	extendable, ok := info.(oauth2.ExtendableTokenInfo)
	return ok && extendable.GetExtension().Has(keyMark)
}

func markKeyToken(info oauth2.TokenInfo) error {
	extendable, ok := info.(oauth2.ExtendableTokenInfo)
	if !ok {
		return fmt.Errorf("gooauth2: a token of this kind cannot be told from the host's: %w", oautherrors.ErrServerError)
	}
	extension := extendable.GetExtension()
	if extension == nil {
		extension = map[string][]string{}
	}
	extension.Set(keyMark, "1")
	extendable.SetExtension(extension)
	return nil
}
