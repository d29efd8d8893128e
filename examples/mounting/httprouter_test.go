package mounting_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/julienschmidt/httprouter"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestHTTPRouter(t *testing.T) { testMount(t, onHTTPRouter, false) }

// onHTTPRouter guards httprouter's own handlers. An http.Handler can read the parameters with
// httprouter.ParamsFromContext.
func onHTTPRouter(a app) http.Handler {
	router := httprouter.New()
	handle := func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
		_ = json.NewEncoder(w).Encode(answerOf(r.Context(), params.ByName("workspace"))) // fails only if the client has disconnected
	}
	guarded := func(guard bearer.Guard) httprouter.Handle {
		return func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
			if checked, ok := guard.Check(w, r, params.ByName("workspace")); ok {
				handle(w, checked, params)
			}
		}
	}
	// httprouter has no route for every method, so these two go in front of it.
	mux := http.NewServeMux()
	mux.Handle("/", router)
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", a.management))
	mux.Handle("/console/", http.StripPrefix("/console", a.console))
	router.GET("/workspaces/:workspace/projects", guarded(a.Require("project.list")))
	router.GET("/workspaces/:workspace/invoices", guarded(a.Require("billing.read")))
	router.GET("/forgotten/:team", guarded(a.Require("project.list")))
	router.GET("/open", handle)
	return a.Handler(mux)
}
