package mounting_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/store"
)

// TestFiberServer tests what only Fiber's own server shows. fasthttp reuses the memory of a
// request for the next one, so no record may keep a text of a request.
func TestFiberServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var kept, copies []observe.Decision
	observer := func(_ context.Context, d observe.Decision) {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, d)
		d.Method, d.Route = strings.Clone(d.Method), strings.Clone(d.Route)
		d.ClientID, d.KeyID, d.Workspace = strings.Clone(d.ClientID), strings.Clone(d.KeyID), strings.Clone(d.Workspace)
		copies = append(copies, d)
	}
	h := serve(t, func(a app) http.Handler {
		app := fiberApp(a, fiber.Config{})
		go func() { _ = app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
		t.Cleanup(func() { require.NoError(t, app.Shutdown()) })
		return http.NotFoundHandler()
	}, func(cfg *oauth.Config) { cfg.Observer = observer })
	id, secret := h.newKey(t, "team-a")
	h.base = "http://" + listener.Addr().String()
	token := h.login(t, id, secret)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.base+"/workspaces/team-a/projects", http.NoBody)
	require.NoError(t, err)
	request.Header["Authorization"] = []string{"Basic eDp5", "Bearer " + token}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusBadRequest, answer.StatusCode, "two Authorization headers")
	authorized := []string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}
	status, _, body := h.send(t, http.MethodPost, "/api/admin/workspaces/team-a/keys", `{"name":"deploy","permissions":["project.list"]}`, authorized...)
	require.Equal(t, http.StatusCreated, status, body)
	h.testConsole(t) // makes a key each time
	h.testConsole(t)
	for range 10 {
		for _, path := range []string{"/api/admin/workspaces/team-b/keys", "/workspaces/team-b/projects", "/" + strings.Repeat("x", 100)} {
			status, _, body := h.send(t, http.MethodGet, path, "", authorized...)
			require.Equal(t, http.StatusNotFound, status, body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(t, kept)
	require.Equal(t, copies, kept)
	ada := apikey.OrganizationAdmin("tests")
	page, err := h.APIKeys().List(t.Context(), ada, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	events, err := h.APIKeys().Events(t.Context(), ada, store.EventQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, events.Events, len(page.Keys))
	all, err := h.APIKeys().Events(t.Context(), ada, store.EventQuery{})
	require.NoError(t, err)
	require.Len(t, all.Events, len(page.Keys), "no event of another workspace")
	for i, key := range page.Keys {
		require.Equal(t, "team-a", key.Workspace)
		require.Equal(t, "team-a", all.Events[i].Workspace)
	}
}
