package bearer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// A service that accepts tokens of https://api.example.com. In production the
// key set comes from the issuer's JWKS document, and the token from its login
// endpoint.
func Example() {
	jwks, token := issue("https://projects.example.com", "team-a", "project.list")

	keys, err := bearer.StaticKeys(jwks)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := bearer.New(bearer.Config{
		Issuer:    "https://api.example.com",
		Audiences: []string{"https://projects.example.com"},
		Keys:      keys,
		Realm:     "projects",
	})
	if err != nil {
		log.Fatal(err)
	}

	projects := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "key %s lists the projects of %s", p.KeyID, p.Workspace)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace}/projects", verifier.Require("project.list").InPath("workspace")(projects))
	mux.Handle("POST /workspaces/{workspace}/projects", verifier.Require("project.write").InPath("workspace")(projects))

	call := func(method, path, authorization string) {
		request := httptest.NewRequest(method, path, nil)
		request.Header.Set("Authorization", authorization)
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		fmt.Println(method, path, answer.Code)
		if answer.Code == http.StatusOK {
			fmt.Println(answer.Body)
		} else if challenge := answer.Header().Get("WWW-Authenticate"); challenge != "" {
			fmt.Println(challenge)
		}
	}
	call("GET", "/workspaces/team-a/projects", "Bearer "+token)
	call("GET", "/workspaces/team-b/projects", "Bearer "+token)
	call("POST", "/workspaces/team-a/projects", "Bearer "+token)
	call("GET", "/workspaces/team-a/projects", "")

	// Output:
	// GET /workspaces/team-a/projects 200
	// key key-1 lists the projects of team-a
	// GET /workspaces/team-b/projects 404
	// POST /workspaces/team-a/projects 403
	// Bearer realm="projects", error="insufficient_scope", error_description="The token lacks a permission that this request needs.", scope="project.write"
	// GET /workspaces/team-a/projects 401
	// Bearer realm="projects"
}

// issue acts as the authorization server.
func issue(audience, workspace, scopes string) (jwks []byte, token string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.ES256, "", key)
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now().Unix()
	token, err = signer.Sign(jose.AppendClaims(nil, &jose.Claims{
		Issuer: "https://api.example.com", Subject: "key-1", ClientID: "key-1", Audience: []string{audience},
		Scope: scopes, Workspace: workspace, TokenID: "token-1", IssuedAt: now, Expires: now + 600,
	}))
	if err != nil {
		log.Fatal(err)
	}
	jwks, err = jose.MarshalKeySet([]jose.PublicKey{signer.Public()})
	if err != nil {
		log.Fatal(err)
	}
	return jwks, token
}
