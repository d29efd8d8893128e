package mounting_test

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func TestFiber(t *testing.T) { testMount(t, onFiber, true) }

func onFiber(a app) http.Handler {
	return adaptor.FiberApp(fiberApp(a, fiber.Config{})) // for the test's server; a service calls app.Listen
}

// fiberApp mounts everything. Set ReadTimeout in config: fasthttp reads a body before it calls
// a handler, so nothing else bounds the time that this may take.
func fiberApp(a app, config fiber.Config) *fiber.App {
	app := fiber.New(config)
	for path, handler := range a.Routes() {
		app.All(path, fiberHandle(handler))
	}
	app.All("/api/admin/*", fiberHandle(http.StripPrefix("/api/admin", a.management)))
	app.All("/console/*", fiberHandle(http.StripPrefix("/console", a.console)))
	app.Get("/workspaces/:workspace/projects", fiberGuard(a.Require("project.list")), fiberHandler)
	app.Get("/workspaces/:workspace/invoices", fiberGuard(a.Require("billing.read")), fiberHandler)
	app.Get("/forgotten/:team", fiberGuard(a.Require("project.list")), fiberHandler)
	app.Get("/open", fiberHandler)
	return app
}

// TestFiberReadTimeout: a request whose body does not arrive within Fiber's ReadTimeout is
// answered with 408.
func TestFiberReadTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, func(a app) http.Handler {
		app := fiberApp(a, fiber.Config{ReadTimeout: 100 * time.Millisecond})
		go func() { _ = app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
		t.Cleanup(func() { require.NoError(t, app.Shutdown()) })
		return http.NotFoundHandler()
	})
	connection, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(connection, "POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\na")
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
}

// fiberHandle converts a handler. The adaptor's requests have fasthttp's context, which the next
// request reuses. With WithoutCancel, no goroutine of package context waits for that context.
// If a header is sent twice, the adaptor passes on only the last one. fiberHandle copies both,
// because a request with two Authorization headers must be refused.
func fiberHandle(h http.Handler) fiber.Handler {
	return func(c fiber.Ctx) error {
		return adaptor.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(r.Header, c.GetReqHeaders())
			h.ServeHTTP(w, r.WithContext(context.WithoutCancel(r.Context())))
		}))(c)
	}
}

// fiberGuard converts a guard to Fiber middleware. Fiber is built on fasthttp, so the guard
// gets a copy of the request. The principal is passed on in Fiber's context.
func fiberGuard(guard bearer.Guard) fiber.Handler {
	return func(c fiber.Ctx) error {
		var principal *bearer.Principal
		err := fiberHandle(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if checked, ok := guard.Check(w, r, fiberParam(c, "workspace")); ok {
				principal, _ = bearer.PrincipalFrom(checked.Context())
			}
		}))(c)
		if err != nil || principal == nil { // the guard has written the answer
			return err
		}
		c.SetContext(bearer.WithPrincipal(c.Context(), principal))
		return c.Next()
	}
}

func fiberHandler(c fiber.Ctx) error {
	return c.JSON(answerOf(c.Context(), fiberParam(c, "workspace")))
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
