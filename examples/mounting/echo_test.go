package mounting_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestEcho(t *testing.T) { testMount(t, onEcho, false) }

func onEcho(a app) http.Handler {
	router := echo.New()
	for path, handler := range a.Routes() {
		router.Any(path, echo.WrapHandler(handler))
	}
	router.Any("/api/admin/*", echo.WrapHandler(http.StripPrefix("/api/admin", a.management)))
	router.Any("/console*", echo.WrapHandler(http.StripPrefix("/console", a.console)))
	workspaces := router.Group("/workspaces/:workspace")
	workspaces.GET("/projects", echoHandler, echoGuard(a.Require("project.list")))
	workspaces.GET("/invoices", echoHandler, echoGuard(a.Require("billing.read")))
	router.GET("/forgotten/:team", echoHandler, echoGuard(a.Require("project.list")))
	router.GET("/open", echoHandler)
	return router
}

// echoGuard converts a guard to Echo middleware.
func echoGuard(guard bearer.Guard) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r, ok := guard.Check(c.Response(), c.Request(), c.Param("workspace"))
			if !ok {
				return nil // the guard has written the answer
			}
			c.SetRequest(r) // it carries the principal
			return next(c)
		}
	}
}

func echoHandler(c echo.Context) error {
	return c.JSON(http.StatusOK, answerOf(c.Request().Context(), c.Param("workspace")))
}
