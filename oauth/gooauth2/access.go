package gooauth2

import (
	"context"
	"fmt"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// AccessGenerate is an oauth2.AccessGenerate for clients that a ClientStore
// of this package authenticated. It is safe for concurrent use.
type AccessGenerate struct {
	keys *apikey.Service
	sign func(context.Context, *apikey.Grant) (string, error)
	next oauth2.AccessGenerate
}

// NewAccessGenerate returns an AccessGenerate that decides through keys. sign
// makes the token of a grant, such as (*oauth.Server).Sign. The tokens of the
// host's own clients are left to next; nil: there are none.
func NewAccessGenerate(
	keys *apikey.Service, sign func(context.Context, *apikey.Grant) (string, error), next oauth2.AccessGenerate,
) *AccessGenerate {
	return &AccessGenerate{keys: keys, sign: sign, next: next}
}

// Token decides on the token under policy and signs it. The token's own
// lifetime and scope win over those of go-oauth2's configuration, and are
// written back to data.TokenInfo. There is no refresh token (RFC 6749,
// section 4.4.3), and no token for a user.
func (a *AccessGenerate) Token(ctx context.Context, data *oauth2.GenerateBasic, isGenRefresh bool) (access, refresh string, err error) {
	if data == nil || data.TokenInfo == nil {
		return "", "", fmt.Errorf("gooauth2: no token to fill in: %w", oautherrors.ErrServerError)
	}
	c, ok := data.Client.(*client)
	switch {
	case !ok && a.next != nil && data.Client != nil:
		return a.next.Token(ctx, data, isGenRefresh)
	case !ok:
		return "", "", fmt.Errorf("gooauth2: the client did not come from this package's ClientStore: %w", oautherrors.ErrServerError)
	case c.proof == nil:
		// The implicit grant and refresh tokens come here without a secret.
		return "", "", oautherrors.ErrInvalidClient
	case data.UserID != "":
		return "", "", oautherrors.ErrUnauthorizedClient
	}
	info := data.TokenInfo
	if err := markKeyToken(info); err != nil {
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
