// Package oauth is an OAuth 2.0 authorization server: the login endpoint that
// exchanges an API key for a token, the metadata documents, and the guards for the
// host's own routes.
//
// Make one Server, mount its Routes, keep Run running, and guard your handlers with
// Require:
//
//	srv, err := oauth.New(memstore.New(), oauth.Config{Issuer: "https://api.example.com", Permissions: catalog})
//	go srv.Run(ctx)
//	for pattern, h := range srv.Routes() {
//		mux.Handle(pattern, h)
//	}
//	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(projects))
package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

// Config configures a Server. Issuer and Permissions are required. The zero value
// of every other field is the production default.
type Config struct {
	// Issuer is the https URL that identifies this server in every token, without
	// query or fragment. Tokens and the metadata have it byte for byte. Required.
	Issuer string
	// Permissions is the catalog of permissions that keys may hold. Required.
	Permissions *scope.Catalog
	// Policy adds rules for keys and tokens to the administrator's settings. Nil
	// adds no rule.
	Policy policy.Policy

	// TokenPath is the path of the login endpoint, from the root of the issuer's
	// host. Default "/api/login". It must be a clean path without a slash at its
	// end: a router redirects requests for a path that is not clean, and then the
	// client sends its secret or its assertion twice.
	TokenPath string
	// RevocationPath and IntrospectionPath are the paths of these endpoints (RFC
	// 7009, RFC 7662), in the form of TokenPath. Default "/api/revoke" and
	// "/api/introspect".
	RevocationPath    string
	IntrospectionPath string
	// AuthorizationPath, unless empty, is the path of an authorization endpoint
	// that refuses every request. The metadata names it. It is for clients that
	// reject metadata without one, such as the MCP SDKs.
	AuthorizationPath string
	// SelfRevocationPath, unless empty, is the path at which anyone who holds a secret
	// ends it; see SelfRevocation. The metadata does not name it.
	SelfRevocationPath string
	// IntrospectAll names a permission of the admin level. A key that holds it may
	// introspect the tokens of every workspace. Empty: a key may introspect only
	// the tokens of its own workspace.
	IntrospectAll string
	// Resource is the URL that identifies the host's API as a protected resource
	// (RFC 9728). If it is set, the server serves its metadata, and challenges
	// point to it. Empty: no such document.
	Resource string
	// Resources are further resource servers for which a key may be allowed to
	// request tokens at the login (RFC 8707).
	Resources []apikey.Resource
	// Audience is the aud claim of every token that is not for one of Resources. A
	// token for which the login names one of these audiences as its resource has that
	// one alone. Default: Resource, or the issuer if Resource is empty.
	Audience []string
	// Signers are the private keys that sign tokens: the first signs, and all verify.
	// All are published, except those with a Secret. Deploy a new signer in two steps:
	// list it last, then move it to the front. Remove the old one about 26 hours after
	// the second step, when its last token has expired; see New. If there are none, the
	// server makes its own keys, and Run rotates them. It then needs SealKeys if the store is durable. With memstore and
	// no SealKeys, the keys live as long as the Server.
	Signers []SigningKey
	// SealKeys encrypt the signing keys that the server makes and keeps in the store,
	// where all replicas share them. The first encrypts, and all decrypt. SealKeys
	// and Signers exclude each other. Deploy a new seal key in two steps: list it
	// last, then move it to the front. New and Run encrypt a signing key again with
	// the first seal key if that has a higher version than the one which encrypted it,
	// so the old seal key can be removed in the next deploy; see New. If the signing
	// keys are deleted from the store, the server makes new ones, and the tokens of
	// the old ones are no longer valid. To end all tokens on purpose, call
	// RevokeSigningKeys.
	SealKeys []SealKey
	// RotateEvery is how long a signing key that the server makes is used to sign.
	// Default 30 days; 1 hour to 366 days. It has no effect on Signers. The next key
	// is published 10 minutes before it signs. The previous key stays published until
	// the last token that it can have signed has expired.
	RotateEvery time.Duration
	// SigningAlgorithm is the algorithm of the keys that the server makes: ES256
	// (the default), EdDSA, RS256 or PS256. A change takes effect with the next
	// key. It has no effect on Signers. Choose RS256 if a resource server's library
	// supports only RSA, such as @hapi/jwt and Okta's verifiers; get-jwks does not
	// support EdDSA.
	SigningAlgorithm string
	// Claims, unless nil, returns the host's own claims for a token. The login fails
	// if it returns an error or the name of a claim that the server sets itself. If
	// the error wraps store.ErrUnavailable, context.Canceled or
	// context.DeadlineExceeded, the response is 503. The hook gets a copy of the
	// grant and cannot change the token through it.
	Claims func(ctx context.Context, g *apikey.Grant) (map[string]any, error)

	// RequireTLS refuses logins, revocations and introspections that did not come
	// over TLS. Default false, since TLS usually ends at a proxy.
	RequireTLS bool
	// InsecureLoopback allows http for Issuer, LeakConfig.KeysURL and the URLs of
	// TrustedIssuers, if the host is a loopback address or localhost, for development on
	// one machine.
	InsecureLoopback bool
	// OpenIDAlias also serves the metadata at /.well-known/openid-configuration,
	// where OpenID Connect libraries look for it, with two members that they require:
	// id_token_signing_alg_values_supported, which names every algorithm that a
	// published key can have, and subject_types_supported. There are no ID tokens.
	OpenIDAlias bool
	// ClientAddr returns the client's address, for APIKeys.Budgets and policies.
	// Default: the address in RemoteAddr, with a port or without. Behind a proxy use
	// BehindProxies. The first request without an address is logged.
	ClientAddr func(*http.Request) netip.Addr
	// SecretForms are the forms in which guards with OrSecret accept the secret of a key
	// in place of a token, besides Authorization: Bearer. The zero value adds none.
	SecretForms bearer.SecretForms
	// Realm is the realm of challenges: up to 255 printable ASCII characters,
	// without quotes and backslashes. Default "latchkey".
	Realm string
	// Leeway is how long this server's guards still accept a token after it has
	// expired, because clocks differ. They never accept it after its key has expired.
	// Default 0; at most 5 minutes.
	Leeway time.Duration

	// LoginTimeout bounds how long a login, a revocation or an introspection waits
	// for the store, the policies and the hooks, and how long a guard waits for the
	// store and, with a secret, for these. Then the response is 503. Default 900 ms, so
	// that a client gets a response within a second; 10 ms to 1 minute. Raise it for
	// imported keys with slow digests.
	LoginTimeout time.Duration

	// TrustedIssuers are the issuers whose identities a key can trust, so that a program
	// logs in without a secret; see package trust. If an entry is removed, the trusts that
	// name it accept no login, and the tokens issued for them are refused at once.
	TrustedIssuers []trust.Issuer

	// APIKeys are further settings of the service of API keys.
	APIKeys apikey.Options

	// Reminders, unless nil, is called by Run for keys that are about to expire;
	// see reminders.New. APIKeys.RemindBefore says when; if it is empty, 30, 7 and
	// 1 days before the expiry. Reminders need Store.OnceIDs.
	Reminders func(ctx context.Context, r reminders.Reminder) error

	// Observer, unless nil, is called each time a login, a revocation, an
	// introspection or a guard has accepted or refused a credential; see
	// observe.Observer.
	Observer observe.Observer
	// Logger receives warnings and errors. At level Info it receives requests that a
	// policy refused, why assertions were refused, signing keys that the server made, and
	// whether secrets still use old peppers and prefixes. Default slog.Default().
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// complete sets the defaults and checks the fields. It returns the paths of the
// documents, and all problems, each of which names its field.
func (c Config) complete() (Config, paths, []error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := checkServerURL(c.Issuer, c.InsecureLoopback); err != nil {
		add("Config.Issuer: %w", err)
	}
	c.TokenPath = cmp.Or(c.TokenPath, "/api/login")
	c.RevocationPath = cmp.Or(c.RevocationPath, "/api/revoke")
	c.IntrospectionPath = cmp.Or(c.IntrospectionPath, "/api/introspect")
	paths := pathsOf(c)
	taken := []string{paths.jwks, paths.metadata, paths.openID, paths.resource}
	for _, p := range []struct{ field, path string }{
		{"TokenPath", c.TokenPath}, {"RevocationPath", c.RevocationPath}, {"IntrospectionPath", c.IntrospectionPath},
		{"AuthorizationPath", c.AuthorizationPath}, {"SelfRevocationPath", c.SelfRevocationPath},
	} {
		switch {
		case checkPath(p.path) != nil || p.path == "/":
			add("Config.%s: %q must be a clean path such as /api/login: one slash before each segment, none at the end, and no characters that need escaping", p.field, p.path)
		case p.path != "" && slices.Contains(taken, p.path):
			add("Config.%s: %s is already the path of another endpoint or document of this server; choose another path", p.field, p.path)
		}
		taken = append(taken, p.path)
	}
	for i, audience := range c.Audience {
		if audience == "" || !utf8.ValidString(audience) {
			add("Config.Audience[%d]: it must be a non-empty text in UTF-8", i)
		}
	}
	c.Audience = slices.Clone(c.Audience)
	if len(c.Audience) == 0 {
		c.Audience = []string{cmp.Or(c.Resource, c.Issuer)}
	}
	problems = append(problems, c.resourceProblems()...)
	c.LoginTimeout = cmp.Or(c.LoginTimeout, 900*time.Millisecond)
	if c.LoginTimeout < 10*time.Millisecond || c.LoginTimeout > time.Minute {
		add("Config.LoginTimeout is %s; it must be from 10ms to 1m", c.LoginTimeout)
	}
	c.RotateEvery = cmp.Or(c.RotateEvery, 30*24*time.Hour)
	if c.RotateEvery < time.Hour || c.RotateEvery > 366*24*time.Hour {
		add("Config.RotateEvery is %s; it must be from 1h to 8784h, which is 366 days", c.RotateEvery)
	}
	c.SigningAlgorithm = cmp.Or(c.SigningAlgorithm, string(jose.ES256))
	if !slices.Contains(publishedAlgorithms(), c.SigningAlgorithm) {
		add("Config.SigningAlgorithm is %q; it must be ES256, EdDSA, RS256 or PS256", c.SigningAlgorithm)
	}
	if c.Leeway < 0 || c.Leeway > bearer.MaxLeeway {
		add("Config.Leeway is %s; it must be from 0 to %s", c.Leeway, bearer.MaxLeeway)
	}
	c.Realm = cmp.Or(c.Realm, "latchkey")
	if len(c.Realm) > 255 || strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		add("Config.Realm: it must be at most 255 printable ASCII characters, without quotes and backslashes")
	}
	if c.Reminders != nil && len(c.APIKeys.RemindBefore) == 0 {
		c.APIKeys.RemindBefore = []time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour}
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, paths, problems
}

