package main

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// workspaces are those that the backend knows. A real service asks its own
// records.
type workspaces []string

// adminWorkspace always exists; the key of -bootstrap belongs to it.
const adminWorkspace = "admin"

func parseWorkspaces(list string) workspaces {
	ids := strings.FieldsFunc(adminWorkspace+","+list, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(ids)
	return slices.Compact(ids)
}

// check is apikey.Config.Workspaces: asked when a key is made, and at login.
func (ws workspaces) check(_ context.Context, id string) error {
	if !slices.Contains(ws, id) {
		return apikey.ErrWorkspaceUnknown
	}
	return nil
}

const workspaceMedia = "application/vnd.meshcloud.api.meshworkspace.v2.hal+json"

func workspaceObject(id string) map[string]any {
	return map[string]any{
		"apiVersion": "v2", "kind": "meshWorkspace",
		"metadata": map[string]any{"name": id, "tags": map[string]any{}},
		"spec":     map[string]any{"displayName": id},
	}
}

// get is behind a guard that let the token into this workspace.
func (ws workspaces) get(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("workspace")
	if !slices.Contains(ws, id) {
		reply(w, http.StatusNotFound, "application/json", refusal{Message: "There is no such workspace."})
		return
	}
	reply(w, http.StatusOK, workspaceMedia, workspaceObject(id))
}

// list shows the token's own workspace or, with the admin permission, all.
func (ws workspaces) list(w http.ResponseWriter, r *http.Request) {
	objects := []map[string]any{}
	if p, ok := bearer.PrincipalFrom(r.Context()); ok {
		for _, id := range ws {
			if id == p.Workspace || p.Permissions.Has("ADM_WORKSPACE_LIST") {
				objects = append(objects, workspaceObject(id))
			}
		}
	}
	reply(w, http.StatusOK, workspaceMedia, map[string]any{
		"_embedded": map[string]any{"meshWorkspaces": objects},
		"page":      map[string]int{"size": len(objects), "totalElements": len(objects), "totalPages": 1, "number": 0},
	})
}
