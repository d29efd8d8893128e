package mounting_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/csrf"
	"github.com/justinas/nosurf"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/rs/cors"
	"github.com/stretchr/testify/require"
)

// wrap is a middleware of a host. It may ask the server about a request.
type wrap func(a app) func(http.Handler) http.Handler

// hostRoutes returns the host's own routes.
func hostRoutes(a app) http.Handler {
	handle := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	mux := http.NewServeMux()
	mux.Handle("POST /workspaces/{workspace}/projects", a.Require("project.list").InPath("workspace")(http.HandlerFunc(handle)))
	return mux
}

// mountBeside mounts the management API and the console beside the host's routes.
func mountBeside(a app, host http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", a.management))
	pages := http.StripPrefix("/console", a.console)
	mux.Handle("/console", pages)
	mux.Handle("/console/", pages)
	mux.Handle("/", host)
	return mux
}

// inFront puts the middleware in front of everything.
func inFront(w wrap) mount {
	return func(a app) http.Handler { return w(a)(a.Handler(mountBeside(a, hostRoutes(a)))) }
}

// inFrontOfHostRoutes puts the middleware in front of the host's own routes only.
func inFrontOfHostRoutes(w wrap) mount {
	return func(a app) http.Handler { return a.Handler(mountBeside(a, w(a)(hostRoutes(a)))) }
}

// middlewareOf is a wrap that does not ask the server.
func middlewareOf(m func(http.Handler) http.Handler) wrap {
	return func(app) func(http.Handler) http.Handler { return m }
}

// onEchoBehind puts Echo's middleware in front of everything.
func onEchoBehind(add func(*echo.Echo, app)) mount {
	return func(a app) http.Handler {
		router := echo.New()
		add(router, a)
		router.Any("/*", echo.WrapHandler(a.Handler(mountBeside(a, hostRoutes(a)))))
		return router
	}
}

// TestMiddleware sends the same requests through each middleware of "Behind your middleware"
// (oauth/MIDDLEWARE.md).
func TestMiddleware(t *testing.T) {
	surf := middlewareOf(func(next http.Handler) http.Handler { return nosurf.New(next) })
	surfExempt := func(a app) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			h := nosurf.New(next)
			h.ExemptFunc(a.Carries)
			return h
		}
	}
	protect := csrf.Protect([]byte("a key of the tests, 32 bytes long"[:32]), csrf.Secure(false))
	protectExempt := func(a app) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			protected := protect(next)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if a.Carries(r) {
					r = csrf.UnsafeSkipCheck(r)
				}
				protected.ServeHTTP(w, r)
			})
		}
	}
	echoCSRF := func(router *echo.Echo, a app) {
		router.Use(echomiddleware.CSRFWithConfig(echomiddleware.CSRFConfig{Skipper: func(c echo.Context) bool { return a.Carries(c.Request()) }}))
	}
	// answers are the statuses of five requests: a login, a new key by the management API, the
	// host's own route, the console's first page, and the console's form of a new key.
	type answers struct{ login, manage, own, page, form int }
	all := answers{http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusOK, http.StatusCreated}
	for _, c := range []struct {
		name  string
		mount mount
		want  answers
	}{
		{"none", inFront(middlewareOf(func(next http.Handler) http.Handler { return next })), all},

		{"CSRF nosurf", inFront(surf), answers{400, 400, 400, 200, 400}},
		{"CSRF nosurf, tokens exempt", inFront(surfExempt), answers{400, 201, 204, 200, 400}},
		{"CSRF nosurf, only the host's routes, tokens exempt", inFrontOfHostRoutes(surfExempt), all},
		{"CSRF gorilla", inFront(middlewareOf(protect)), answers{403, 403, 403, 200, 403}},
		{"CSRF gorilla, tokens exempt", inFront(protectExempt), answers{403, 201, 204, 200, 403}},
		{"CSRF gorilla, only the host's routes, tokens exempt", inFrontOfHostRoutes(protectExempt), all},
		{"CSRF Echo", onEchoBehind(func(router *echo.Echo, _ app) { router.Use(echomiddleware.CSRF()) }), answers{400, 400, 400, 200, 201}},
		{"CSRF Echo, tokens exempt", onEchoBehind(echoCSRF), answers{400, 201, 204, 200, 201}},
		{"CSRF net/http", inFront(middlewareOf(http.NewCrossOriginProtection().Handler)), all},

		{"slashes chi RedirectSlashes", inFront(middlewareOf(middleware.RedirectSlashes)), all},
		{"slashes chi StripSlashes", inFront(middlewareOf(middleware.StripSlashes)), all},
		{"slashes Echo RemoveTrailingSlash, redirecting", onEchoBehind(func(router *echo.Echo, _ app) {
			router.Pre(echomiddleware.RemoveTrailingSlashWithConfig(echomiddleware.TrailingSlashConfig{RedirectCode: http.StatusMovedPermanently}))
		}), all},
		{"slashes Echo AddTrailingSlash", onEchoBehind(func(router *echo.Echo, _ app) { router.Pre(echomiddleware.AddTrailingSlash()) }),
			answers{404, 404, 404, 200, 403}},

		{"compression chi", inFront(middlewareOf(middleware.Compress(5))), all},
		{"http.TimeoutHandler", inFront(middlewareOf(func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") })), all},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serve(t, c.mount)
			id, secret := h.newKey(t, "team-a")
			login := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}.Encode()
			var got answers
			got.login, _, _ = h.send(t, http.MethodPost, "/api/login", login, "Content-Type", "application/x-www-form-urlencoded")
			token := h.issue(t, login)
			authorized := []string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}
			got.manage, _, _ = h.send(t, http.MethodPost, "/api/admin/workspaces/team-a/keys", `{"name":"deploy","permissions":[]}`, authorized...)
			got.own, _, _ = h.send(t, http.MethodPost, "/workspaces/team-a/projects", "", authorized...)
			var page string
			got.page, _, page = h.send(t, http.MethodGet, "/console/", "", "Cookie", "session=ada")
			require.Contains(t, page, "console.css")
			_, _, page = h.send(t, http.MethodGet, "/console/workspaces/team-a/keys/new", "", "Cookie", "session=ada")
			form := url.Values{"name": {"by hand"}, "expires": {"never"}, "permissions": {"project.list"}}
			for _, hidden := range field.FindAllStringSubmatch(page, -1) {
				form.Set(hidden[1], html.UnescapeString(hidden[2]))
			}
			got.form, _, _ = h.send(t, http.MethodPost, "/console/workspaces/team-a/keys/new", form.Encode(),
				"Cookie", "session=ada", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
			require.Equal(t, c.want, got)
			if c.name == "http.TimeoutHandler" {
				require.Contains(t, h.log.String(), "the time for a request's body is not bounded")
			} else {
				require.NotContains(t, h.log.String(), "is not bounded")
			}
		})
	}
}

