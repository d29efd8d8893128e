package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/scope"
)

// Why a request is refused. An error of Verify or Authorize wraps one of these.
var (
	// ErrUnauthenticated: the request has no token, or none that is valid. Answer
	// 401.
	ErrUnauthenticated = errors.New("bearer: not authenticated")
	// ErrForbidden: the token lacks a permission. Answer 403.
	ErrForbidden = errors.New("bearer: missing permission")
	// ErrNotFound: the workspace is not there, or the token does not reach it,
	// which must look the same. Answer 404.
	ErrNotFound = errors.New("bearer: no such workspace for this token")
	// ErrUnavailable: keys or epochs could not be read, so the token could not be
	// checked. Answer 503.
	ErrUnavailable = errors.New("bearer: token cannot be checked now")
)

// Kinds of ErrUnauthenticated, which they wrap.
var (
	// ErrInvalid: not a token of this issuer for this resource server, or one
	// that was tampered with.
	ErrInvalid = fmt.Errorf("%w: invalid token", ErrUnauthenticated)
	// ErrExpired: the token is past its time; a new one will do.
	ErrExpired = fmt.Errorf("%w: expired token", ErrUnauthenticated)
	// ErrEnded: the token was ended before its time.
	ErrEnded = fmt.Errorf("%w: ended token", ErrUnauthenticated)
)

// refusal is an error whose reason may be told to the caller: a fixed
// sentence that repeats nothing of the token.
type refusal struct {
	kind   error
	said   answer.Refusal
	scopes string // that would do
}

func (r *refusal) Error() string   { return r.kind.Error() + ": " + r.said.Description() }
func (r *refusal) Unwrap() []error { return []error{r.kind, &r.said} }

func refused(kind error, reason string) error {
	return &refusal{kind: kind, said: answer.Refusal{Kind: answer.InvalidToken, Detail: reason}}
}

func invalid(reason string) error { return refused(ErrInvalid, reason) }

// Verify checks a token after RFC 9068, section 4, and returns who presents
// it. It checks no permission and no workspace: Authorize does. The error wraps ErrInvalid, ErrExpired,
// ErrEnded or ErrUnavailable; its text repeats no part of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	// A token seen before has been decoded and its signature checked. All
	// that can have changed since is checked again: that its key is still in
	// the set, and in checkNow, so that the cache never changes an answer.
	if hit := v.cache.find(token); hit != nil {
		known := hit.value
		key, err := v.key(ctx, known.key.ID)
		if err != nil {
			return nil, err
		}
		if key.Same(known.key) {
			if err := v.checkNow(ctx, token, known.principal); err != nil {
				return nil, err
			}
			return known.principal, nil
		}
	}

	// Length, form, typ and alg are bounded before anything is decoded. Only
	// typ at+jwt is taken: an ID token of the same issuer is no access token
	// (RFC 9068, section 4).
	parsed, err := jose.Parse(token)
	if err != nil {
		return nil, invalid("The token is not a JWT access token of the supported form.")
	}

	// The key comes from the configured set and from nowhere else.
	key, err := v.key(ctx, parsed.KeyID)
	if err != nil {
		return nil, err
	}

	// The signature comes before the claims: until here they are anybody's.
	// The key decides the algorithm (RFC 8725, section 3.1).
	payload, err := parsed.Verify(key)
	switch {
	case errors.Is(err, jose.ErrKey):
		return nil, fmt.Errorf("%w: key set: %w", ErrUnavailable, err)
	case err != nil:
		return nil, invalid("The token's signature does not match.")
	}

	// Claims are read strictly: one name twice, or in another case, could be
	// read as something else by the next service.
	claims, err := jose.ParseClaims(payload)
	if err != nil {
		return nil, invalid("The token's claims are malformed.")
	}

	// An exact comparison: "https://a" and "https://a/" are two issuers.
	if claims.Issuer != v.config.Issuer {
		return nil, invalid("The token is from another issuer.")
	}

	// A token for another resource server must not work here, or that server
	// could act as its callers.
	if !slices.ContainsFunc(claims.Audience, func(a string) bool { return slices.Contains(v.config.Audiences, a) }) {
		return nil, invalid("The token is for another audience.")
	}

	// RFC 9068, section 2.2, requires the first three. The workspace is Latchkey's:
	// without it a guard would have nothing to compare.
	if claims.Subject == "" || claims.ClientID == "" || claims.TokenID == "" || claims.Workspace == "" {
		return nil, invalid("The token lacks a required claim.")
	}
	permissions, err := scope.Parse(claims.Scope)
	if err != nil {
		return nil, invalid("The token's scope is malformed.")
	}
	admin, err := scope.Parse(claims.AdminScope)
	if err != nil {
		return nil, invalid("The token's admin_scope is malformed.")
	}
	// A permission may have become an admin permission after the token was issued, or
	// for this server before its issuer knows: then nobody granted it as one.
	permissions = permissions.Minus(v.admin.Minus(admin))

	p := &Principal{
		KeyID:       claims.ClientID,
		Workspace:   claims.Workspace,
		SecretID:    claims.SecretID,
		TokenID:     claims.TokenID,
		Audience:    claims.Audience,
		Permissions: permissions,
		IssuedAt:    time.Unix(claims.IssuedAt, 0).UTC(),
		Expires:     time.Unix(claims.Expires, 0).UTC(),
		claims:      &claims,
	}
	if err := v.checkNow(ctx, token, p); err != nil {
		return nil, err
	}

	// Only tokens that were accepted are cached: what anybody can send must not fill
	// the cache.
	v.cache.add(token, verifiedCost+2*len(payload), verified{key, p})
	return p, nil
}

