package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-oauth2/oauth2/v4/manage"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// Server is the authorization server. It is safe for concurrent use.
type Server struct {
	cfg   Config
	store store.Store
	keys  *apikey.Service
	// reminders is nil if Config.Reminders is nil.
	reminders    *reminders.Sender
	manager      *manage.Manager
	ring         *signing.Ring
	signers      hostlist.List // Config.Signers
	trusted      *trust.List
	recorded     atomic.Int64     // when recordSigner last recorded, in Unix microseconds
	host         *request.Host    // reads addresses and bodies, and logs wrong mounting
	verifier     *bearer.Verifier // for guards
	allAudiences *bearer.Verifier // for revocation and introspection
	paths        paths
	metadata     []byte
	openID       []byte // the metadata with the members that OpenIDAlias adds
}

// paths are the paths of the documents. origin is the issuer's scheme and host: origin
// and a path together are a URL in the metadata.
type paths struct {
	origin, jwks, metadata, openID string
	// resource is the path of the resource metadata, and resourceURL the URL that
	// challenges name.
	resource, resourceURL string
}

// New checks cfg and st and returns a Server. It joins all problems into one error;
// each names its field.
//
// New reads from the store which peppers, prefixes of secrets, seal keys and signers
// are in use. If Config.Signers is empty and the store has no signing key, it makes
// the first one. Each of these steps waits up to 10 seconds for the store. New fails
// if the store is unavailable. It also fails if an entry that is in use is not in cfg
// and Config.APIKeys.Withdrawn does not name it, or if cfg has a different key under
// the name of the entry. The error then gives the entry's name and fingerprint. A
// signer counts as in use for about 26 hours after New or Run of a server that signs
// with it last recorded it; Run does so every hour.
func New(st store.Store, cfg Config) (*Server, error) {
	cfg, paths, problems := cfg.complete()
	trusted, err := trust.New(cfg.TrustedIssuers, trust.Config{Audience: cfg.Issuer, InsecureLoopback: cfg.InsecureLoopback, Now: cfg.Now, Logger: cfg.Logger})
	problems = append(problems, err)
	keys, err := apikey.New(st, apikey.Config{
		Permissions: cfg.Permissions, Policy: cfg.Policy, Resources: cfg.Resources,
		Issuer: cfg.Issuer, TokenURL: paths.origin + cfg.TokenPath, TrustedIssuers: trusted,
		Observer: cfg.Observer, Logger: cfg.Logger, Now: cfg.Now, Options: cfg.APIKeys,
	})
	problems = append(problems, err)
	var sender *reminders.Sender
	if cfg.Reminders != nil && keys != nil {
		sender, err = reminders.New(st, keys, cfg.Reminders)
		problems = append(problems, err)
	}
	ring, signers, err := newRing(st, cfg, keys)
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	s := &Server{cfg: cfg, store: st, keys: keys, reminders: sender, ring: ring, signers: signers, trusted: trusted, paths: paths, host: request.NewHost(cfg.ClientAddr, cfg.Logger)}
	if err := s.verifiers(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	s.manager = manage.NewManager()
	storage := grantAdapter{sign: s.Sign}
	s.manager.MapClientStorage(storage)
	s.manager.MapAccessGenerate(storage)
	s.manager.MapTokenStorage(storage)
	s.metadata, s.openID = s.metadataJSON(false), s.metadataJSON(true)
	// These two may write to the store. They come last, so that a New that fails for
	// another reason has written nothing.
	if err := s.startSigners(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if err := s.ring.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return s, nil
}

// verifiers makes two verifiers. Guards use one that accepts this server's own
// audience. Revocation and introspection use one that accepts every audience for
// which this server issues tokens.
func (s *Server) verifiers() error {
	cfg := bearer.Config{
		Issuer:           s.cfg.Issuer,
		Audiences:        s.cfg.Audience,
		Keys:             s.ring,
		Epochs:           &epochs{store: s.store.Reads(), now: s.cfg.Now, timeout: s.cfg.LoginTimeout, keysOff: s.cfg.APIKeys.DefaultKeysOff, trusted: s.trusted},
		Permissions:      s.cfg.Permissions,
		Realm:            s.cfg.Realm,
		ResourceMetadata: s.paths.resourceURL,
		Leeway:           s.cfg.Leeway,
		CheckSecret:      s.checkSecret,
		SecretForms:      s.cfg.SecretForms,
		ClientAddr:       s.host.Addr,
		Now:              s.cfg.Now,
		Observer:         s.cfg.Observer,
		Logger:           s.cfg.Logger,
	}
	var err error
	if s.verifier, err = bearer.New(cfg); err != nil {
		return err
	}
	cfg.Audiences = append(slices.Clone(s.cfg.Audience), s.cfg.resourceURIs()...)
	cfg.CacheEntries, cfg.CacheBytes = 1024, 4<<20
	cfg.Observer = nil // the credential is the caller's secret, not the token that it asks about
	s.allAudiences, err = bearer.New(cfg)
	return err
}

// Format implements fmt.Formatter. It prints only the issuer, since a Server
// contains keys.
func (s *Server) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "oauth.Server("+s.cfg.Issuer+")") //nolint:errcheck // f reports its own errors
}

