package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-oauth2/oauth2/v4/manage"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

// Server is the authorization server. It is safe for concurrent use.
type Server struct {
	cfg      Config
	store    store.Store
	keys     *apikey.Service
	manager  *manage.Manager
	ring     *signing.Ring
	signers  hostlist.List // Config.Signers
	recorded atomic.Int64  // when recordSigner did last, in Unix microseconds
	clients  *request.Clients
	verifier *bearer.Verifier
	issued   *bearer.Verifier // takes tokens for every audience
	paths    paths
	metadata document
	resource document
}

// paths is where each endpoint is mounted, which is also what is advertised.
type paths struct {
	origin, token, revocation, introspection, authorization, jwks, metadata, openID string
	// resource is the path of the resource metadata, resourceURL all of it.
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
	cfg, problems := cfg.complete()
	paths, err := pathsOf(cfg)
	if err != nil {
		problems = append(problems, err)
	}
	keys, err := apikey.New(st, apikey.Config{
		Permissions: cfg.Permissions, Policy: cfg.Policy, Resources: cfg.Resources,
		Logger: cfg.Logger, Now: cfg.Now, Options: cfg.APIKeys,
	})
	if err != nil {
		problems = append(problems, err)
	}
	ring, signers, err := newRing(st, cfg, keys)
	if err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	s := &Server{cfg: cfg, store: st, keys: keys, ring: ring, signers: signers, paths: paths, clients: request.NewClients(cfg.ClientAddr, cfg.Logger)}
	if err := s.verifiers(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	s.manager = manage.NewManager()
	s.manager.MapClientStorage(gooauth2.NewClientStore(keys))
	s.manager.MapAccessGenerate(gooauth2.NewAccessGenerate(keys, s.Sign))
	s.manager.MapTokenStorage(gooauth2.TokenStore{})
	if s.metadata, err = s.describe(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	if s.resource, err = s.describeResource(); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
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
		Epochs:           &epochs{store: s.store.Reads(), now: s.cfg.Now, timeout: s.cfg.LoginTimeout, keysOff: s.cfg.APIKeys.Defaults.KeysOff},
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
	cfg.Audiences = s.cfg.audiences()
	cfg.CacheEntries, cfg.CacheBytes = 1024, 4<<20
	s.issued, err = bearer.New(cfg)
	return err
}

// Format implements fmt.Formatter: a Server holds keys, and shows its issuer
// only.
func (s *Server) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "oauth.Server("+s.cfg.Issuer+")") //nolint:errcheck // Printf is told by f
}

// pathsOf says where the endpoints stand. An issuer that is no URL is reported
// by Config.complete.
func pathsOf(cfg Config) (paths, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return paths{}, nil //nolint:nilerr // reported as Config.Issuer
	}
	prefix := strings.TrimSuffix(u.EscapedPath(), "/")
	p := paths{
		origin:        u.Scheme + "://" + u.Host,
		token:         cfg.TokenPath,
		revocation:    cfg.RevocationPath,
		introspection: cfg.IntrospectionPath,
		authorization: cfg.AuthorizationPath,
		jwks:          prefix + "/.well-known/jwks.json",
		// The issuer's path goes behind the well-known part (RFC 8414,
		// section 3.1), but before it for OpenID Connect Discovery.
		metadata: "/.well-known/oauth-authorization-server" + prefix,
	}
	if cfg.OpenIDAlias {
		p.openID = prefix + "/.well-known/openid-configuration"
	}
	if cfg.Resource != "" {
		var origin string
		origin, p.resource = resourcePath(cfg.Resource)
		p.resourceURL = origin + p.resource
	}
	return p, p.distinct()
}

// distinct refuses two endpoints at one path.
func (p paths) distinct() error {
	all := []string{p.jwks, p.metadata, p.openID, p.resource}
	for _, own := range []struct{ field, path string }{
		{"TokenPath", p.token}, {"RevocationPath", p.revocation}, {"IntrospectionPath", p.introspection},
		{"AuthorizationPath", p.authorization},
	} {
		if own.path != "" && slices.Contains(all, own.path) {
			return fmt.Errorf("Config.%s: %s is the path of another document of this server", own.field, own.path)
		}
		all = append(all, own.path)
	}
	return nil
}

