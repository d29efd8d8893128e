package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/examples/signin"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/store"
)

// newBackend builds the service. cfg holds the issuer and the logger. The console is served
// only with devLogin, because this program has no users.
func newBackend(st store.Store, cfg oauth.Config, ws workspaces, s *secrets, devLogin bool) (*oauth.Server, http.Handler, error) {
	cfg.Permissions = newCatalog()
	cfg.SealKeys = []oauth.SealKey{{Version: 1, Key: s.sealKey()}}
	cfg.APIKeys.Peppers = []apikey.Pepper{{Version: 1, Key: s.pepper()}}
	cfg.APIKeys.Workspaces = ws.check
	cfg.APIKeys.Management = apikey.Management{List: "APIKEY_LIST", Save: "APIKEY_SAVE", Delete: "APIKEY_DELETE",
		AdminList: "ADM_APIKEY_LIST", AdminSave: "ADM_APIKEY_SAVE", AdminDelete: "ADM_APIKEY_DELETE"}
	cfg.APIKeys.DefaultRules.MaxKeys = 100 // per workspace, until an administrator changes the settings
	srv, err := oauth.New(st, cfg)
	if err != nil {
		return nil, nil, err
	}

	// The login and its metadata.
	mux := http.NewServeMux()
	for pattern, handler := range srv.Routes() {
		mux.Handle(pattern, handler)
	}

	// Keys. The guard checks the permission; the key service decides in which workspaces it
	// applies.
	keys := keysAPI{srv.APIKeys()}
	handle := func(pattern, permission string, serve func(*http.Request) (int, any, error)) {
		guard := srv.Require(permission).Or("ADM_" + permission).AnyWorkspace()
		mux.Handle(pattern, guard(jsonHandler(keyMedia, cfg.Logger, serve)))
	}
	handle("POST /api/meshobjects/meshapikeys", "APIKEY_SAVE", keys.create)
	handle("GET /api/meshobjects/meshapikeys/{uuid}", "APIKEY_LIST", keys.get)
	handle("PUT /api/meshobjects/meshapikeys/{uuid}", "APIKEY_SAVE", keys.replace)
	handle("DELETE /api/meshobjects/meshapikeys/{uuid}", "APIKEY_DELETE", keys.remove)

	// The router's own answer to a wrong method is not JSON.
	for _, path := range [][2]string{{"meshapikeys", "POST"}, {"meshapikeys/{uuid}", "GET, HEAD, PUT, DELETE"}, {"meshworkspaces", "GET, HEAD"}, {"meshworkspaces/{workspace}", "GET, HEAD"}} {
		mux.HandleFunc("/api/meshobjects/"+path[0], func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", path[1])
			reply(w, http.StatusMethodNotAllowed, "application/json", refusal{Message: "This path supports " + path[1] + "."})
		})
	}

	// The library's own API for keys, settings, events and usage, for programs with a token.
	manage, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier()), CursorKey: s.cursorKey(), Logger: cfg.Logger})
	if err != nil {
		return nil, nil, err
	}
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", manage))

	// The library's console, for people.
	if devLogin {
		pages, err := signin.Console("/console", srv.APIKeys(), people(ws), console.Config{Key: s.cursorKey(), LoginURL: cfg.Issuer + "/api/login", Logger: cfg.Logger})
		if err != nil {
			return nil, nil, err
		}
		mux.Handle("/console/", pages)
	}

	// The routes that need a token.
	guard := srv.Require("WORKSPACE_LIST").Or("ADM_WORKSPACE_LIST")
	mux.Handle("GET /api/meshobjects/meshworkspaces", guard.AnyWorkspace()(http.HandlerFunc(ws.list)))
	mux.Handle("GET /api/meshobjects/meshworkspaces/{workspace}", guard.InPath("workspace")(http.HandlerFunc(ws.get)))

	mux.HandleFunc("GET /mesh/info", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, "application/json", json.RawMessage(info))
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { // whether logins work now
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, word := http.StatusOK, "UP"
		if _, err := srv.APIKeys().Settings(ctx, host()); err != nil {
			status, word = http.StatusServiceUnavailable, "DOWN"
		}
		reply(w, status, "application/json", map[string]string{"status": word})
	})
	return srv, mux, nil
}

// info tells clients the version of meshStack that this program is compatible with: the
// lowest that the provider accepts. Older releases of the provider accept 2026.34.0 or
// later.
const info = `{"version":"2026.36.0","is4EPEnabled":false,"metadata":{},"adminWorkspaceIdentifier":"` + adminWorkspace + `"}`

// people are the people who can sign in with -dev-login.
func people(ws workspaces) []console.Person {
	last := ws[len(ws)-1:]
	return []console.Person{
		{Actor: apikey.OrganizationAdmin("ada"), Name: "Ada, administrator", Workspaces: ws},
		{Actor: apikey.Owner("olga", last...), Name: "Olga, owner of " + last[0], Workspaces: last},
		{Actor: apikey.Owner("max", last...), Name: "Max, manager of " + last[0], Workspaces: last},
		{Actor: apikey.Owner("sam"), Name: "Sam, in no workspace"},
	}
}

// workspaces are the workspaces of the backend. A real service reads its own records.
type workspaces []string

// adminWorkspace always exists; the key of -bootstrap belongs to it.
const adminWorkspace = "admin"

func parseWorkspaces(list string) workspaces {
	ids := strings.FieldsFunc(adminWorkspace+","+list, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(ids)
	return slices.Compact(ids)
}

// check is apikey.Options.Workspaces. It is called when a key is created and at logins.
func (ws workspaces) check(_ context.Context, id string) (bool, error) {
	return slices.Contains(ws, id), nil
}

const workspaceMedia = "application/vnd.meshcloud.api.meshworkspace.v2.hal+json"

func workspaceObject(id string) map[string]any {
	return map[string]any{"apiVersion": "v2", "kind": "meshWorkspace",
		"metadata": map[string]any{"name": id, "tags": map[string]any{}}, "spec": map[string]any{"displayName": id}}
}

// get runs behind a guard, which has checked that the token reaches this workspace.
func (ws workspaces) get(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("workspace")
	if !slices.Contains(ws, id) {
		reply(w, http.StatusNotFound, "application/json", refusal{Message: "There is no such workspace."})
		return
	}
	reply(w, http.StatusOK, workspaceMedia, workspaceObject(id))
}

// list sends the token's own workspace or, with the admin permission, all workspaces.
func (ws workspaces) list(w http.ResponseWriter, r *http.Request) {
	objects := []map[string]any{}
	p, _ := bearer.PrincipalFrom(r.Context()) // the guard has set it
	for _, id := range ws {
		if id == p.Workspace || p.Permissions.Has("ADM_WORKSPACE_LIST") {
			objects = append(objects, workspaceObject(id))
		}
	}
	reply(w, http.StatusOK, workspaceMedia, map[string]any{"_embedded": map[string]any{"meshWorkspaces": objects},
		"page": map[string]int{"size": len(objects), "totalElements": len(objects), "totalPages": 1, "number": 0}})
}
