package mounting_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/gorilla/mux"
)

func TestGorilla(t *testing.T) { testMount(t, onGorilla, false) }

// onGorilla uses InFunc to read the path values of gorilla/mux.
func onGorilla(a app) http.Handler {
	router := mux.NewRouter()
	workspace := func(r *http.Request) string { return mux.Vars(r)["workspace"] }
	handle := func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(answerOf(r.Context(), workspace(r))) // fails only if the client has disconnected
	}
	guarded := func(permission string) http.Handler {
		return a.Require(permission).InFunc(workspace)(http.HandlerFunc(handle))
	}
	router.PathPrefix("/api/admin/").Handler(http.StripPrefix("/api/admin", a.management))
	router.PathPrefix("/console").Handler(http.StripPrefix("/console", a.console))
	router.Handle("/workspaces/{workspace}/projects", guarded("project.list")).Methods(http.MethodGet)
	router.Handle("/workspaces/{workspace}/invoices", guarded("billing.read")).Methods(http.MethodGet)
	router.Handle("/forgotten/{team}", guarded("project.list")).Methods(http.MethodGet)
	router.HandleFunc("/open", handle).Methods(http.MethodGet)
	return a.Handler(router)
}
