// Package bearer protects a host's routes: it verifies Latchkey's access
// tokens (RFC 9068) and answers requests whose token is missing, invalid or
// not sufficient (RFC 6750). It needs the issuer's public keys but not its
// storage, so a service that only accepts tokens imports this package alone.
//
// A service that runs in its own process reads the keys from the issuer's JWKS
// document with RemoteKeys, and asks the issuer with an Introspector whether a
// token was revoked. Both limit the size of an answer and the time it takes,
// and follow no redirect. A revoked token still works for this long:
//
//   - with neither an Introspector nor other Epochs, until it expires;
//   - with an Introspector, at most IntrospectorConfig.CacheFor (default 5
//     seconds), or not at all if every request asks;
//   - if its signing key was removed, at most RemoteKeysConfig.Refresh
//     (default 5 minutes), or MaxStale while the issuer cannot be reached.
//
// While the issuer cannot be reached, known keys are used for MaxStale. With an
// Introspector, a token without a cached answer is refused with 503.
//
// A route's guard names the permissions that it requires and the workspace that
// it belongs to:
//
//	verifier.Require("project.list").InPath("workspace")(projects)
//
// With a router that sets no path values, call Guard.Check. In a server that does
// not use http.Handler, such as those of gRPC, connect and ogen, call
// Verifier.Authorize. All of them decide in the same way.
//
// A token is read from the Authorization header only, never from the query or
// the body. The body is left to the handler.
//
// In the issuer's own process, a guard with OrSecret also accepts the secret of a key
// that allows it, in place of a token:
//
//	server.Require("project.list").OrSecret().InPath("workspace")(projects)
//
// The client sends it as Authorization: Bearer, or in one of Config.SecretForms. The
// key, its workspace and the settings are checked for each request, as at a login. A
// service in another process accepts tokens only.
package bearer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/scope"
)

// Bounds of a Config.
const (
	// MaxLeeway is the largest Config.Leeway.
	MaxLeeway = 5 * time.Minute
	// DefaultCacheEntries and DefaultCacheBytes are the default bounds of the
	// cache of verified tokens.
	DefaultCacheEntries = 10_000
	DefaultCacheBytes   = 32 << 20

	maxCacheEntries = 1 << 22
	// clockTolerance is how far the issuer's clock may be ahead, whatever the
	// Leeway. It does not make a token live longer.
	clockTolerance = time.Minute
)

// Config says which tokens a Verifier accepts.
type Config struct {
	// Issuer is the iss claim, compared byte for byte. Required.
	Issuer string
	// Audiences are the names of this resource server; a token's aud claim
	// must hold one of them, byte for byte. Required.
	Audiences []string
	// Keys finds the issuer's keys: StaticKeys, a RemoteKeys or the host's own.
	// Required.
	Keys KeySet
	// Epochs says which tokens were revoked: an Introspector or the host's
	// own. Nil: revocation is not checked, so a token of a disabled key works
	// until it expires.
	Epochs Epochs
	// Permissions lists the permissions that guards may name, and says which
	// of them reach every workspace. Nil: guards may name any permission, and
	// none reaches beyond the token's own workspace.
	Permissions *scope.Catalog
	// Realm is the realm of challenges: printable ASCII, at most 255
	// characters. Empty: the Issuer.
	Realm string
	// ResourceMetadata is the URL of this server's metadata, for the
	// resource_metadata parameter of challenges (RFC 9728, section 5.1).
	// Empty: the parameter is left out.
	ResourceMetadata string
	// Leeway is how long a token is accepted after it expired, because clocks
	// differ: 0 to MaxLeeway. A token whose iat or nbf is in the future is
	// accepted within the Leeway or one minute, whichever is longer. Leeway does
	// not apply to a revoked token, nor to the expiry of the token's key, which
	// the issuer writes into the token (key_exp).
	Leeway time.Duration
	// CacheEntries and CacheBytes bound the cache of verified tokens. For a
	// cached token neither decoding nor the signature check is repeated. Zero:
	// DefaultCacheEntries and DefaultCacheBytes; negative: no cache.
	CacheEntries int
	CacheBytes   int
	// CheckSecret checks the secret of an API key that a request carries in place of a
	// token, for guards with OrSecret. keyID is empty unless the client sent it, with
	// Basic. The secret is not empty. The request is nil if it is not known, as in
	// Authorize. CheckSecret must be safe for concurrent use. Nil: there are no such
	// guards. oauth.Server has one for its own guards.
	//
	// It returns the principal of the key: a new one for each call, since the Verifier
	// sets its Audience and Direct. An error that wraps ErrUnauthenticated is answered
	// with 401, one that wraps ErrForbidden with 403, and one that wraps ErrThrottled
	// with 429. Any other error is an outage, answered with 503. CheckSecret reports its
	// own refusals and outages to the observer: the Verifier does not.
	CheckSecret func(ctx context.Context, keyID string, secret Secret, r *http.Request) (*Principal, error)
	// SecretForms are the forms in which these guards accept a secret, besides
	// Authorization: Bearer. Needs CheckSecret.
	SecretForms SecretForms
	// ClientAddr returns the client's address, for the Observer of a secret. Nil: the
	// address in RemoteAddr.
	ClientAddr func(*http.Request) netip.Addr
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Observer, unless nil, is called after each decision about a token: of a guard,
	// of Authorize, AuthorizeAny, Verify and VerifyRequest. It is called for a secret,
	// too, unless CheckSecret refused it.
	Observer observe.Observer
	// Logger logs outages, and the first request in which a guard found no
	// workspace. It never logs a token. Nil: slog.Default().
	Logger *slog.Logger
}

// Verifier verifies tokens and makes guards. It is safe for concurrent use.
type Verifier struct {
	config Config
	admin  scope.Set
	cache  *cache[verified]
}

// New checks the configuration. It joins all problems into one error, each
// naming its field.
func New(config Config) (*Verifier, error) {
	var problems []error
	problem := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf(field+": "+format, args...))
	}
	if config.Issuer == "" || !request.IsPrintable(config.Issuer) {
		problem("Issuer", "is required and must be printable ASCII")
	}
	if len(config.Audiences) == 0 || slices.Contains(config.Audiences, "") {
		problem("Audiences", "must hold at least one name, and no empty one")
	}
	if config.Keys == nil {
		problem("Keys", "is required")
	}
	if len(config.Realm) > 255 || !request.IsPrintable(config.Realm) {
		problem("Realm", "must be at most 255 characters of printable ASCII")
	}
	if u, err := url.Parse(config.ResourceMetadata); config.ResourceMetadata != "" &&
		(err != nil || u.Scheme == "" || u.Host == "" || u.Fragment != "" || !request.IsPrintable(config.ResourceMetadata)) {
		problem("ResourceMetadata", "must be an absolute URL without a fragment")
	}
	if config.Leeway < 0 || config.Leeway > MaxLeeway {
		problem("Leeway", "is %v, must be 0 to %v", config.Leeway, MaxLeeway)
	}
	if config.CacheEntries > maxCacheEntries {
		problem("CacheEntries", "is %d, must be at most %d", config.CacheEntries, maxCacheEntries)
	}
	problems = append(problems, config.SecretForms.complete(config.CheckSecret != nil))
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("bearer: configuration: %w", err)
	}
	config.Audiences = slices.Clone(config.Audiences)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.ClientAddr == nil {
		config.ClientAddr = request.ConnectionAddr
	}
	v := &Verifier{config: config, cache: newCache[verified](config.CacheEntries, config.CacheBytes)}
	if config.Permissions != nil {
		v.admin = config.Permissions.Admin()
	}
	return v, nil
}