// checkServerURL checks Config.Issuer (RFC 8414, section 2) or Config.Resource.
func checkServerURL(address string, loopback bool) error {
	if address == "" {
		return errors.New("it is missing: set it to the https URL of this server")
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("it is not a URL; it must be like https://api.example.com")
	case u.Hostname() == "" || u.Opaque != "" || u.User != nil:
		return errors.New("it must be a URL of scheme, host and optional path")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(address, "#"):
		return errors.New("it must have no query and no fragment")
	case checkPath(strings.TrimSuffix(u.EscapedPath(), "/")) != nil || u.EscapedPath() != u.Path:
		return errors.New("its path must not contain empty segments, \".\", \"..\" or characters that need escaping")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback && request.IsLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http" && request.IsLoopback(u.Hostname()):
		return errors.New("it must be https; for development set InsecureLoopback")
	}
	return errors.New("it must be https")
}

// checkPath allows only clean paths without escapes and braces, which http.ServeMux
// matches literally. It does not refuse what other routers have in patterns, such as
// ':' and '*'.
func checkPath(text string) error {
	if text == "" {
		return nil
	}
	outside := strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-._~!$&'()*+,;=:@", r))
	})
	if outside || text[0] != '/' || path.Clean(text) != text {
		return errors.New("not a clean path")
	}
	return nil
}

