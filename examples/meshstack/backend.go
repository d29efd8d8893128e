package main

import (
	"context"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// newBackend puts the service together. cfg brings the issuer and the logger.
func newBackend(st store.Store, cfg oauth.Config, ws workspaces, s *secrets) (*oauth.Server, http.Handler, error) {
	cfg.Permissions = newCatalog()
	cfg.SealKeys = []oauth.SealKey{{Version: 1, Key: s.sealKey()}}
	cfg.Keys.Peppers = []apikey.Pepper{{Version: 1, Key: s.pepper()}}
	cfg.Keys.Workspaces = ws.check
	cfg.Keys.Management = apikey.Management{
		List: "APIKEY_LIST", Save: "APIKEY_SAVE", Delete: "APIKEY_DELETE",
		AdminList: "ADM_APIKEY_LIST", AdminSave: "ADM_APIKEY_SAVE", AdminDelete: "ADM_APIKEY_DELETE",
	}
	cfg.Keys.Defaults.Rules.MaxKeys = 100 // a workspace, until an administrator says otherwise
	srv, err := oauth.New(st, cfg)
	if err != nil {
		return nil, nil, err
	}

	// The login, and the documents about it.
	mux := http.NewServeMux()
	for pattern, handler := range srv.Routes() {
		mux.Handle(pattern, handler)
	}

	// Keys. The guard asks for the permission; in which workspaces it holds,
	// the key service decides.
	keys := keysAPI{srv.Keys()}
	handle := func(pattern, permission string, serve func(*http.Request) (int, any, error)) {
		guard := srv.Require(permission).Or("ADM_" + permission).AnyWorkspace()
		mux.Handle(pattern, guard(speaking(keyMedia, cfg.Logger, serve)))
	}
	handle("POST /api/meshobjects/meshapikeys", "APIKEY_SAVE", keys.create)
	handle("GET /api/meshobjects/meshapikeys/{uuid}", "APIKEY_LIST", keys.get)
	handle("PUT /api/meshobjects/meshapikeys/{uuid}", "APIKEY_SAVE", keys.replace)
	handle("DELETE /api/meshobjects/meshapikeys/{uuid}", "APIKEY_DELETE", keys.remove)

	// Keys once more, and settings, events and usage: the library's own API,
	// here for programs with a token.
	manage, err := admin.New(srv.Keys(), admin.Config{Authorize: admin.Bearer(srv.Verifier()), CursorKey: s.cursorKey(), Logger: cfg.Logger})
	if err != nil {
		return nil, nil, err
	}
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", manage))

	// What the tokens are for.
	guard := srv.Require("WORKSPACE_LIST").Or("ADM_WORKSPACE_LIST")
	mux.Handle("GET /api/meshobjects/meshworkspaces", guard.AnyWorkspace()(http.HandlerFunc(ws.list)))
	mux.Handle("GET /api/meshobjects/meshworkspaces/{workspace}", guard.In("workspace")(http.HandlerFunc(ws.get)))

	mux.HandleFunc("GET /mesh/info", info)
	mux.HandleFunc("GET /health", health(srv))
	return srv, mux, nil
}

// info tells clients which version of meshStack this resembles.
func info(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, "application/json", map[string]any{
		"version":                  "2026.34.0", // the least that the provider takes
		"is4EPEnabled":             false,
		"metadata":                 map[string]string{},
		"adminWorkspaceIdentifier": adminWorkspace,
	})
}

// health says whether a login could be decided now.
func health(srv *oauth.Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, word := http.StatusOK, "UP"
		if _, err := srv.Keys().Settings(ctx, host()); err != nil {
			status, word = http.StatusServiceUnavailable, "DOWN"
		}
		reply(w, status, "application/json", map[string]string{"status": word})
	}
}
