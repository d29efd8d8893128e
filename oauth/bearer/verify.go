package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	// ErrForbidden: the token lacks a permission, or a policy refuses the secret. Answer
	// 403.
	ErrForbidden = errors.New("bearer: missing permission")
	// ErrNotFound: the workspace does not exist, or the credential does not reach it.
	// Callers must not see a difference. Answer 404.
	ErrNotFound = errors.New("bearer: no such workspace for this token")
	// ErrThrottled: too many wrong secrets came from the client's address, or a policy
	// refuses the secret for now. Only a guard with OrSecret refuses so. Answer 429.
	ErrThrottled = errors.New("bearer: too many requests")
	// ErrUnavailable: keys, epochs or secrets could not be read, so the token or secret
	// could not be checked. Answer 503.
	ErrUnavailable = errors.New("bearer: token cannot be checked now")
)

// Kinds of ErrUnauthenticated. Each wraps it.
var (
	// ErrInvalid: not a token of this issuer for this resource server, or one
	// that was tampered with.
	ErrInvalid = fmt.Errorf("%w: invalid token", ErrUnauthenticated)
	// ErrExpired: the token has expired. A new login yields a valid one.
	ErrExpired = fmt.Errorf("%w: expired token", ErrUnauthenticated)
	// ErrRevoked: the token was revoked.
	ErrRevoked = fmt.Errorf("%w: revoked token", ErrUnauthenticated)
)

// refusal is an error whose reason may be sent to the caller: a fixed
// sentence that contains no part of the token.
type refusal struct {
	kind   error
	answer answer.Refusal
	scopes string // that the route requires
}

func (r *refusal) Error() string   { return r.kind.Error() + ": " + r.answer.Description() }
func (r *refusal) Unwrap() []error { return []error{r.kind, &r.answer} }

func refusedToken(kind error, reason string) error {
	return &refusal{kind: kind, answer: answer.Refusal{Kind: answer.InvalidToken, Detail: reason}}
}

func invalid(reason string) error { return refusedToken(ErrInvalid, reason) }

// Verify checks a token as RFC 9068, section 4, requires, and returns its
// principal. It checks neither permissions nor the workspace: Authorize does.
// The error wraps ErrInvalid, ErrExpired, ErrRevoked or ErrUnavailable; its text
// contains no part of the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	p, err := v.verify(ctx, token)
	return v.observed(ctx, &credential{}, p, err)
}

// VerifyRequest is Verify for the token in a request's Authorization header. If
// there is none, the error wraps ErrUnauthenticated and none of its kinds.
func (v *Verifier) VerifyRequest(r *http.Request) (*Principal, error) {
	var p *Principal
	token, err := Credential(r.Header)
	if err == nil {
		p, err = v.verify(r.Context(), token)
	}
	return v.observed(r.Context(), &credential{request: r}, p, err)
}

