package mounting_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"
)

func TestEcho5(t *testing.T) { testMount(t, onEcho5, false) }

// onEcho5 needs no adapter: Echo 5 sets the request's path values, and its WrapMiddleware takes
// the guard.
func onEcho5(a app) http.Handler {
	router := echo.New()
	for path, handler := range a.Routes() {
		router.Any(path, echo.WrapHandler(handler))
	}
	router.Any("/api/admin/*", echo.WrapHandler(http.StripPrefix("/api/admin", a.management)))
	router.Any("/console*", echo.WrapHandler(http.StripPrefix("/console", a.console)))
	projects := echo.WrapMiddleware(a.Require("project.list").InPath("workspace"))
	invoices := echo.WrapMiddleware(a.Require("billing.read").InPath("workspace"))
	workspaces := router.Group("/workspaces/:workspace")
	workspaces.GET("/projects", echo5Handler, projects)
	workspaces.GET("/invoices", echo5Handler, invoices)
	router.GET("/forgotten/:team", echo5Handler, projects)
	router.GET("/open", echo5Handler)
	return router
}

func echo5Handler(c *echo.Context) error {
	return c.JSON(http.StatusOK, answerOf(c.Request().Context(), c.Param("workspace")))
}
