package mounting_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/julienschmidt/httprouter"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestHTTPRouter(t *testing.T) { holds(t, onHTTPRouter, false) }

// onHTTPRouter guards httprouter's own handlers. An http.Handler can read the parameters with
// httprouter.ParamsFromContext.
func onHTTPRouter(srv *oauth.Server) http.Handler {
	router := httprouter.New()
	handle := func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
		_ = json.NewEncoder(w).Encode(said(r.Context(), params.ByName("workspace"))) // fails only if the client has disconnected
	}
	guarded := func(guard bearer.Guard) httprouter.Handle {
		return func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
			if checked, ok := guard.Check(w, r, params.ByName("workspace")); ok {
				handle(w, checked, params)
			}
		}
	}
	router.GET("/workspaces/:workspace/projects", guarded(srv.Require("project.list")))
	router.GET("/workspaces/:workspace/invoices", guarded(srv.Require("billing.read")))
	router.GET("/forgotten/:team", guarded(srv.Require("project.list")))
	router.GET("/open", handle)
	return srv.Handler(router)
}
