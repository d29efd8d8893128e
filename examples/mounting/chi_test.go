package mounting_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
)

func TestChi(t *testing.T) { testMount(t, onChi, false) }

// onChi needs no adapter: chi takes http.Handlers and middleware, and sets the request's path
// values.
func onChi(a app) http.Handler {
	router := chi.NewRouter()
	for path, handler := range a.Routes() {
		router.Handle(path, handler) // for every method: the handlers answer 405 themselves
	}
	router.Mount("/api/admin", http.StripPrefix("/api/admin", a.management))
	router.Mount("/console", http.StripPrefix("/console", a.console))
	projects := a.Require("project.list").InPath("workspace")
	invoices := a.Require("billing.read").InPath("workspace")
	router.Route("/workspaces/{workspace}", func(router chi.Router) {
		router.With(projects).Get("/projects", chiHandler)
		router.With(invoices).Get("/invoices", chiHandler)
	})
	router.With(a.Require("project.list").InPath("another-name")).Get("/forgotten/{workspace}", chiHandler)
	router.Get("/open", chiHandler)
	return router
}

func chiHandler(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(answerOf(r.Context(), r.PathValue("workspace"))) // fails only if the client has disconnected
}
