package oauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// Example is a whole host: it makes a server, mounts it, guards a route, makes
// a key, and a program logs in with the key and calls the route.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	logger := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer slog.SetDefault(logger)
	mux := http.NewServeMux()
	web := httptest.NewServer(mux) // in production: your own server, with TLS
	defer web.Close()

	// Define the permissions and the rules.
	catalog := scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
		{Name: "project.list", Title: "List projects"}, {Name: "project.delete", Title: "Delete a project"},
	}})
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:           web.URL, // in production: https://api.example.com
		InsecureLoopback: true,    // in production: leave it out
		Permissions:      catalog,
		Policy:           policy.MaxKeys(10),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	go srv.Run(ctx) // writes last uses, rotates keys; returns when ctx ends

	// Mount the login and its documents, and guard a route.
	for pattern, handler := range srv.Routes() {
		mux.Handle(pattern, handler)
	}
	projects := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "the projects of %s", principal.Workspace)
	})
	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(projects))

	// Make a key. Its secret is shown only once.
	key, secret, err := srv.APIKeys().Create(ctx, apikey.OrganizationAdmin("you"), apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// A program logs in with a stock OAuth 2.0 client and calls the route.
	client := clientcredentials.Config{ClientID: key.ID, ClientSecret: secret.Reveal(), TokenURL: web.URL + "/api/login"}
	response, err := client.Client(ctx).Get(web.URL + "/workspaces/team-a/projects")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body) // the projects of team-a
	fmt.Println("\n"+response.Status, err)

	refused, err := client.Client(ctx).Get(web.URL + "/workspaces/team-b/projects")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer refused.Body.Close()
	fmt.Println(refused.Status)
	_, err = io.Copy(os.Stdout, refused.Body)
	fmt.Println(err)
	// Output:
	// the projects of team-a
	// 200 OK <nil>
	// 404 Not Found
	// {"error":"not_found","error_description":"There is no such workspace, or this credential does not reach it."}
	// <nil>
}

func ExampleBehindProxies() {
	clientAddr := oauth.BehindProxies(netip.MustParsePrefix("10.0.0.0/8"))

	r := httptest.NewRequest(http.MethodPost, "/api/login", nil)
	r.RemoteAddr = "10.0.0.5:1234" // the load balancer
	r.Header.Set("X-Forwarded-For", "198.51.100.66, 203.0.113.7")
	fmt.Println(clientAddr(r), "is what the load balancer saw")

	r.RemoteAddr = "192.0.2.9:1234" // a client that did not use the load balancer
	fmt.Println(clientAddr(r), "does not get to name another")
	// Output:
	// 203.0.113.7 is what the load balancer saw
	// 192.0.2.9 does not get to name another
}

// Two requests at once and ten a minute for each key, unless an administrator has set
// less. The settings can be changed at run time.
func ExampleServer_LimitRequests() {
	srv, token := exampleServer()
	limit := srv.LimitRequests(oauth.RequestLimit{
		Key:      policy.Rate{Limit: 10, Per: time.Minute, Burst: 2},
		Settings: true,
	})
	projects := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "projects") })
	mux := http.NewServeMux()
	mux.Handle("GET /projects", srv.Require("project.list").AnyWorkspace()(limit.Handler(projects)))
	for range 3 {
		r := httptest.NewRequest(http.MethodGet, "/projects", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Printf("%d %s %s %q\n", w.Code, w.Header().Get("RateLimit-Policy"), w.Header().Get("RateLimit"), w.Header().Get("Retry-After"))
	}
	// Output:
	// 200 "key";q=2;w=12 "key";r=1;t=6 ""
	// 200 "key";q=2;w=12 "key";r=0;t=6 ""
	// 429 "key";q=2;w=12 "key";r=0;t=6 "6"
}

// A router that passes no http.Handler on calls Check, after the guard's Check.
func ExampleRequestLimiter_Check() {
	srv, token := exampleServer()
	guard := srv.Require("project.list")
	limit := srv.LimitRequests(oauth.RequestLimit{Workspace: policy.Rate{Limit: 1, Per: time.Minute}})
	projects := func(w http.ResponseWriter, r *http.Request) {
		r, ok := guard.CheckAny(w, r)
		if !ok || !limit.Check(w, r) {
			return // the answer has been written
		}
		p, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprint(w, "the projects of "+p.Workspace)
	}
	for range 2 {
		r := httptest.NewRequest(http.MethodGet, "/projects", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		projects(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 the projects of team-a
	// 429 {"error":"temporarily_unavailable","error_description":"Too many requests of this workspace; wait as Retry-After says, then try again."}
}

// A proxy asks this handler about each request to a service behind it. MIDDLEWARE.md has the
// configuration of nginx, Traefik and Caddy.
func ExampleServer_ForwardAuth() {
	srv, token := exampleServer()
	limit := srv.LimitRequests(oauth.RequestLimit{Key: policy.Rate{Limit: 600, Per: time.Minute}})
	mux := http.NewServeMux()
	mux.Handle("/forward-auth", srv.ForwardAuth(srv.Require("project.list"), limit))
	for _, authorization := range []string{"Bearer " + token, "Bearer x"} {
		r := httptest.NewRequest(http.MethodGet, "/forward-auth", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Printf("%d %q %q\n", w.Code, w.Header().Get("X-Workspace"), w.Header().Get("X-Scope"))
	}
	// Output:
	// 204 "team-a" "project.list"
	// 401 "" ""
}

// exampleServer returns a server whose clock stands still, and a token of a key of team-a.
func exampleServer() (srv *oauth.Server, token string) {
	now := time.Now()
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com", Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
	})
	if err != nil {
		panic(err)
	}
	key, secret, err := srv.APIKeys().Create(context.Background(), apikey.OrganizationAdmin("you"), apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"),
	})
	if err != nil {
		panic(err)
	}
	login := url.Values{"grant_type": {"client_credentials"}, "client_id": {key.ID}, "client_secret": {secret.Reveal()}}
	r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(login.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	srv.Token().ServeHTTP(w, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		panic(err)
	}
	return srv, answer.Token
}

func ExampleConfig_claims() {
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(),
		Claims: func(_ context.Context, g *apikey.Grant) (map[string]any, error) {
			return map[string]any{"plan": "gold", "sub": "somebody else"}, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = srv.Sign(context.Background(), &apikey.Grant{})
	fmt.Println(err)
	// Output:
	// oauth: Config.Claims: jose: extra claims: claim "sub": the name "sub" is reserved
}

// Whoever finds a secret ends it, without its id.
func ExampleServer_SelfRevocation() {
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com", Permissions: scope.MustCatalog(), Logger: slog.New(slog.DiscardHandler),
		SelfRevocationPath: "/api/revoke-secret",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, secret, err := srv.APIKeys().Create(context.Background(), apikey.OrganizationAdmin("you"), apikey.Spec{Workspace: "team-a", Name: "ci"})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := httptest.NewRequest(http.MethodPost, "/api/revoke-secret", strings.NewReader("secret="+secret.Reveal()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	srv.Routes()["/api/revoke-secret"].ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	key, err = srv.APIKeys().Get(context.Background(), apikey.OrganizationAdmin("you"), key.ID)
	fmt.Println(len(key.Credentials), err)
	// Output:
	// 200
	// 0 <nil>
}
