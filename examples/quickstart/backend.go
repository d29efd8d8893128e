package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// backend is an existing service of a team, with API keys added.
type backend struct {
	server *oauth.Server
	mux    *http.ServeMux
	facts  facts
}

// facts are the URLs and credentials that -json prints.
type facts struct {
	BaseURL      string    `json:"base_url"`
	Issuer       string    `json:"issuer"`
	TokenURL     string    `json:"token_url"`
	JWKSURL      string    `json:"jwks_url"`
	MetadataURL  string    `json:"metadata_url"`
	ClientID     string    `json:"client_id"`
	ClientSecret string    `json:"client_secret"`
	Scopes       scope.Set `json:"scopes"`
	Workspace    string    `json:"workspace"`
	ProtectedURL string    `json:"protected_url"`
	ForbiddenURL string    `json:"forbidden_url"`
	ForeignURL   string    `json:"foreign_url"`
}

func newBackend(ctx context.Context, base string, signers []oauth.SigningKey) (*backend, error) {
	// 1. List the permissions.
	catalog, err := scope.NewCatalog(
		scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list", Title: "List projects"},
			{Name: "project.read", Title: "Read a project"},
			{Name: "project.delete", Title: "Delete a project"},
		}},
		scope.Group{Title: "Billing", Permissions: []scope.Permission{
			{Name: "billing.read", Title: "Read invoices"},
		}},
	)
	if err != nil {
		return nil, err
	}

	// 2. Create the server, with its URL, permissions and policies.
	server, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:           base,
		InsecureLoopback: true, // plain http on this machine; in production the issuer is https
		Permissions:      catalog,
		Policy:           policy.All(policy.MaxKeys(10), policy.MaxLifetime(90*24*time.Hour)),
		Signers:          signers,
		// In production: ask your own database which workspaces exist.
		APIKeys: apikey.Options{Workspaces: func(_ context.Context, workspace string) (bool, error) {
			return workspace == "team-a" || workspace == "team-b", nil
		}},
		Resource:    base, // so the guards' challenges name the metadata, which leads clients to the login
		OpenIDAlias: true,
		// MCP SDKs do not read metadata without it.
		AuthorizationPath: "/authorize",
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}

	// 3. Mount the login and the metadata, and guard the routes.
	mux := http.NewServeMux()
	for pattern, handler := range server.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /workspaces/{workspace}/projects",
		server.Require("project.list").InPath("workspace")(http.HandlerFunc(listProjects)))
	mux.Handle("GET /workspaces/{workspace}/invoices",
		server.Require("billing.read").InPath("workspace")(http.HandlerFunc(listInvoices)))

	// 4. Create a key. Its secret cannot be read later.
	permissions, err := scope.Of("project.list", "project.read")
	if err != nil {
		return nil, err
	}
	key, secret, err := server.APIKeys().Create(ctx, apikey.OrganizationAdmin("quickstart"), apikey.Spec{
		Workspace:   "team-a",
		Name:        "ci",
		Permissions: permissions,
		Expiry:      apikey.Expiry{At: time.Now().Add(30 * 24 * time.Hour)},
	})
	if err != nil {
		return nil, err
	}
	return &backend{server: server, mux: mux, facts: facts{
		BaseURL:      base,
		Issuer:       base,
		TokenURL:     base + "/api/login",
		JWKSURL:      base + "/.well-known/jwks.json",
		MetadataURL:  base + "/.well-known/oauth-authorization-server",
		ClientID:     key.ID,
		ClientSecret: secret.Reveal(),
		Scopes:       key.Permissions,
		Workspace:    key.Workspace,
		ProtectedURL: base + "/workspaces/team-a/projects",
		ForbiddenURL: base + "/workspaces/team-a/invoices",
		ForeignURL:   base + "/workspaces/team-b/projects",
	}}, nil
}

// listProjects is a handler of the host. Before it runs, the guard checks the token,
// the permission and the workspace.
func listProjects(w http.ResponseWriter, r *http.Request) {
	principal, ok := bearer.PrincipalFrom(r.Context())
	if !ok {
		http.Error(w, "no principal: the route has no guard", http.StatusInternalServerError)
		return
	}
	reply(w, map[string]any{"workspace": principal.Workspace, "projects": []string{"website", "pipeline"}})
}

func listInvoices(w http.ResponseWriter, r *http.Request) {
	reply(w, map[string]any{"workspace": r.PathValue("workspace"), "invoices": []string{}})
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart: reply:", err)
	}
}
