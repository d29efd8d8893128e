package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A host mounts the API under a prefix and decides who the actors are.
func Example() {
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list"}, {Name: "project.delete"},
		}}),
		Logger: slog.New(slog.DiscardHandler),                                            // in production: leave it out
		Now:    func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }, // in production: leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	api, err := admin.New(keys, admin.Config{
		// In production: the person of the request's session.
		Authorize: func(*http.Request) (apikey.Actor, error) { return apikey.Owner("olga", "team-a"), nil },
		CursorKey: []byte("in production: 32 random bytes or more"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/api/admin/", http.StripPrefix("/api/admin", api))
	web := httptest.NewServer(mux)
	defer web.Close()

	// Olga creates a key.
	answer, err := http.Post(web.URL+"/api/admin/workspaces/team-a/keys", "application/json",
		strings.NewReader(`{"name": "ci", "permissions": ["project.list"], "expires_at": "2027-01-31"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	var made struct {
		Key struct {
			Workspace string `json:"workspace"`
			ExpiresOn string `json:"expires_on"`
			State     string `json:"state"`
		} `json:"key"`
		Secret string `json:"secret"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.StatusCode, made.Key.Workspace, made.Key.State, "until", made.Key.ExpiresOn, made.Secret[:3]+"...")

	// Another workspace is answered like one that does not exist.
	foreign, err := http.Get(web.URL + "/api/admin/workspaces/team-b/keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer foreign.Body.Close()
	problem, err := io.ReadAll(foreign.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(foreign.StatusCode, strings.Contains(string(problem), "not-found"))
	// Output:
	// 201 team-a active until 2027-01-31 lk_...
	// 404 true
}
