// Package oauth is the authorization server: the login that exchanges a key
// for a token, the documents that describe it, and the guards for the host's
// own routes.
//
// A host makes one Server, mounts its Routes, keeps Run running, and guards
// its handlers with Require:
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
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

// Config describes a Server. The zero value of each field is the production
// default, but for Issuer and Permissions, which are required.
type Config struct {
	// Issuer is the https URL that names this server in every token, without
	// query or fragment. It is used byte for byte. Required.
	Issuer string
	// Permissions is the catalog of permissions that keys may hold. Required.
	Permissions *scope.Catalog
	// Policy decides about keys and tokens besides the administrator's
	// settings. Nil adds no rule.
	Policy policy.Policy

	// TokenPath is the path of the login, from the root of the issuer's host.
	// Default "/api/login". It ends without a slash, and it is as a router
	// would clean it, since a router redirects what it cleans, and a redirect
	// makes the client send its secret once more.
	TokenPath string
	// RevocationPath and IntrospectionPath are the paths of these endpoints
	// (RFC 7009, RFC 7662), as TokenPath is that of the login. Default
	// "/api/revoke" and "/api/introspect".
	RevocationPath    string
	IntrospectionPath string
	// AuthorizationPath, unless empty, is the path of an authorization
	// endpoint that refuses everything, and is named in the metadata: for
	// clients that read no metadata without one, such as the MCP SDKs.
	AuthorizationPath string
	// IntrospectAll names a permission of the admin level whose holders may
	// introspect the tokens of every workspace. Empty: a key sees those of
	// its own only.
	IntrospectAll string
	// Resource is the URL that names this server's API as a protected
	// resource (RFC 9728). If it is set, its metadata is served and named in
	// challenges. Empty: no such document.
	Resource string
	// Resources are further resource servers that a key can be allowed to ask
	// tokens for, by naming one at the login (RFC 8707).
	Resources []apikey.Resource
	// Audience is the aud of every token that is not for one of Resources:
	// the resource servers it is for. Default: Resource or, without one, the
	// issuer.
	Audience []string
	// Signers are the private keys that sign tokens: the first signs, all verify
	// and are published. A new one is rolled out in two deploys: listed last, then
	// moved to the front. The old one can be taken out about 26 hours later, when
	// its last token has ended; see New. Without any, the server makes its own, and
	// Run rotates them: a store whose SigningKeys outlive the process needs SealKeys
	// for that; with another (memstore) and no SealKeys they live as long as the
	// Server.
	Signers []SigningKey
	// SealKeys encrypt the signing keys that the server makes, so that they can
	// live in the store, where all replicas share them: the first seals, all open.
	// They exclude Signers. A new one is rolled out in two deploys: listed last,
	// then moved to the front. What a lower version sealed is sealed anew when a
	// server starts, and at each step of Run: so the old one can be taken out in the
	// next deploy. See New. A ring that was deleted from the store is made anew, and
	// the tokens of the old one end; RevokeSigningKeys does that.
	SealKeys []SealKey
	// RotateEvery is how long a key that the server made signs. Default 30
	// days; 1 hour to 366 days. The next one is published 10 minutes before
	// it signs, and the last one for as long as a token of it can live. It
	// has no effect on Signers.
	RotateEvery time.Duration
	// SigningAlgorithm is that of the keys that the server makes: ES256 (the
	// default), EdDSA, RS256 or PS256. A change begins with the next key. It
	// has no effect on Signers.
	SigningAlgorithm string
	// Claims, unless nil, adds the host's own claims to a token. A name that
	// the server uses itself makes the login fail, and so does an error. An
	// error that wraps store.ErrUnavailable, or the error of an ended context,
	// is answered with 503. The grant is a copy: what the hook writes into it is lost.
	Claims func(ctx context.Context, g *apikey.Grant) (map[string]any, error)

	// RequireTLS refuses a login that did not come over TLS. Default false,
	// for TLS usually ends at a proxy.
	RequireTLS bool
	// InsecureLoopback admits an http issuer whose host is a loopback
	// address or localhost, for development on one machine.
	InsecureLoopback bool
	// OpenIDAlias also serves the metadata as
	// /.well-known/openid-configuration, where some clients look for it.
	OpenIDAlias bool
	// ClientAddr names the client's address, for budgets and policies.
	// Default: that in RemoteAddr, with a port or without. Behind a proxy use
	// BehindProxies. The first request without an address is logged.
	ClientAddr func(*http.Request) netip.Addr
	// Realm stands in challenges. Default "latchkey".
	Realm string
	// Leeway is how long after its expiry a token is still accepted by this
	// server's guards, but never past the end of its key. Default 0; at most 5
	// minutes.
	Leeway time.Duration

	// LoginTimeout bounds how long a login, a revocation or an introspection
	// waits for the store, the policies and the hooks, and a guard for the
	// store; what takes longer is answered as an outage. Default 900 ms, so
	// that a client has an answer within a second; 10 ms to 1 minute. Raise it
	// for imported keys whose digests are slow.
	LoginTimeout time.Duration

	// APIKeys adjusts the service of API keys further.
	APIKeys apikey.Options

	// Reminders, unless nil, is called by Run for keys about to expire: see
	// reminders.New. APIKeys.RemindBefore says when; if it is empty, 30, 7 and 1
	// days before the end. It needs Store.OnceIDs.
	Reminders func(ctx context.Context, r reminders.Reminder) error

	// Logger takes warnings and errors. Default slog.Default().
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// complete fills in defaults, and returns where the documents stand and every problem,
// each naming its field.
func (c Config) complete() (Config, paths, []error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if err := checkIssuer(c.Issuer, c.InsecureLoopback); err != nil {
		add("Config.Issuer: %w", err)
	}
	c.TokenPath = cmp.Or(c.TokenPath, "/api/login")
	c.RevocationPath = cmp.Or(c.RevocationPath, "/api/revoke")
	c.IntrospectionPath = cmp.Or(c.IntrospectionPath, "/api/introspect")
	paths := pathsOf(c)
	taken := []string{paths.jwks, paths.metadata, paths.openID, paths.resource}
	for _, p := range []struct{ field, path string }{
		{"TokenPath", c.TokenPath}, {"RevocationPath", c.RevocationPath}, {"IntrospectionPath", c.IntrospectionPath},
		{"AuthorizationPath", c.AuthorizationPath},
	} {
		switch {
		case checkPath(p.path) != nil || p.path == "/":
			add("Config.%s: %q must be the path of one resource, such as /api/login", p.field, p.path)
		case p.path != "" && slices.Contains(taken, p.path):
			add("Config.%s: %s is the path of another document of this server", p.field, p.path)
		}
		taken = append(taken, p.path)
	}
	for i, audience := range c.Audience {
		if audience == "" || !utf8.ValidString(audience) {
			add("Config.Audience[%d]: it must be a name in UTF-8", i)
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
	if !slices.Contains([]jose.Algorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256}, jose.Algorithm(c.SigningAlgorithm)) {
		add("Config.SigningAlgorithm is %q; it must be ES256, EdDSA, RS256 or PS256", c.SigningAlgorithm)
	}
	if c.Leeway < 0 || c.Leeway > bearer.MaxLeeway {
		add("Config.Leeway is %s; it must be from 0 to %s", c.Leeway, bearer.MaxLeeway)
	}
	c.Realm = cmp.Or(c.Realm, "latchkey")
	if len(c.Realm) > 255 || strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		add("Config.Realm may hold up to 255 printable ASCII characters, without quotes and backslashes")
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

// checkIssuer applies RFC 8414, section 2: https, no query, no fragment.
func checkIssuer(issuer string, loopback bool) error {
	if issuer == "" {
		return errors.New("it is missing: the https URL of this server")
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.Hostname() == "" || u.Opaque != "" || u.User != nil:
		return errors.New("it must be a URL of scheme, host and optional path")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return errors.New("it may have no query and no fragment")
	case checkPath(strings.TrimSuffix(u.EscapedPath(), "/")) != nil || u.EscapedPath() != u.Path:
		return errors.New("its path may hold no empty or dotted segments and no characters that need escaping")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback && request.IsLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http" && request.IsLoopback(u.Hostname()):
		return errors.New("it must be https; for development set InsecureLoopback")
	}
	return errors.New("it must be https")
}

// checkPath admits what every router matches as it stands: nothing to be
// cleaned, nothing to be escaped, no pattern.
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

// resourceURIs are those of Config.Resources.
func (c Config) resourceURIs() []string {
	var all []string
	for _, r := range c.Resources {
		all = append(all, r.URI)
	}
	return all
}

// resourceProblems checks what Config says of resources, as far as package
// apikey does not.
func (c Config) resourceProblems() []error {
	var problems []error
	if c.Resource != "" {
		err := checkIssuer(c.Resource, c.InsecureLoopback)
		if err == nil && strings.ContainsFunc(c.Resource, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			err = errors.New("it must be printable ASCII without spaces, quotes and backslashes")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("Config.Resource: %w", err))
		}
	}
	for i, r := range c.Resources {
		if r.URI == c.Resource || slices.Contains(c.Audience, r.URI) {
			problems = append(problems, fmt.Errorf("Config.Resources[%d].URI: %q is the audience of every token already", i, r.URI))
		}
	}
	if c.IntrospectAll != "" && c.Permissions != nil {
		known, ok := c.Permissions.Lookup(c.IntrospectAll)
		if !ok || known.Level != scope.Admin {
			problems = append(problems, fmt.Errorf("Config.IntrospectAll: %q is not a permission of the admin level in Config.Permissions", c.IntrospectAll))
		}
	}
	return problems
}
