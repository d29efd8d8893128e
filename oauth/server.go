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
	"github.com/latchkey-go/latchkey/store"
)

// Server is the authorization server. It is safe for concurrent use.
type Server struct {
	cfg   Config
	store store.Store
	keys  *apikey.Service
	// reminders is nil where the host wants none.
	reminders *reminders.Sender
	manager   *manage.Manager
	ring      *signing.Ring
	signers   hostlist.List // Config.Signers
	recorded  atomic.Int64  // when recordSigner did last, in Unix microseconds
	clients   *request.Clients
	verifier  *bearer.Verifier
	issued    *bearer.Verifier // takes tokens for every audience
	paths     paths
	metadata  []byte
}

// paths is where the documents stand, which is also what is advertised.
type paths struct {
	origin, jwks, metadata, openID string
	// resource is the path of the resource metadata.
	resource, resourceURL string
}

// New checks cfg and st and returns a Server. All problems are joined into one
// error, each naming its field.
//
// New reads which peppers, prefixes of secrets, seal keys and signers are in use,
// and makes the first signing key where Config.SealKeys are set. Each of these steps
// waits up to 10 seconds for the store. It fails if the store cannot be reached, and
// if one in use is neither listed nor withdrawn (Config.APIKeys.Withdrawn) or is listed
// with another key: the error names it and its fingerprint. A signer is in use until
// about 26 hours after the last server that signs with it started or was in Run.
func New(st store.Store, cfg Config) (*Server, error) {
	cfg, paths, problems := cfg.complete()
	keys, err := apikey.New(st, apikey.Config{
		Permissions: cfg.Permissions, Policy: cfg.Policy, Resources: cfg.Resources,
		Logger: cfg.Logger, Now: cfg.Now, Options: cfg.APIKeys,
	})
	if err != nil {
		problems = append(problems, err)
	}
	var sender *reminders.Sender
	if cfg.Reminders != nil && keys != nil {
		if sender, err = reminders.New(st, keys, cfg.Reminders); err != nil {
			problems = append(problems, err)
		}
	}
	ring, signers, err := newRing(st, cfg, keys)
	if err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	s := &Server{cfg: cfg, store: st, keys: keys, reminders: sender, ring: ring, signers: signers, paths: paths, clients: request.NewClients(cfg.ClientAddr, cfg.Logger)}
	if err := s.verifiers(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	s.manager = manage.NewManager()
	logins := adapter{sign: s.Sign}
	s.manager.MapClientStorage(logins)
	s.manager.MapAccessGenerate(logins)
	s.manager.MapTokenStorage(logins)
	s.metadata = s.describe()
	// Last, since these may write: if New fails, nothing was written.
	if err := s.startSigners(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if err := s.ring.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	return s, nil
}

// verifiers makes the guards' verifier, for this server's own audience, and
// that of revocation and introspection, for every token it issues.
func (s *Server) verifiers() error {
	cfg := bearer.Config{
		Issuer:           s.cfg.Issuer,
		Audiences:        s.cfg.Audience,
		Keys:             s.ring,
		Epochs:           &epochs{store: s.store.Reads(), now: s.cfg.Now, timeout: s.cfg.LoginTimeout, keysOff: s.cfg.APIKeys.DefaultKeysOff},
		Permissions:      s.cfg.Permissions,
		Realm:            s.cfg.Realm,
		ResourceMetadata: s.paths.resourceURL,
		Leeway:           s.cfg.Leeway,
		Now:              s.cfg.Now,
		Logger:           s.cfg.Logger,
	}
	var err error
	if s.verifier, err = bearer.New(cfg); err != nil {
		return err
	}
	cfg.Audiences = append(slices.Clone(s.cfg.Audience), s.cfg.resourceURIs()...)
	cfg.CacheEntries, cfg.CacheBytes = 1024, 4<<20
	s.issued, err = bearer.New(cfg)
	return err
}

// Format implements fmt.Formatter: a Server holds keys, and shows its issuer
// only.
func (s *Server) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "oauth.Server("+s.cfg.Issuer+")") //nolint:errcheck // Printf is told by f
}

// pathsOf says where the documents stand. An issuer that is no URL is reported
// by Config.complete.
func pathsOf(cfg Config) paths {
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return paths{}
	}
	prefix := strings.TrimSuffix(u.EscapedPath(), "/")
	p := paths{
		origin: u.Scheme + "://" + u.Host,
		jwks:   prefix + "/.well-known/jwks.json",
		// The issuer's path goes behind the well-known part (RFC 8414,
		// section 3.1), but before it for OpenID Connect Discovery.
		metadata: "/.well-known/oauth-authorization-server" + prefix,
	}
	if cfg.OpenIDAlias {
		p.openID = prefix + "/.well-known/openid-configuration"
	}
	if u, err = url.Parse(cfg.Resource); err == nil && cfg.Resource != "" {
		// Behind the host, before the path (RFC 9728, section 3.1).
		p.resource = "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
		p.resourceURL = u.Scheme + "://" + u.Host + p.resource
	}
	return p
}

// Routes returns the handlers by path, for the host to mount on its router, at
// the root and in no group: what is in here is what the metadata advertises.
// The patterns suit http.ServeMux; they name no method, since each handler
// answers a wrong one itself. A ServeMux with a pattern that overlaps them,
// such as "GET /" or "POST /{tenant}/login", panics: take Handler there.
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
	if s.paths.openID != "" {
		routes[s.paths.openID] = s.Metadata()
	}
	return routes
}

// Handler answers requests for the paths of Routes and passes on all others to
// next, a router whose own patterns may overlap these paths. A path counts only
// as it stands in Routes, unescaped. It panics if next is nil.
func (s *Server) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("oauth: Handler: next is nil") //nolint:forbidigo // the doc comment says so: it is for what a programmer wrote
	}
	routes := s.Routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, ok := routes[r.URL.Path]
		// RawPath is another spelling, which rules by path in front do not know.
		if !ok || r.URL.RawPath != "" && r.URL.RawPath != r.URL.Path {
			route = next
		}
		route.ServeHTTP(w, r)
	})
}

// APIKeys returns the service that makes and changes keys.
func (s *Server) APIKeys() *apikey.Service { return s.keys }

// Verifier returns the verifier of this server's tokens, for servers that are
// not net/http's; see bearer.Verifier.Authorize.
func (s *Server) Verifier() *bearer.Verifier { return s.verifier }

// Require guards a route: the token must hold all of the permissions, in the
// workspace that the guard is told; see bearer.Guard. It panics if one is not
// in Config.Permissions.
func (s *Server) Require(permissions ...string) bearer.Guard {
	return s.verifier.Require(permissions...)
}
