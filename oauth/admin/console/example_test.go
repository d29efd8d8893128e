package console_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A host mounts the pages under a prefix and returns the person of a request. The
// pages look like its own product.
func Example() {
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler), // in production: leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	pages, err := console.New(keys, console.Config{
		// In production: the person of the request's session.
		Authorize: func(*http.Request) (console.Person, error) {
			return console.Person{Actor: apikey.Owner("olga", "team-a"), Name: "Olga", Workspaces: []string{"team-a"}}, nil
		},
		Key: []byte("in production: 32 random bytes or more"),
		Brand: console.Brand{
			Name: "Acme Cloud", Home: "https://cloud.example.com/", Accent: "#7a1fa2", AccentDark: "#d7a3ea",
			Logo: []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4"/></svg>`),
		},
		// In production: the names that the host's database has for these ids.
		Titles: func(_ context.Context, ids []string) (map[string]string, error) {
			return map[string]string{"team-a": "Research"}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/console/", http.StripPrefix("/console", pages))
	web := httptest.NewServer(mux)
	defer web.Close()

	// Olga opens the console and is redirected to the keys of her workspace. Another
	// workspace is answered like one that does not exist.
	for _, path := range []string{"/console/", "/console/workspaces/team-b/keys"} {
		answer, err := http.Get(web.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		page, err := io.ReadAll(answer.Body)
		if err := answer.Body.Close(); err != nil {
			fmt.Println(err)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		_, title, _ := strings.Cut(string(page), "<title>")
		title, _, _ = strings.Cut(title, "</title>")
		fmt.Println(answer.StatusCode, answer.Request.URL.Path, title)
	}
	// Output:
	// 200 /console/workspaces/team-a/keys API keys · Research · Acme Cloud
	// 404 /console/workspaces/team-b/keys This does not exist, or you may not see it · Acme Cloud
}