// Routes returns the handlers by path, for the host to mount on its router, at
// the root and in no group: what is in here is what the metadata advertises.
// The patterns suit http.ServeMux; they name no method, since each handler
// answers a wrong one itself. A ServeMux with a pattern that overlaps them,
// such as "GET /" or "POST /{tenant}/login", panics: take Handler there.
func (s *Server) Routes() map[string]http.Handler {
	routes := map[string]http.Handler{
		s.paths.token:         s.Token(),
		s.paths.revocation:    s.Revocation(),
		s.paths.introspection: s.Introspection(),
		s.paths.jwks:          s.JWKS(),
		s.paths.metadata:      s.Metadata(),
	}
	if s.paths.resource != "" {
		routes[s.paths.resource] = s.ResourceMetadata()
	}
	if s.paths.authorization != "" {
		routes[s.paths.authorization] = s.Authorization()
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

// Sign makes the token of a grant (RFC 9068, section 2).
func (s *Server) Sign(ctx context.Context, g *apikey.Grant) (string, error) {
	claims, err := s.claims(ctx, g)
	if err != nil {
		return "", err
	}
	token, err := s.ring.Signer(ctx).Sign(claims)
	if err != nil {
		return "", fmt.Errorf("oauth: sign token: %w", err)
	}
	return token, nil
}

// claims encodes what a grant's token says. It is a function of its own so that
// its stack is free again when Sign signs, which takes much of a goroutine's stack.
func (s *Server) claims(ctx context.Context, g *apikey.Grant) ([]byte, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("oauth: no random token id: %w", err)
	}
	var text [22]byte // 16 bytes in base64url
	base64.RawURLEncoding.Encode(text[:], id[:])
	claims := jose.Claims{
		Issuer:   s.cfg.Issuer,
		Subject:  g.Key.ID,
		Audience: s.audience(g.Resource),
		Expires:  g.Expires.Unix(),
		IssuedAt: g.IssuedAt.Unix(),
		TokenID:  string(text[:]),
		ClientID: g.Key.ID,
		Scope:    g.Permissions.String(),

		Workspace: g.Key.Workspace,
		SecretID:  g.SecretID,
		Epochs:    g.Epochs,
	}
	if !g.Ends.IsZero() && g.Ends.Before(g.Expires.Add(bearer.MaxLeeway)) {
		claims.KeyExpires = g.Ends.Unix()
	}
	if s.cfg.Claims != nil {
		var err error
		if claims.Extra, err = s.extraClaims(ctx, g); err != nil {
			return nil, fmt.Errorf("oauth: Config.Claims: %w", err)
		}
	}
	return jose.AppendClaims(make([]byte, 0, 1<<10), &claims), nil // most fit in
}

// extraClaims asks the host's hook, which gets a copy.
func (s *Server) extraClaims(ctx context.Context, g *apikey.Grant) ([]strictjson.Member, error) {
	shown := *g
	shown.Key = g.Key.Clone()
	extra, err := s.cfg.Claims(ctx, &shown)
	// Only its text: other errors that it wraps would count as a decision
	// about the client.
	switch {
	case err == nil:
	case outcome.IsOutage(err):
		return nil, fmt.Errorf("%w: %s", store.ErrUnavailable, err.Error())
	default:
		return nil, errors.New(err.Error())
	}
	return jose.EncodeExtra(extra)
}

// epochs answers for this server's verifier, from the store.
type epochs struct {
	store store.Reads
	now   func() time.Time
	// timeout keeps a guard from waiting as long as a store that hangs.
	timeout time.Duration
	// keysOff is what holds while the instance's settings were never saved.
	keysOff bool
}

// Ended implements bearer.Epochs.
func (e *epochs) Ended(ctx context.Context, t bearer.Token) (bool, error) {
	timed := withTimeout(ctx, e.timeout)
	defer timed.stop()
	state, err := e.store.Read(timed, store.TokenRef{
		Workspace: t.Workspace, Key: t.KeyID, Secret: t.SecretID, TokenID: t.TokenID, Epochs: t.Epochs,
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	// A token with a higher epoch was issued before a backup was restored.
	return e.keysOff && state.InstanceVersion == 0 || state.Revoked || t.Epochs != [3]int64{state.Instance, state.Workspace, state.Key} ||
		!state.SecretKnown ||
		!state.SecretNotAfter.IsZero() && !e.now().Before(state.SecretNotAfter), nil
}
