// Package server is a service on go-oauth2: users log in through
// authorization_code, and one route is for them. Programs log in with keys, and
// one route is for those.
package server

import (
	"net/http"

	"github.com/go-oauth2/oauth2/v4/generates"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/server"

	"github.com/latchkey-go/latchkey/examples/gooauth2/host"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
)

// New returns the service's routes.
func New(clients host.Clients, tokens *host.Tokens, keys *oauth.Server) http.Handler {
	manager := manage.NewDefaultManager()
	manager.MapClientStorage(gooauth2.NewClientStore(keys.APIKeys(), clients))
	manager.MapAccessGenerate(gooauth2.NewAccessGenerate(keys.APIKeys(), keys.Sign, generates.NewAccessGenerate()))
	manager.MapTokenStorage(gooauth2.NewTokenStore(tokens))

	web := server.NewDefaultServer(gooauth2.Manager{Manager: manager})
	web.SetClientInfoHandler(clientCredentials)
	web.SetResponseErrorHandler(challenge)
	web.SetUserAuthorizationHandler(host.User)

	mux := http.NewServeMux()
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		if err := web.HandleAuthorizeRequest(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if err := web.HandleTokenRequest(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		token, err := web.ValidationBearerToken(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		host.Reply(w, map[string]string{"user": token.GetUserID()})
	})
	mux.Handle("GET /.well-known/jwks.json", keys.JWKS())
	mux.Handle("GET /workspaces/{workspace}/projects", keys.Require("project.list").InPath("workspace")(http.HandlerFunc(projects)))
	return mux
}
