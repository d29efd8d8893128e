package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// service is a service that trusts the identities of one issuer.
type service struct {
	server *oauth.Server
	mux    *http.ServeMux
}

func newService(base, issuer string) (*service, error) {
	entry := trust.GitHubActions()
	entry.Issuer = issuer // in production leave this out: the entry names GitHub's own
	server, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:           base,
		InsecureLoopback: true, // plain http on this machine; in production leave it out, too
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list", Title: "List projects"},
		}}),
		TrustedIssuers: []trust.Issuer{entry},
		Logger:         slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for pattern, handler := range server.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /workspaces/{workspace}/projects", server.Require("project.list").InPath("workspace")(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			principal, _ := bearer.PrincipalFrom(r.Context())
			fmt.Fprintln(w, "the projects of", principal.Workspace)
		})))
	return &service{server, mux}, nil
}

// newKey creates a key without a secret, for the jobs of one repository in the
// environment production.
func (s *service) newKey(ctx context.Context) (apikey.Key, error) {
	permissions, err := scope.Of("project.list")
	if err != nil {
		return apikey.Key{}, err
	}
	key, _, err := s.server.APIKeys().Create(ctx, apikey.OrganizationAdmin("keyless"), apikey.Spec{
		Workspace:   "team-a",
		Name:        "deploy",
		Permissions: permissions,
		NoSecret:    true,
		Credentials: []apikey.CredentialSpec{{Name: "octo-repo", Trust: &store.Trust{
			Issuer: "github",
			Claims: []store.Claim{{Name: "repository_id", Value: "74"}, {Name: "environment", Value: "production"}},
		}}},
	})
	return key, err
}