// resourceURIs returns the URIs of Config.Resources.
func (c Config) resourceURIs() []string {
	var all []string
	for _, r := range c.Resources {
		all = append(all, r.URI)
	}
	return all
}

// resourceProblems checks Resource and IntrospectAll, and those rules for Resources
// that package apikey does not check.
func (c Config) resourceProblems() []error {
	var problems []error
	if c.Resource != "" {
		err := checkServerURL(c.Resource, c.InsecureLoopback)
		if err == nil && strings.ContainsFunc(c.Resource, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			err = errors.New("it must be printable ASCII without spaces, quotes and backslashes")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("Config.Resource: %w", err))
		}
	}
	for i, r := range c.Resources {
		if r.URI == c.Resource || slices.Contains(c.Audience, r.URI) {
			problems = append(problems, fmt.Errorf("Config.Resources[%d].URI: %q is also Config.Resource, or in Config.Audience or its default; remove it from Resources", i, r.URI))
		}
	}
	if c.IntrospectAll != "" && c.Permissions != nil {
		known, ok := c.Permissions.Lookup(c.IntrospectAll)
		if !ok || known.Level != scope.Admin {
			problems = append(problems, fmt.Errorf("Config.IntrospectAll: %q must be a permission of the admin level in Config.Permissions", c.IntrospectAll))
		}
	}
	return problems
}
