package mounting_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestHuma(t *testing.T) { testMount(t, onHuma, true) }

// onHuma guards operations whose handlers have no http.Request.
func onHuma(a app) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", a.management))
	mux.Handle("/console/", http.StripPrefix("/console", a.console))
	config := huma.DefaultConfig("The host's API", "1")
	config.CreateHooks = nil // no "$schema" in answers, which the tests compare
	api := humago.New(mux, config)
	operation := func(id, path string, guard func(huma.Context, func(huma.Context))) {
		huma.Register(api, huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Middlewares: huma.Middlewares{guard}}, humaHandler)
	}
	operation("projects", "/workspaces/{workspace}/projects", humaGuard(a.Require("project.list")))
	operation("invoices", "/workspaces/{workspace}/invoices", humaGuard(a.Require("billing.read")))
	operation("forgotten", "/forgotten/{team}", humaGuard(a.Require("project.list")))
	huma.Get(api, "/open", func(ctx context.Context, _ *struct{}) (*humaOutput, error) {
		return &humaOutput{answerOf(ctx, "")}, nil
	})
	return a.Handler(mux)
}

// humaGuard converts a guard to Huma middleware, with Huma's adapter for net/http. With another
// adapter use Verifier.Authorize and huma.WriteErr.
func humaGuard(guard bearer.Guard) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(c)
		if checked, ok := guard.Check(w, r, c.Param("workspace")); ok {
			next(huma.WithContext(c, checked.Context())) // it carries the principal
		}
	}
}

type humaInput struct {
	Workspace string `path:"workspace"`
}

type humaOutput struct{ Body map[string]string }

func humaHandler(ctx context.Context, in *humaInput) (*humaOutput, error) {
	return &humaOutput{answerOf(ctx, in.Workspace)}, nil
}
