package gooauth2

import (
	"context"
	"fmt"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// AccessGenerate is an oauth2.AccessGenerate for the clients of this package's
// ClientStore. It is safe for concurrent use.
type AccessGenerate struct {
	keys *apikey.Service
	sign func(context.Context, *apikey.Grant) (string, error)
	next oauth2.AccessGenerate
}

// NewAccessGenerate returns an AccessGenerate that decides with keys. sign makes
// the token of a grant; use (*oauth.Server).Sign. next makes the tokens of the
// host's own clients; nil: the host has none.
func NewAccessGenerate(
	keys *apikey.Service, sign func(context.Context, *apikey.Grant) (string, error), next oauth2.AccessGenerate,
) *AccessGenerate {
	return &AccessGenerate{keys: keys, sign: sign, next: next}
}

// Token asks the policy and signs the token. It uses the lifetime and scope that
// apikey.Service.Issue decides, not those of go-oauth2's configuration, and writes
// them to data.TokenInfo. It returns no refresh token (RFC 6749, section 4.4.3),
// and makes no token for a user.
func (a *AccessGenerate) Token(ctx context.Context, data *oauth2.GenerateBasic, isGenRefresh bool) (access, refresh string, err error) {
	if data == nil || data.TokenInfo == nil {
		return "", "", fmt.Errorf("gooauth2: the request has no TokenInfo: %w", oautherrors.ErrServerError)
	}
	c, ok := data.Client.(*client)
	switch {
	case !ok && a.next != nil && data.Client != nil:
		return a.next.Token(ctx, data, isGenRefresh)
	case !ok:
		return "", "", fmt.Errorf("gooauth2: the client did not come from this package's ClientStore: %w", oautherrors.ErrServerError)
	case c.proof == nil:
		// The implicit grant and refresh tokens call this without a check of the secret.
		return "", "", oautherrors.ErrInvalidClient
	case data.UserID != "":
		return "", "", oautherrors.ErrUnauthorizedClient
	}
	info := data.TokenInfo
	if err := setKeyToken(info); err != nil {
		return "", "", err
	}
	grant, err := a.keys.Issue(ctx, c.proof, apikey.Request{Scope: info.GetScope()})
	if err != nil {
		return "", "", answerTo(ctx, err)
	}
	token, err := a.sign(ctx, grant)
	switch {
	case isOutage(err):
		return "", "", oautherrors.ErrTemporarilyUnavailable
	case err != nil:
		return "", "", fmt.Errorf("gooauth2: %w", err)
	}
	info.SetScope(grant.Permissions.String())
	info.SetAccessCreateAt(grant.IssuedAt)
	info.SetAccessExpiresIn(grant.Expires.Sub(grant.IssuedAt))
	return token, "", nil
}
