package mounting_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-go/latchkey/oauth"
)

func TestGin(t *testing.T) {
	gin.SetMode(gin.TestMode)
	holds(t, onGin, true)
}

func onGin(srv *oauth.Server) http.Handler {
	router := gin.New()
	// Gin matches the decoded path unless told otherwise; then an escaped
	// slash inside of an id would end the segment.
	router.UseRawPath = true
	for path, handler := range srv.Routes() {
		router.Any(path, gin.WrapH(handler))
	}
	workspaces := router.Group("/workspaces/:workspace")
	workspaces.GET("/projects", ginGuard(srv.Require("project.list").InPath("workspace"), "workspace"), ginHandler)
	workspaces.GET("/invoices", ginGuard(srv.Require("billing.read").InPath("workspace"), "workspace"), ginHandler)
	router.GET("/forgotten/:workspace", ginGuard(srv.Require("project.list").InPath("workspace")), ginHandler)
	router.GET("/open", ginHandler)
	return router
}

// ginGuard makes Gin middleware of a guard. Gin keeps path values to itself,
// so those that the guard reads are handed on by name.
func ginGuard(guard func(http.Handler) http.Handler, pathValues ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		for _, name := range pathValues {
			c.Request.SetPathValue(name, c.Param(name))
		}
		passed := false
		guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r // it carries the principal
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

func ginHandler(c *gin.Context) {
	c.JSON(http.StatusOK, answer(c.Request, c.Param("workspace")))
}