// issue returns a token without the network, since the middleware may refuse logins.
func (h host) issue(t *testing.T, login string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(login))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	h.Token().ServeHTTP(answer, r)
	return tokenIn(t, answer.Body.String())
}

// TestSlashesByTheBrowser: chi's RedirectSlashes leads from /console/ to /console, where the
// pages work as well.
func TestSlashesByTheBrowser(t *testing.T) {
	for name, m := range map[string]func(http.Handler) http.Handler{"redirected": middleware.RedirectSlashes, "stripped": middleware.StripSlashes} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, inFront(middlewareOf(m)))
			h.testConsole(t)
		})
	}
}

// TestCORS sends requests as from a page of another origin, with a token. The host's CORS
// handler must be in front of the mux, because patterns with a method would refuse the
// preflight request. The management API must trust the origin.
func TestCORS(t *testing.T) {
	allow := cors.New(cors.Options{
		AllowedOrigins: []string{trusted, "https://other.example"},
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Idempotency-Key", "If-Match"},
		ExposedHeaders: []string{"ETag", "Retry-After", "WWW-Authenticate"},
	})
	with, without := serve(t, inFront(middlewareOf(allow.Handler))), serve(t, inFront(middlewareOf(func(next http.Handler) http.Handler { return next })))
	preflight := []string{"Origin", trusted, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"}
	for _, path := range []string{"/api/login", "/api/admin/workspaces/team-a/keys", "/workspaces/team-a/projects"} {
		status, header, _ := with.send(t, http.MethodOptions, path, "", preflight...)
		require.Equal(t, http.StatusNoContent, status, path)
		require.Equal(t, trusted, header.Get("Access-Control-Allow-Origin"), path)
		status, header, _ = without.send(t, http.MethodOptions, path, "", preflight...)
		require.Equal(t, http.StatusMethodNotAllowed, status, path)
		require.Empty(t, header.Get("Access-Control-Allow-Origin"), path)
	}
	token := with.tokenOf(t, "team-a")
	for origin, want := range map[string]int{trusted: http.StatusCreated, "https://other.example": http.StatusForbidden} {
		browser := []string{"Origin", origin, "Sec-Fetch-Site", "cross-site", "Authorization", "Bearer " + token, "Content-Type", "application/json"}
		status, header, body := with.send(t, http.MethodPost, "/api/admin/workspaces/team-a/keys", `{"name":"deploy","permissions":[]}`, browser...)
		require.Equal(t, want, status, body)
		require.Equal(t, origin, header.Get("Access-Control-Allow-Origin"))
		status, _, body = with.send(t, http.MethodPost, "/workspaces/team-a/projects", "", browser...)
		require.Equal(t, http.StatusNoContent, status, body)
	}
}
