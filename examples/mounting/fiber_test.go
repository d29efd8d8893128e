package mounting_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestFiber(t *testing.T) { holds(t, onFiber, true) }

func onFiber(a app) http.Handler {
	app := fiber.New()
	for path, handler := range a.Routes() {
		app.All(path, adaptor.HTTPHandler(handler))
	}
	app.All("/api/admin/*", adaptor.HTTPHandler(http.StripPrefix("/api/admin", a.management)))
	app.All("/console/*", adaptor.HTTPHandler(http.StripPrefix("/console", a.console)))
	app.Get("/workspaces/:workspace/projects", fiberGuard(a.Require("project.list")), fiberHandler)
	app.Get("/workspaces/:workspace/invoices", fiberGuard(a.Require("billing.read")), fiberHandler)
	app.Get("/forgotten/:team", fiberGuard(a.Require("project.list")), fiberHandler)
	app.Get("/open", fiberHandler)
	return adaptor.FiberApp(app) // for the test's server; a service calls app.Listen
}

// fiberGuard converts a guard to Fiber middleware. Fiber is built on fasthttp, so the guard
// gets a copy of the request. The principal is passed on in Fiber's context.
func fiberGuard(guard bearer.Guard) fiber.Handler {
	return func(c fiber.Ctx) error {
		var principal *bearer.Principal
		err := adaptor.HTTPHandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if checked, ok := guard.Check(w, r, fiberParam(c, "workspace")); ok {
				principal, _ = bearer.PrincipalFrom(checked.Context())
			}
		})(c)
		if err != nil || principal == nil { // the guard has written the answer
			return err
		}
		c.SetContext(bearer.WithPrincipal(c.Context(), principal))
		return c.Next()
	}
}

func fiberHandler(c fiber.Ctx) error {
	return c.JSON(said(c.Context(), fiberParam(c, "workspace")))
}

// fiberParam unescapes a path value, because Fiber does not. (With fiber.Config.UnescapePath
// it does, but also converts '+' to a space.)
func fiberParam(c fiber.Ctx, name string) string {
	value, err := url.PathUnescape(c.Params(name))
	if err != nil {
		return "" // every guard refuses it
	}
	return value
}
