package mounting_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/latchkey-go/latchkey/oauth"
)

func TestChi(t *testing.T) { holds(t, onChi, false) }

// onChi needs no adapter: chi takes http.Handlers and middleware, and sets the request's path
// values.
func onChi(srv *oauth.Server) http.Handler {
	router := chi.NewRouter()
	for path, handler := range srv.Routes() {
		router.Handle(path, handler) // for every method: the handlers answer 405 themselves
	}
	projects := srv.Require("project.list").InPath("workspace")
	invoices := srv.Require("billing.read").InPath("workspace")
	router.Route("/workspaces/{workspace}", func(router chi.Router) {
		router.With(projects).Get("/projects", chiHandler)
		router.With(invoices).Get("/invoices", chiHandler)
	})
	router.With(srv.Require("project.list").InPath("another-name")).Get("/forgotten/{workspace}", chiHandler)
	router.Get("/open", chiHandler)
	return router
}

func chiHandler(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(said(r.Context(), r.PathValue("workspace"))) // fails only if the client has disconnected
}
