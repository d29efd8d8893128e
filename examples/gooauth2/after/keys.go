package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/server"

	"github.com/latchkey-go/latchkey/examples/gooauth2/host"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// NewKeys returns the server that manages the service's API keys and signs their tokens. It
// has the service's permissions and policies.
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

// clientCredentials reads a client's id and secret from HTTP Basic or from the form. OAuth
// 2.0 clients send either, and most try Basic first (RFC 6749, section 2.3.1).
func clientCredentials(r *http.Request) (id, secret string, err error) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		return server.ClientFormHandler(r)
	}
	if r.PostFormValue("client_secret") != "" {
		return "", "", oautherrors.ErrInvalidRequest // a request may use one method only (section 2.3)
	}
	id, badID := url.QueryUnescape(id) // in Basic, both are encoded as in a form
	secret, badSecret := url.QueryUnescape(secret)
	if badID != nil || badSecret != nil {
		return "", "", oautherrors.ErrInvalidClient
	}
	return id, secret, nil
}

// challenge names a method in each 401 (RFC 6749, section 5.2).
func challenge(re *oautherrors.Response) {
	if re.StatusCode == http.StatusUnauthorized {
		re.SetHeader("WWW-Authenticate", `Basic realm="host"`)
	}
}

// projects is a handler. Before it runs, the guard checks the token, the permission
// and the workspace.
func projects(w http.ResponseWriter, r *http.Request) {
	host.Reply(w, map[string]any{"workspace": r.PathValue("workspace"), "projects": []string{"website", "pipeline"}})
}
