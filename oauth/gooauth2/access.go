package gooauth2

import (
	"context"
	"fmt"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

// AccessGenerate is an oauth2.AccessGenerate for clients that a ClientStore
// of this package authenticated. It is safe for concurrent use.
type AccessGenerate struct {
	keys *apikey.Service
	sign func(context.Context, *apikey.Grant) (string, error)
	next oauth2.AccessGenerate
}

// NewAccessGenerate returns an AccessGenerate that decides through keys. sign
// makes the token of a grant, such as (*oauth.Server).Sign.
func NewAccessGenerate(keys *apikey.Service, sign func(context.Context, *apikey.Grant) (string, error)) *AccessGenerate {
	return &AccessGenerate{keys: keys, sign: sign}
}

// Beside returns an AccessGenerate that leaves the tokens of the host's own
// clients to next.
func (a *AccessGenerate) Beside(next oauth2.AccessGenerate) *AccessGenerate {
	return &AccessGenerate{a.keys, a.sign, next}
}

// Token decides on the token under policy and signs it. The token's own
// lifetime and scope win over those of go-oauth2's configuration, and are
// written back to data.TokenInfo. There is no refresh token (RFC 6749,
// section 4.4.3), and no token for a user.
func (a *AccessGenerate) Token(ctx context.Context, data *oauth2.GenerateBasic, isGenRefresh bool) (access, refresh string, err error) {
	if data == nil || data.TokenInfo == nil {
		return "", "", fmt.Errorf("gooauth2: no token to fill in: %w", oautherrors.ErrServerError)
	}
	if d, ok := data.Client.(decided); ok {
		return a.issue(ctx, d.grant, data.TokenInfo)
	}
	return a.proved(ctx, data, isGenRefresh)
}

// proved decides on the token of a client that go-oauth2 has authenticated.
func (a *AccessGenerate) proved(ctx context.Context, data *oauth2.GenerateBasic, isGenRefresh bool) (access, refresh string, err error) {
	c, ok := data.Client.(*client)
	switch {
	case !ok && a.next != nil && data.Client != nil:
		return a.next.Token(ctx, data, isGenRefresh)
	case !ok:
		return "", "", fmt.Errorf("gooauth2: the client did not come from this package's ClientStore: %w", oautherrors.ErrServerError)
	}
	switch {
	case c.login == nil:
		// The implicit grant and refresh tokens come here without a secret.
		return "", "", oautherrors.ErrInvalidClient
	case data.UserID != "":
		return "", "", oautherrors.ErrUnauthorizedClient
	}
	if err := markKeyToken(data.TokenInfo); err != nil {
		return "", "", err
	}
	grant, err := a.decide(ctx, c, data.TokenInfo.GetScope())
	if err != nil {
		return "", "", err
	}
	access, refresh, err = a.issue(ctx, grant, data.TokenInfo)
	if isOutage(err) {
		return "", "", oautherrors.ErrTemporarilyUnavailable
	}
	return access, refresh, err
}

func (a *AccessGenerate) issue(ctx context.Context, grant *apikey.Grant, info oauth2.TokenInfo) (access, refresh string, err error) {
	token, err := a.sign(ctx, grant)
	if err != nil {
		return "", "", fmt.Errorf("gooauth2: %w", err)
	}
	info.SetScope(grant.Permissions.String())
	info.SetAccessCreateAt(grant.IssuedAt)
	info.SetAccessExpiresIn(grant.Expires.Sub(grant.IssuedAt))
	return token, "", nil
}

// decide answers with go-oauth2's own errors.
func (a *AccessGenerate) decide(ctx context.Context, c *client, text string) (*apikey.Grant, error) {
	var grant *apikey.Grant
	requested, err := scope.Parse(text)
	if err == nil {
		grant, err = a.keys.Issue(ctx, c.login, requested, "")
	}
	if err != nil {
		return nil, answerTo(ctx, err)
	}
	return grant, nil
}
