package oauth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/models"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Token returns the login endpoint: the token endpoint of RFC 6749, section 3.2,
// for the client_credentials grant (section 4.4). It accepts a form or a JSON
// object. Config.TokenPath is its path.
func (s *Server) Token() http.Handler { return http.HandlerFunc(s.login) }

// login is the handler of Token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	// The buffer holds the body, then the response. It is not pooled: the body
	// reader and response writer of a middleware get parts of it and may keep them.
	var buffer bytes.Buffer
	defer wipe(&buffer)
	var asked tokenRequest
	if bad := s.readLogin(w, r, &buffer, &asked); bad != nil {
		s.refuse(r.Context(), w, bad)
		return
	}
	// A store that hangs must not block the client: after the timeout the response
	// is 503.
	ctx := request.WithTimeout(r.Context(), s.cfg.LoginTimeout)
	defer ctx.Stop()
	grant, token, err := s.issue(ctx, &asked, s.host.Addr(r))
	if err != nil {
		s.refuse(ctx, w, err)
		return
	}
	writeToken(w, &buffer, token, grant)
}

// issue authenticates the key, decides on its token and makes it.
func (s *Server) issue(ctx context.Context, r *tokenRequest, address netip.Addr) (*apikey.Grant, string, error) {
	proof, err := s.keys.Authenticate(ctx, r.credentials(address))
	if err != nil {
		return nil, "", err
	}
	// The resource may also be one of the server's own audiences (RFC 8707, section
	// 2). It is then the token's only audience.
	resource, own := r.resource, slices.Contains(s.cfg.Audience, r.resource)
	if own {
		resource = ""
	}
	grant, err := s.keys.Issue(ctx, proof, apikey.Request{Scope: r.scope, Resource: resource})
	if err != nil {
		var lacked *apikey.RefusedError
		if sent := cmp.Or(r.clientSecret, r.assertion); errors.As(err, &lacked) && sent != "" && strings.Contains(r.scope, sent) {
			// The response would repeat these names, and one of them may be the client's
			// own secret or assertion, sent as a scope by mistake.
			lacked.Missing = scope.Set{}
		}
		return nil, "", err
	}
	if own {
		grant.Resource = r.resource
	}
	// go-oauth2's manager builds the token through grantAdapter, which finds the grant in
	// the context.
	info, err := s.manager.GenerateAccessToken(context.WithValue(ctx, grantKey{}, grant), oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
		ClientID: grant.Key.ID,
	})
	if err != nil {
		return nil, "", fmt.Errorf("oauth: %w", err)
	}
	return grant, info.GetAccess(), nil
}

// grantAdapter implements the ClientStore, AccessGenerate and TokenStore of go-oauth2's
// manager. The decision to issue the token is already made, and tokens are not
// stored.
type grantAdapter struct {
	oauth2.TokenStore // nil: nothing calls the other methods
	sign              func(context.Context, *apikey.Grant) (string, error)
}

type grantKey struct{}

var errNoGrant = errors.New("oauth: the context has no grant of this client")

// GetByID implements oauth2.ClientStore. The only client is the one that logged in.
func (grantAdapter) GetByID(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	grant, ok := ctx.Value(grantKey{}).(*apikey.Grant)
	if !ok || grant.Key.ID != id {
		return nil, errNoGrant
	}
	return &models.Client{ID: id}, nil
}

// Token implements oauth2.AccessGenerate.
func (a grantAdapter) Token(ctx context.Context, _ *oauth2.GenerateBasic, _ bool) (access, refresh string, err error) {
	grant, ok := ctx.Value(grantKey{}).(*apikey.Grant)
	if !ok {
		return "", "", errNoGrant
	}
	access, err = a.sign(ctx, grant)
	return access, "", err
}

// Create implements oauth2.TokenStore.
func (grantAdapter) Create(context.Context, oauth2.TokenInfo) error { return nil }

// Sign returns the signed token of a grant (RFC 9068, section 2). The login calls it. A
// host may call it for a grant that it got from APIKeys().Issue.
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

// claims encodes the claims of a grant's token. It is a separate function so that
// its stack frame is free when Sign signs, which needs much stack.
func (s *Server) claims(ctx context.Context, g *apikey.Grant) ([]byte, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	var text [22]byte       // 16 bytes in base64url
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

		AdminScope:   g.Permissions.Intersect(s.cfg.Permissions.Admin()).String(),
		Workspace:    g.Key.Workspace,
		CredentialID: g.CredentialID,
		Epochs:       g.Epochs,
	}
	// A verifier's leeway must not outlast what the token was issued for. If that ends
	// later than any leeway reaches, the claim is left out.
	if !g.Ends.IsZero() && g.Ends.Before(g.Expires.Add(bearer.MaxLeeway)) {
		claims.KeyExpires = g.Ends.Unix()
	}
	if s.cfg.Claims != nil {
		var err error
		if claims.Extra, err = s.extraClaims(ctx, g); err != nil {
			return nil, fmt.Errorf("oauth: Config.Claims: %w", err)
		}
	}
	return jose.AppendClaims(make([]byte, 0, 1<<10), &claims), nil // enough for most tokens
}

// audience returns the aud claim of a token: the requested resource, or the
// server's own audience.
func (s *Server) audience(resource string) []string {
	if resource == "" {
		return s.cfg.Audience
	}
	return []string{resource}
}

// extraClaims calls the host's hook with a copy of the grant.
func (s *Server) extraClaims(ctx context.Context, g *apikey.Grant) ([]strictjson.Member, error) {
	shown := *g
	shown.Key.Resources, shown.Key.Credentials = slices.Clone(g.Key.Resources), slices.Clone(g.Key.Credentials)
	extra, err := s.cfg.Claims(ctx, &shown)
	// Only the text of err is kept: an error that it wraps could be taken for a
	// decision about the client.
	switch {
	case err == nil:
	case outcome.IsOutage(err):
		return nil, fmt.Errorf("%w: %s", store.ErrUnavailable, err.Error())
	default:
		return nil, errors.New(err.Error())
	}
	return jose.EncodeExtra(extra)
}

// writeToken writes the response of RFC 6749, section 5.1. A JWT and a scope
// contain no character that must be escaped in JSON.
func writeToken(w http.ResponseWriter, body *bytes.Buffer, token string, g *apikey.Grant) {
	body.WriteString(`{"access_token":"`)
	body.WriteString(token)
	body.WriteString(`","token_type":"Bearer","expires_in":`)
	body.Write(strconv.AppendInt(body.AvailableBuffer(), int64(g.Expires.Sub(g.IssuedAt)/time.Second), 10))
	body.WriteString(`,"scope":"`)
	body.WriteString(g.Permissions.String())
	body.WriteString("\"}\n")
	writeJSON(w, body.Bytes())
}

// writeJSON writes a 200 response.
func writeJSON(w http.ResponseWriter, body []byte) {
	answer.Write(w, http.StatusOK, "application/json", body)
}