// checkNow is what a token must pass at every request, seen before or not: the clock
// and the epochs.
func (v *Verifier) checkNow(ctx context.Context, token string, p *Principal) error {
	now := v.config.Now()

	// RFC 7519, section 4.1.4: "on or after" exp the token is not accepted.
	if !now.Before(p.Expires.Add(v.config.Leeway)) {
		return refused(ErrExpired, "The token has expired.")
	}
	// The key's end is exact: leeway is for the token.
	if p.claims.KeyExpires != 0 && !now.Before(time.Unix(p.claims.KeyExpires, 0)) {
		return refused(ErrExpired, "The token has expired with its API key.")
	}

	// Issued in the future: the clocks differ too much to trust exp.
	if latest := now.Add(max(v.config.Leeway, clockTolerance)); p.IssuedAt.After(latest) || time.Unix(p.claims.NotBefore, 0).After(latest) {
		return invalid("The token is not valid yet.")
	}

	// No clock is compared here, so leeway cannot prolong an ended token.
	if v.config.Epochs == nil {
		return nil
	}
	ended, err := v.config.Epochs.Ended(ctx, Token{
		Workspace: p.Workspace, KeyID: p.KeyID, SecretID: p.SecretID, TokenID: p.TokenID, Epochs: p.claims.Epochs,
		Expires: p.Expires, Raw: token,
	})
	if err != nil {
		return fmt.Errorf("%w: read epochs: %w", ErrUnavailable, err)
	}
	if ended {
		return refused(ErrEnded, "The token was ended before it expired.")
	}
	return nil
}

// key asks the key set.
func (v *Verifier) key(ctx context.Context, kid string) (jose.PublicKey, error) {
	key, err := v.config.Keys.Key(ctx, kid)
	switch {
	case errors.Is(err, ErrUnknownKey) && !errors.Is(err, ErrUnavailable):
		return jose.PublicKey{}, invalid("The token is signed with an unknown key.")
	case err != nil:
		return jose.PublicKey{}, fmt.Errorf("%w: read signing key: %w", ErrUnavailable, err)
	case key.ID != kid:
		return jose.PublicKey{}, fmt.Errorf("%w: read signing key: the key set answered with another key than the one asked for", ErrUnavailable)
	}
	return jose.PublicKey{ID: key.ID, Algorithm: jose.Algorithm(key.Algorithm), Key: key.Key}, nil
}
