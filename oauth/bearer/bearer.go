// Package bearer protects a host's routes: it verifies Latchkey's access
// tokens (RFC 9068) and answers for those that do not open a route (RFC 6750).
// It needs the issuer's public keys and nothing of its storage, so a service
// that only takes tokens imports this package alone.
//
// A service in a process of its own reads the keys from the issuer's JWKS
// document with RemoteKeys, and asks the issuer with an Introspector whether a
// token was ended before it expired. Both keep to bounds of size and time and
// follow no redirect. How long a token still works after it was ended:
//
//   - with neither an Introspector nor other Epochs, until it expires;
//   - with an Introspector, at most IntrospectorConfig.CacheFor (5 seconds
//     unless set), or not at all if every request asks;
//   - if its signing key was removed, at most RemoteKeysConfig.Refresh
//     (5 minutes unless set), or MaxStale while the issuer cannot be reached.
//
// While the issuer cannot be reached, known keys go on for MaxStale. A token
// that the issuer would have to be asked about is refused with 503.
//
// A route's guard says which permissions it asks for and which workspace it
// belongs to:
//
//	verifier.Require("project.list").InPath("workspace")(projects)
//
// A router that is not net/http's calls Guard.Check, and a server that does not
// speak HTTP or is generated from a description, such as those of gRPC, connect
// and ogen, calls Verifier.Authorize. All decide alike.
//
// A token is taken from the Authorization header only: never from the query,
// never from the body, which is left to the handler.
package bearer

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/scope"
)

// Bounds of a Config.
const (
	// MaxLeeway is the largest Config.Leeway.
	MaxLeeway = 5 * time.Minute
	// DefaultCacheEntries and DefaultCacheBytes bound the cache of verified
	// tokens where the Config does not.
	DefaultCacheEntries = 10_000
	DefaultCacheBytes   = 32 << 20

	maxCacheEntries = 1 << 22
	// clockTolerance is how far the issuer's clock may always run ahead: it
	// cannot lengthen a token's life.
	clockTolerance = time.Minute
)

// Config says which tokens a Verifier takes.
type Config struct {
	// Issuer is the iss claim, compared byte for byte. Required.
	Issuer string
	// Audiences are the names of this resource server; a token's aud claim
	// must hold one of them, byte for byte. Required.
	Audiences []string
	// Keys finds the issuer's keys: StaticKeys, a RemoteKeys or the host's own.
	// Required.
	Keys KeySet
	// Epochs says which tokens were ended before they expired: an Introspector
	// or the host's own. Nil: none is; a token of a disabled key then works
	// until it expires.
	Epochs Epochs
	// Permissions lists the permissions that guards may name, and says which
	// of them reach every workspace. Nil: guards may name any, and none
	// reaches further than the token's own workspace.
	Permissions *scope.Catalog
	// Realm is named in challenges: printable ASCII, at most 255 characters.
	// Empty: the Issuer.
	Realm string
	// ResourceMetadata is the URL of this server's metadata, which challenges
	// then name (RFC 9728, section 5.1). Empty: left out.
	ResourceMetadata string
	// Leeway is how long an expired token is still taken, for clocks that
	// differ: 0 to MaxLeeway. A token whose iat or nbf lies ahead is taken
	// within the Leeway or one minute, whichever is longer. Leeway does not
	// prolong a token that was ended, nor carry one past the end of its key, which
	// the issuer writes into the token (key_exp).
	Leeway time.Duration
	// CacheEntries and CacheBytes bound the cache of verified tokens, which
	// saves decoding and the signature check for a token seen before. Zero:
	// DefaultCacheEntries and DefaultCacheBytes; negative: no cache.
	CacheEntries int
	CacheBytes   int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger takes outages, and guards that get no workspace; never a token.
	// Nil: slog.Default().
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
		problem("Issuer", "is required and holds printable ASCII only")
	}
	if len(config.Audiences) == 0 || slices.Contains(config.Audiences, "") {
		problem("Audiences", "needs at least one name, and none may be empty")
	}
	if config.Keys == nil {
		problem("Keys", "is required")
	}
	if len(config.Realm) > 255 || !request.IsPrintable(config.Realm) {
		problem("Realm", "holds at most 255 characters of printable ASCII")
	}
	if u, err := url.Parse(config.ResourceMetadata); config.ResourceMetadata != "" &&
		(err != nil || u.Scheme == "" || u.Host == "" || u.Fragment != "" || !request.IsPrintable(config.ResourceMetadata)) {
		problem("ResourceMetadata", "is not an absolute URL")
	}
	if config.Leeway < 0 || config.Leeway > MaxLeeway {
		problem("Leeway", "is %v, not 0 to %v", config.Leeway, MaxLeeway)
	}
	if config.CacheEntries > maxCacheEntries {
		problem("CacheEntries", "is %d, more than %d", config.CacheEntries, maxCacheEntries)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("bearer: configuration: %w", err)
	}
	config.Audiences = slices.Clone(config.Audiences)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	if config.Now == nil {
		config.Now = time.Now
	}
	v := &Verifier{config: config, cache: newCache[verified](config.CacheEntries, config.CacheBytes)}
	if config.Permissions != nil {
		v.admin = config.Permissions.Admin()
	}
	return v, nil
}