// pathsOf returns the paths of the documents. Config.complete reports an issuer
// that is no URL.
func pathsOf(cfg Config) paths {
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return paths{}
	}
	prefix := strings.TrimSuffix(u.EscapedPath(), "/")
	p := paths{
		origin: u.Scheme + "://" + u.Host,
		jwks:   prefix + "/.well-known/jwks.json",
		// The issuer's path comes after the well-known part (RFC 8414, section
		// 3.1), but before it in OpenID Connect Discovery.
		metadata: "/.well-known/oauth-authorization-server" + prefix,
	}
	if cfg.OpenIDAlias {
		p.openID = prefix + "/.well-known/openid-configuration"
	}
	if u, err = url.Parse(cfg.Resource); err == nil && cfg.Resource != "" {
		// The well-known part comes between host and path (RFC 9728, section 3.1).
		p.resource = "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
		p.resourceURL = u.Scheme + "://" + u.Host + p.resource
	}
	return p
}

// Routes returns the handlers by path. Mount them all at the root of the host's
// router, never in a group and never behind http.StripPrefix, since the metadata
// names these paths; the first request with a prefix before such a path is logged. To
// move the login, set Config.TokenPath; for the documents, give Config.Issuer a path.
// The paths are patterns for http.ServeMux without a method: each handler answers a
// wrong method itself. A ServeMux panics if it has a pattern that overlaps them, such
// as "GET /" or "POST /{tenant}/login": use Handler then.
func (s *Server) Routes() map[string]http.Handler {
	routes := map[string]http.Handler{
		s.cfg.TokenPath:         s.Token(),
		s.cfg.RevocationPath:    s.Revocation(),
		s.cfg.IntrospectionPath: s.Introspection(),
		s.paths.jwks:            s.JWKS(),
		s.paths.metadata:        s.Metadata(),
	}
	if s.paths.resource != "" {
		routes[s.paths.resource] = s.ResourceMetadata()
	}
	if s.cfg.AuthorizationPath != "" {
		routes[s.cfg.AuthorizationPath] = s.Authorization()
	}
	if s.cfg.SelfRevocationPath != "" {
		routes[s.cfg.SelfRevocationPath] = s.SelfRevocation()
	}
	if s.paths.openID != "" {
		routes[s.paths.openID] = s.document(s.openID)
	}
	for path, handler := range routes {
		routes[path] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requested, _, _ := strings.Cut(r.RequestURI, "?")
			if prefix, ok := strings.CutSuffix(requested, path); ok && strings.HasPrefix(prefix, "/") {
				s.host.Misplaced(r, path, requested, "the path of a request has a prefix that the metadata does not name. If a proxy adds the prefix, nothing is wrong. Otherwise clients that read the metadata "+
					"do not find the route: mount the routes at the root and not in a group, and set Config.TokenPath to move the login")
			}
			handler.ServeHTTP(w, r)
		})
	}
	return routes
}

// Handler serves requests for the paths of Routes, and passes all others to next, a
// router whose own patterns may overlap these paths. It compares paths literally:
// an escaped spelling of such a path goes to next. It panics if next is nil.
func (s *Server) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("oauth: Handler: next is nil") //nolint:forbidigo // documented above: a programming error
	}
	routes := s.Routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, ok := routes[r.URL.Path]
		// An escaped spelling goes to next, since a proxy's rules by path may miss it.
		if !ok || r.URL.RawPath != "" && r.URL.RawPath != r.URL.Path {
			route = next
		}
		route.ServeHTTP(w, r)
	})
}

// APIKeys returns the service that makes and changes keys.
func (s *Server) APIKeys() *apikey.Service { return s.keys }

// Verifier returns the verifier of this server's tokens, for admin.Bearer, and for
// servers that do not use net/http (bearer.Verifier.Authorize).
func (s *Server) Verifier() *bearer.Verifier { return s.verifier }

// Carries reports whether a request comes with a token of this server or a secret in one of
// Config.SecretForms, valid or not, for routes that also accept the host's sessions; see
// bearer.Verifier.Carries.
func (s *Server) Carries(r *http.Request) bool { return s.verifier.Carries(r) }

// Require returns a guard for a route. The token must hold all of the permissions,
// in the workspace that the guard takes from the request; see bearer.Guard. It
// panics if a permission is not in Config.Permissions.
func (s *Server) Require(permissions ...string) bearer.Guard {
	return s.verifier.Require(permissions...)
}
