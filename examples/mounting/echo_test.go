package mounting_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-go/latchkey/oauth"
)

func TestEcho(t *testing.T) { holds(t, onEcho, false) }

func onEcho(srv *oauth.Server) http.Handler {
	router := echo.New()
	for path, handler := range srv.Routes() {
		router.Any(path, echo.WrapHandler(handler))
	}
	workspaces := router.Group("/workspaces/:workspace")
	workspaces.GET("/projects", echoHandler, echoGuard(srv.Require("project.list").InPath("workspace"), "workspace"))
	workspaces.GET("/invoices", echoHandler, echoGuard(srv.Require("billing.read").InPath("workspace"), "workspace"))
	router.GET("/forgotten/:workspace", echoHandler, echoGuard(srv.Require("project.list").InPath("workspace")))
	router.GET("/open", echoHandler)
	return router
}

// echoGuard makes Echo middleware of a guard. Echo keeps path values to
// itself, so those that the guard reads are handed on by name.
func echoGuard(guard func(http.Handler) http.Handler, pathValues ...string) echo.MiddlewareFunc {
	wrapped := echo.WrapMiddleware(guard)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		guarded := wrapped(next)
		return func(c echo.Context) error {
			for _, name := range pathValues {
				c.Request().SetPathValue(name, c.Param(name))
			}
			return guarded(c)
		}
	}
}

func echoHandler(c echo.Context) error {
	return c.JSON(http.StatusOK, answer(c.Request(), c.Param("workspace")))
}
