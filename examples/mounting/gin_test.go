package mounting_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestGin(t *testing.T) {
	gin.SetMode(gin.TestMode)
	testMount(t, onGin, true)
}

func onGin(a app) http.Handler {
	router := gin.New()
	// By default Gin matches the decoded path, where an escaped slash in an id would end the
	// segment.
	router.UseRawPath = true
	for path, handler := range a.Routes() {
		router.Any(path, gin.WrapH(handler))
	}
	router.Any("/api/admin/*path", gin.WrapH(http.StripPrefix("/api/admin", a.management)))
	router.Any("/console/*path", gin.WrapH(http.StripPrefix("/console", a.console)))
	workspaces := router.Group("/workspaces/:workspace")
	workspaces.GET("/projects", ginGuard(a.Require("project.list")), ginHandler)
	workspaces.GET("/invoices", ginGuard(a.Require("billing.read")), ginHandler)
	router.GET("/forgotten/:team", ginGuard(a.Require("project.list")), ginHandler)
	router.GET("/open", ginHandler)
	return router
}

// ginGuard converts a guard to Gin middleware. After a refusal it calls Abort. Otherwise Gin
// would call the next handlers, and their answers would follow the refusal.
func ginGuard(guard bearer.Guard) gin.HandlerFunc {
	return func(c *gin.Context) {
		r, ok := guard.Check(c.Writer, c.Request, c.Param("workspace"))
		if !ok {
			c.Abort()
			return
		}
		c.Request = r // it carries the principal
	}
}

// TestGinRefusalIsTheOnlyAnswer: after a refusal neither handlers nor other middleware of the
// group run.
func TestGinRefusalIsTheOnlyAnswer(t *testing.T) {
	gin.SetMode(gin.TestMode)
	var ran []string
	follows := func(name string) gin.HandlerFunc {
		return func(c *gin.Context) {
			ran = append(ran, name)
			c.String(http.StatusOK, name)
		}
	}
	h := serve(t, func(a app) http.Handler {
		router := gin.New()
		for path, handler := range a.Routes() {
			router.Any(path, gin.WrapH(handler))
		}
		workspace := router.Group("/workspaces/:workspace", ginGuard(a.Require("project.list")), follows("middleware"))
		workspace.GET("/projects", follows("first"), follows("second"))
		return router
	})
	id, secret := h.newKey(t, "team-a")
	token := h.login(t, id, secret)
	for _, c := range []struct{ workspace, token, code string }{
		{"team-b", token, "not_found"}, {"team-a", "", "unauthorized"}, {"team-a", token + "x", "invalid_token"},
	} {
		_, _, body := h.get(t, "/workspaces/"+c.workspace+"/projects", c.token)
		var refusal map[string]string
		require.NoError(t, json.Unmarshal([]byte(body), &refusal), "one JSON text and nothing after it: %s", body)
		require.Equal(t, c.code, refusal["error"])
	}
	require.Empty(t, ran)
	_, _, body := h.get(t, "/workspaces/team-a/projects", token)
	require.Equal(t, "middlewarefirstsecond", body)
}

func ginHandler(c *gin.Context) {
	c.JSON(http.StatusOK, answerOf(c.Request.Context(), c.Param("workspace")))
}
