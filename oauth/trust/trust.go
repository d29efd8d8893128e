// Package trust checks the identities that other issuers give to programs: signed JWTs
// of GitHub Actions, GitLab CI, Kubernetes and others (RFC 7523, section 3). An API key
// can trust such an identity, and then a program logs in with it and needs no secret.
//
// The host lists the issuers in oauth.Config.TrustedIssuers. A trust of a key
// (store.Trust) names one of them and the claims that an identity must have. README.md has
// what is checked, and entries for Google Cloud, Azure, AWS, Buildkite and SPIFFE.
package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// Issuer is an entry of the host's list. Name, Issuer and Claims are required.
// GitHubActions, GitLab and Kubernetes return ready ones, which a host may change.
type Issuer struct {
	// Name is what trusts call this entry: 1 to 32 characters of a-z 0-9 -. It must never
	// be given to another issuer, because stored trusts name it.
	Name string
	// Title is for people, such as "GitHub Actions". Default: Name.
	Title string
	// Issuer is the iss claim, byte for byte. Several entries may have the same.
	Issuer string

	// The keys of the issuer come from JWKS, a JWK Set, if that is set; otherwise from
	// JWKSURL; otherwise from the URL that the metadata of the issuer names (OpenID
	// Connect Discovery 1.0, section 4). They are fetched over https only, without
	// redirects and proxies, from public addresses and port 443 only (but see Private, Ports
	// and oauth.Config.InsecureLoopback).
	JWKS    []byte
	JWKSURL string
	// Private also allows private and loopback addresses, for an issuer in the host's own
	// network. Link-local addresses, and the addresses of clouds' metadata services in
	// private ranges, are never allowed.
	Private bool
	// Ports are the ports that are allowed besides 443.
	Ports []int
	// RootCAs, unless nil, are the only CAs that the issuer's certificate may come from.
	RootCAs *x509.CertPool
	// MaxStale is how old fetched keys may be while they cannot be fetched again. Default
	// 24 hours; 5 minutes to 30 days.
	MaxStale time.Duration

	// Algorithms are the accepted algorithms, of ES256, RS256, PS256 and EdDSA. Default
	// RS256 and ES256.
	Algorithms []string
	// Types are the accepted values of the header parameter typ, where "" means that there is
	// none. Default "JWT" and "". "at+jwt", the type of access tokens, is always refused.
	Types []string
	// MaxLifetime is the longest accepted time between iat and exp. A token needs both claims. Default 1 hour;
	// 1 minute to 366 days.
	MaxLifetime time.Duration
	// Once accepts each token only once. Its claim jti is then required.
	Once bool

	// Shared says that everybody can get identities from this issuer, as from GitHub and
	// GitLab.com. Each trust must then name a claim that is Immutable.
	Shared bool
	// Claims are the claims that trusts may name.
	Claims []Claim
	// OneOf, unless empty, are names of claims of which each trust must name at least one.
	OneOf []string
}

// Claim is a claim that trusts may name. In a token it must be a JSON string.
type Claim struct {
	// Name is what trusts call it: 1 to 64 printable bytes.
	Name string
	// Path leads to the claim, one member name for each level. Default: Name alone.
	Path []string
	// Immutable says that the issuer never gives the value to another owner: it is an id and
	// no name that can be released and taken by somebody else.
	Immutable bool
	// Prefix, unless 0, allows a trust to end the value in "*", directly after '/' or ':'.
	// The "*" accepts one or more characters, '/' and ':' too. Prefix is how many segments
	// must stand before it at least, so that these name the owner. Segments are separated
	// by '/' and ':', and empty ones do not count: spiffe://example.org/ns/* has 3 before
	// the "*".
	Prefix int
	// Unless are values that a token may have only if the trust names this claim, such
	// as the events that people without write access can cause.
	Unless []string
	// Help says in one sentence what the claim is, for forms.
	Help string
}

// Identity is what a verified token says.
type Identity struct {
	Issuer  string // the iss claim
	Subject string // the sub claim
	Expires time.Time
	// Claims decodes all claims, as encoding/json does with UseNumber: numbers are json.Number.
	Claims func() map[string]any
	// OnceID is empty, or the token's jti, which the caller must spend: the entry is for single use.
	OnceID string
}

// ErrRefused is wrapped by the errors of Find about the token. Their text says which check
// failed, and contains nothing of the token.
var ErrRefused = errors.New("trust: the identity is refused")

// Config configures a List.
type Config struct {
	// Audience is the aud that a token must have, and no other: this server's issuer.
	Audience string
	// InsecureLoopback allows http for loopback addresses.
	InsecureLoopback bool
	Now              func() time.Time // default time.Now
	Logger           *slog.Logger     // default slog.Default()
}

// List is a list of issuers. It is safe for concurrent use. The nil List is empty.
type List struct {
	cfg     Config
	entries []*entry
}

// entry is one of the host's list, with defaults set.
type entry struct {
	Issuer
	keys bearer.KeySet
}

// Issuers returns the entries, with defaults set. Their slices must not be changed.
func (l *List) Issuers() (issuers []Issuer) {
	for _, e := range l.all() {
		issuers = append(issuers, e.Issuer)
	}
	return issuers
}

// Run keeps the keys of the issuers fresh until ctx ends. With it, no identity that is
// signed with a known key waits for an issuer. If every entry has
// JWKS, there is nothing to fetch, and it returns at once.
func (l *List) Run(ctx context.Context) {
	var fetches sync.WaitGroup
	defer fetches.Wait()
	for _, e := range l.all() {
		if remote, ok := e.keys.(*bearer.RemoteKeys); ok {
			fetches.Go(func() { _ = remote.Run(ctx) }) //nolint:errcheck // it is always nil
		}
	}
}

// Names reports whether the entry that the id of a trust begins with is in the list. See
// store.Credential: the id of a trust is the name of its entry, a dot and random text. An id
// without a dot is not that of a trust, and Names reports true.
func (l *List) Names(credentialID string) bool {
	name, _, isTrust := strings.Cut(credentialID, ".")
	return !isTrust || l.entry(name) != nil
}

// entry returns the entry with this name, or nil.
func (l *List) entry(name string) *entry {
	for _, e := range l.all() {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func (l *List) all() []*entry {
	if l == nil {
		return nil
	}
	return l.entries
}
