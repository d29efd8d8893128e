package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	zitadelrp "github.com/zitadel/oidc/v3/pkg/client/rp"
	zitadel "github.com/zitadel/oidc/v3/pkg/oidc"
	zitadelop "github.com/zitadel/oidc/v3/pkg/op"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
)

// verifier checks tokens with the published keys, as its documentation says.
type verifier struct {
	peer   peer
	how    string
	verify func(ctx context.Context, f testserver.Facts, token string) (subject, scope string, err error)
	// wants holds the expected reason for each bad token, so that none is refused for another
	// reason.
	wants map[string]func(error) bool
}

func TestVerifiers(t *testing.T) {
	servers := map[string]testserver.Facts{}
	for _, algorithm := range testserver.Algorithms() {
		servers[algorithm] = start(t, algorithm)
	}
	for _, v := range []verifier{
		{"github.com/coreos/go-oidc/v3", "discovery (openid-configuration), keys, token, with its defaults", byGoOIDC, map[string]func(error) bool{
			"expired":        func(err error) bool { var expired *oidc.TokenExpiredError; return errors.As(err, &expired) },
			"wrong audience": says("expected audience"),
			"other key":      says("failed to verify signature"),
		}},
		{"github.com/MicahParks/keyfunc/v3", "keys for golang-jwt", byKeyfunc, golangJWTErrors()},
		{"github.com/golang-jwt/jwt/v5", "token with keyfunc's keys", byKeyfunc, golangJWTErrors()},
		{"github.com/go-jose/go-jose/v4", "keys, token", byGoJose, map[string]func(error) bool{
			"expired":        is(josejwt.ErrExpired),
			"wrong audience": is(josejwt.ErrInvalidAudience),
			"other key":      is(jose.ErrCryptoFailure),
		}},
		{"github.com/zitadel/oidc/v3", "access token verifier (op)", byZitadel, map[string]func(error) bool{
			"expired":        is(zitadel.ErrExpired),
			"wrong audience": is(zitadel.ErrAudience),
			"other key":      is(zitadel.ErrSignatureInvalid),
		}},
	} {
		t.Run(string(v.peer), func(t *testing.T) {
			v.peer.shows(t, v.how+": "+strings.Join(testserver.Algorithms(), ", "), func(t *testing.T) {
				for algorithm, f := range servers {
					subject, scope, err := v.verify(limited(t), f, f.Tokens.Good)
					require.NoError(t, err, algorithm)
					require.Equal(t, f.ClientID, subject)
					require.Equal(t, "project.list project.read", scope)
				}
			})
			for _, wrong := range []string{"expired", "wrong audience", "other key"} {
				v.peer.refuses(t, wrong, func(t *testing.T) {
					for algorithm, f := range servers {
						_, _, err := v.verify(limited(t), f, f.Tokens.Invalid()[wrong])
						require.Error(t, err, algorithm)
						require.True(t, v.wants[wrong](err), "%s, refused for another reason: %v", algorithm, err)
					}
				})
			}
		})
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func says(text string) func(error) bool {
	return func(err error) bool { return strings.Contains(err.Error(), text) }
}

func byGoOIDC(ctx context.Context, f testserver.Facts, token string) (subject, scope string, err error) {
	provider, err := oidc.NewProvider(ctx, f.Issuer)
	if err != nil {
		return "", "", err
	}
	checked, err := provider.Verifier(&oidc.Config{ClientID: f.Audience}).Verify(ctx, token)
	if err != nil {
		return "", "", err
	}
	var claims struct {
		Scope string `json:"scope"`
	}
	err = checked.Claims(&claims)
	return checked.Subject, claims.Scope, err
}

func golangJWTErrors() map[string]func(error) bool {
	return map[string]func(error) bool{
		"expired":        is(jwt.ErrTokenExpired),
		"wrong audience": is(jwt.ErrTokenInvalidAudience),
		"other key":      is(jwt.ErrTokenSignatureInvalid),
	}
}

func byKeyfunc(ctx context.Context, f testserver.Facts, token string) (subject, scope string, err error) {
	ctx, stop := context.WithCancel(ctx) // ends keyfunc's refreshing
	defer stop()
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{f.JWKSURL})
	if err != nil {
		return "", "", err
	}
	var claims struct {
		jwt.RegisteredClaims
		Scope string `json:"scope"`
	}
	_, err = jwt.ParseWithClaims(token, &claims, keys.KeyfuncCtx(ctx),
		jwt.WithValidMethods([]string{f.Algorithm}), jwt.WithIssuer(f.Issuer), jwt.WithAudience(f.Audience), jwt.WithExpirationRequired())
	return claims.Subject, claims.Scope, err
}

func byGoJose(ctx context.Context, f testserver.Facts, token string) (subject, scope string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.JWKSURL, nil)
	if err != nil {
		return "", "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil {
		return "", "", err
	}
	for _, key := range keys.Keys {
		if !key.Valid() || !key.IsPublic() || key.Algorithm != f.Algorithm || key.Use != "sig" {
			return "", "", fmt.Errorf("key %q is not a public %s key for signatures", key.KeyID, f.Algorithm)
		}
	}
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(f.Algorithm)})
	if err != nil {
		return "", "", err
	}
	var claims josejwt.Claims
	var further struct {
		Scope string `json:"scope"`
	}
	if err := parsed.Claims(keys, &claims, &further); err != nil {
		return "", "", err
	}
	err = claims.ValidateWithLeeway(josejwt.Expected{Issuer: f.Issuer, AnyAudience: []string{f.Audience}, Time: time.Now()}, 0)
	return claims.Subject, further.Scope, err
}

func byZitadel(ctx context.Context, f testserver.Facts, token string) (subject, scope string, err error) {
	keys := zitadelrp.NewRemoteKeySet(http.DefaultClient, f.JWKSURL)
	check := zitadelop.NewAccessTokenVerifier(f.Issuer, keys, zitadelop.WithSupportedAccessTokenSigningAlgorithms(f.Algorithm))
	claims, err := zitadelop.VerifyAccessToken[*zitadel.AccessTokenClaims](ctx, token, check)
	if err != nil {
		return "", "", err
	}
	// This verifier does not check the audience. The caller does.
	return claims.Subject, claims.Scopes.String(), zitadel.CheckAudience(claims, f.Audience)
}
