package oauth

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-oauth2/oauth2/v4"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/granted"
)

// Token returns the login: the token endpoint of RFC 6749, section 3.2, for
// the client_credentials grant (section 4.4). It takes a form or a JSON
// object; see Config for its path.
func (s *Server) Token() http.Handler { return http.HandlerFunc(s.login) }

// login is the whole of a login, read downwards.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	// It holds the body, then the answer. It is not pooled: the body and the writer
	// of a middleware get parts of it and may keep them.
	var buffer bytes.Buffer
	defer empty(&buffer)
	var request tokenRequest
	bad := s.readTokenRequest(w, r, &buffer, &request)
	if bad == nil {
		bad = request.checkGrant()
	}
	if bad != nil {
		s.answer(w, bad)
		return
	}
	// Nobody waits for a store that hangs, and a login that nobody could
	// decide on is an outage.
	ctx := withTimeout(r.Context(), s.cfg.LoginTimeout)
	defer ctx.stop()
	grant, err := s.grant(ctx, apikey.Credentials{
		ID:      request.clientID,
		Secret:  request.clientSecret,
		Address: s.clients.Addr(r),
	}, apikey.Request{Scope: request.scope, Resource: request.resource})
	if err != nil {
		s.refuse(ctx, w, err)
		return
	}
	token, err := s.generate(ctx, grant)
	if err != nil {
		s.refuse(ctx, w, err)
		return
	}
	writeToken(w, &buffer, token, grant)
}

// grant decides on the token of a login, for the resource that the login names
// (RFC 8707, section 2). One of the server's own audiences may be named too,
// and then is the token's only one.
func (s *Server) grant(ctx context.Context, c apikey.Credentials, r apikey.Request) (*apikey.Grant, error) {
	var own string
	if slices.Contains(s.cfg.Audience, r.Resource) {
		own, r.Resource = r.Resource, ""
	}
	grant, err := s.keys.LogIn(ctx, c, r)
	if err == nil && own != "" {
		grant.Resource = own
	}
	return grant, err
}

// generate lets go-oauth2's manager build the grant through the adapters of
// package gooauth2, which find the decision in the context.
func (s *Server) generate(ctx context.Context, g *apikey.Grant) (string, error) {
	info, err := s.manager.GenerateAccessToken(granted.With(ctx, g), oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
		ClientID: g.Key.ID, Scope: g.Permissions.String(), AccessTokenExp: g.Expires.Sub(g.IssuedAt),
	})
	if err != nil {
		return "", fmt.Errorf("oauth: %w", err)
	}
	return info.GetAccess(), nil
}

// writeToken answers as RFC 6749, section 5.1 says. A JWT and a scope hold
// nothing that JSON would escape but '<', '>' and '&', which need not be.
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
