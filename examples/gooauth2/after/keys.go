package server

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/latchkey-go/latchkey/examples/gooauth2/host"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// NewKeys returns the server of the service's API keys, with its permissions and
// policies.
func NewKeys(issuer string) (*oauth.Server, error) {
	catalog, err := scope.NewCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
		{Name: "project.list", Title: "List projects"},
		{Name: "project.read", Title: "Read a project"},
	}})
	if err != nil {
		return nil, err
	}
	return oauth.New(memstore.New(), oauth.Config{
		Issuer:           issuer,
		InsecureLoopback: true, // plain http on this machine; in production the issuer is https
		Permissions:      catalog,
		Policy:           policy.All(policy.MaxKeys(10), policy.MaxLifetime(90*24*time.Hour)),
		APIKeys:          apikey.Options{Imported: true}, // imported clients keep their secrets
		Logger:           slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

// projects is a handler. Before it runs, the guard checks the token, the permission
// and the workspace.
func projects(w http.ResponseWriter, r *http.Request) {
	host.Reply(w, map[string]any{"workspace": r.PathValue("workspace"), "projects": []string{"website", "pipeline"}})
}
