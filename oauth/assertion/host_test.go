package assertion_test

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// host is a Latchkey server on a loopback port with one key, which has no secret.
type host struct {
	server   *oauth.Server
	web      *httptest.Server
	issuer   string
	tokenURL string
	clientID string
}

// startHost starts a host. The public half of key, with the given kid, is a credential of
// the host's key.
func startHost(key crypto.Signer, kid string, trusted ...trust.Issuer) (*host, error) {
	mux := http.NewServeMux()
	h := &host{web: httptest.NewServer(mux)}
	h.issuer, h.tokenURL = h.web.URL, h.web.URL+"/api/login"
	catalog, err := scope.NewCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}, {Name: "project.read"}}})
	if err != nil {
		return nil, err
	}
	h.server, err = oauth.New(memstore.New(), oauth.Config{
		Issuer: h.issuer, InsecureLoopback: true, Audience: []string{"https://api.example.com"}, Permissions: catalog,
		Resources: []apikey.Resource{{URI: "https://files.example.com"}}, Logger: slog.New(slog.DiscardHandler),
		TrustedIssuers: trusted,
	})
	if err != nil {
		return nil, err
	}
	for pattern, handler := range h.server.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /workspaces/{workspace}", h.server.Require("project.list").InPath("workspace")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprint(w, "hello, key of ", p.Workspace)
	})))
	jwk, err := publicJWK(key, kid)
	if err != nil {
		return nil, err
	}
	made, _, err := h.server.APIKeys().Create(context.Background(), apikey.OrganizationAdmin("operator"), apikey.Spec{
		Workspace: "team-a", Name: "deploy", Permissions: catalog.All(), Resources: []string{"https://files.example.com"}, NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "laptop", PublicKey: &store.PublicKey{JWK: jwk}}},
	})
	h.clientID = made.ID
	return h, err
}

// publicJWK returns the JWK of the public half of key.
func publicJWK(key crypto.Signer, kid string) (string, error) {
	algorithm, err := jose.DefaultAlgorithm(key)
	if err != nil {
		return "", err
	}
	data, err := jose.MarshalKeySet([]jose.PublicKey{{ID: kid, Algorithm: algorithm, Key: key.Public()}})
	if err != nil {
		return "", err
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return "", err
	}
	if kid == "" {
		delete(set.Keys[0], "kid")
	}
	jwk, err := json.Marshal(set.Keys[0])
	return string(jwk), err
}