// verify does the work of Verify. With an error it returns the principal too, if the
// signature was right.
func (v *Verifier) verify(ctx context.Context, token string) (*Principal, error) {
	// A cached token was decoded and its signature checked before. What may have
	// changed since then is checked again, so that the cache never changes an answer:
	// here, whether its signing key is still in the set; the rest, in checkNow.
	if hit := v.cache.find(token); hit != nil {
		known := hit.value
		key, err := v.key(ctx, known.key.ID)
		if err != nil {
			return nil, err
		}
		if key.Same(known.key) {
			return known.principal, v.checkNow(ctx, token, known.principal)
		}
	}

	// Parse checks length, form, typ and alg. Only typ at+jwt is accepted: an
	// ID token of the same issuer is not an access token (RFC 9068, section 4).
	parsed, err := jose.Parse(token)
	if err != nil {
		return nil, invalid("The token is not a JWT access token of the supported form.")
	}

	// The key comes from the configured set only, never from the token.
	key, err := v.key(ctx, parsed.KeyID)
	if err != nil {
		return nil, err
	}

	// The signature is checked before any claim is read. The key decides the
	// algorithm (RFC 8725, section 3.1).
	payload, err := parsed.Verify(key)
	switch {
	case errors.Is(err, jose.ErrKey):
		return nil, fmt.Errorf("%w: key set: %w", ErrUnavailable, err)
	case err != nil:
		return nil, invalid("The token's signature does not match.")
	}

	// Claims are read strictly: another service might read a duplicate name, or
	// a name in another case, differently.
	claims, err := jose.ParseClaims(payload)
	if err != nil {
		return nil, invalid("The token's claims are malformed.")
	}

	p := &Principal{
		KeyID:        claims.ClientID,
		Workspace:    claims.Workspace,
		CredentialID: claims.CredentialID,
		TokenID:      claims.TokenID,
		Audience:     claims.Audience,
		IssuedAt:     time.Unix(claims.IssuedAt, 0).UTC(),
		Expires:      time.Unix(claims.Expires, 0).UTC(),
		claims:       &claims,
	}
	// "https://a" and "https://a/" are two issuers.
	if claims.Issuer != v.config.Issuer {
		return p, invalid("The token is from another issuer.")
	}

	// A token for another resource server must not work here: that server
	// could use it to act as its caller.
	if !slices.ContainsFunc(claims.Audience, func(a string) bool { return slices.Contains(v.config.Audiences, a) }) {
		return p, invalid("The token is for another audience.")
	}

	// RFC 9068, section 2.2, requires the first three. Latchkey requires the
	// workspace, because guards compare it.
	if claims.Subject == "" || claims.ClientID == "" || claims.TokenID == "" || claims.Workspace == "" {
		return p, invalid("The token lacks a required claim.")
	}
	permissions, err := scope.Parse(claims.Scope)
	if err != nil {
		return p, invalid("The token's scope is malformed.")
	}
	admin, err := scope.Parse(claims.AdminScope)
	if err != nil {
		return p, invalid("The token's admin_scope is malformed.")
	}
	// A permission may have become an admin permission after the token was
	// issued, or in this server's catalog before the issuer's. Then it was not
	// granted as an admin permission, and is dropped.
	p.Permissions = permissions.Minus(v.admin.Minus(admin))

	if err := v.checkNow(ctx, token, p); err != nil {
		return p, err
	}

	// Only accepted tokens are cached, so that requests with made-up tokens
	// cannot fill the cache.
	v.cache.add(token, verifiedCost+2*len(payload), verified{key, p})
	return p, nil
}

// checkNow makes the checks that every request needs, also for a cached token:
// the times and the epochs.
func (v *Verifier) checkNow(ctx context.Context, token string, p *Principal) error {
	now := v.config.Now()

	// RFC 7519, section 4.1.4: "on or after" exp the token is not accepted.
	if !now.Before(p.Expires.Add(v.config.Leeway)) {
		return refusedToken(ErrExpired, "The token has expired.")
	}
	// Leeway does not apply to the key's expiry.
	if p.claims.KeyExpires != 0 && !now.Before(time.Unix(p.claims.KeyExpires, 0)) {
		return refusedToken(ErrExpired, "The token has expired with its API key.")
	}

	// If the token was issued in the future, the clocks differ too much to
	// trust exp.
	if latest := now.Add(max(v.config.Leeway, clockTolerance)); p.IssuedAt.After(latest) || time.Unix(p.claims.NotBefore, 0).After(latest) {
		return invalid("The token is not valid yet.")
	}

	// Epochs are numbers and not times, so leeway cannot prolong a revoked token.
	if v.config.Epochs == nil {
		return nil
	}
	revoked, err := v.config.Epochs.Revoked(ctx, Token{
		Workspace: p.Workspace, KeyID: p.KeyID, CredentialID: p.CredentialID, TokenID: p.TokenID, Epochs: p.claims.Epochs,
		Expires: p.Expires, Raw: token,
	})
	if err != nil {
		return fmt.Errorf("%w: read epochs: %w", ErrUnavailable, err)
	}
	if revoked {
		return refusedToken(ErrRevoked, "The token was revoked.")
	}
	return nil
}

func (v *Verifier) key(ctx context.Context, kid string) (jose.PublicKey, error) {
	key, err := v.config.Keys.Key(ctx, kid)
	switch {
	case errors.Is(err, ErrUnknownKey) && !errors.Is(err, ErrUnavailable):
		return jose.PublicKey{}, invalid("The token is signed with an unknown key.")
	case err != nil:
		return jose.PublicKey{}, fmt.Errorf("%w: read signing key: %w", ErrUnavailable, err)
	case key.ID != kid:
		return jose.PublicKey{}, fmt.Errorf("%w: read signing key: the key set returned a key with another ID than the one requested", ErrUnavailable)
	}
	return jose.PublicKey{ID: key.ID, Algorithm: jose.Algorithm(key.Algorithm), Key: key.Key}, nil
}
