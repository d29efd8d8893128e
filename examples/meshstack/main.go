// Command meshstack is a complete backend on Latchkey. It implements the part of the
// meshStack API for API keys, so that the unchanged meshStack Terraform provider can manage
// its keys.
//
//	go run -C examples/meshstack . -bootstrap first-key.json
//
// writes the credentials of a key with every permission and serves at
// http://127.0.0.1:8080. The provider reads them from its environment:
//
//	export MESHSTACK_ENDPOINT=http://127.0.0.1:8080
//	export MESHSTACK_API_KEY=...    # client_id of first-key.json
//	export MESHSTACK_API_SECRET=... # client_secret
//
//	resource "meshstack_api_key" "ci" {
//	  metadata = { owned_by_workspace = "team-a" }
//	  spec     = { display_name = "ci", permissions = ["WORKSPACE_LIST"], expires_at = "2027-01-31" }
//	}
//
// A key may grant the permissions that it holds, except those that reach every workspace
// (ADM_...): only a person may grant them. The server refuses others with 403, and the
// provider prints the reason.
//
// With -dev-login it also serves the console at /console/, for every user of this machine.
//
// Read backend.go first. apikeys.go is the largest part; it only translates between the
// provider's JSON and the library's calls.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil))) // the store and net/http use it, too
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "meshstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("meshstack", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 lets the system choose")
	storeName := flags.String("store", "sqlite:meshstack.db", "where keys are kept: memory, sqlite:PATH, or a `URL` of postgres, mysql or redis")
	secretsFile := flags.String("secrets", "meshstack-secrets", "`file` with the keys that must not be in the store; created if it is missing; all replicas need the same one; not used with -store memory")
	issuer := flags.String("issuer", "", "`URL` of this server in tokens, the same for all replicas; by default http:// and the address, and the signing keys end with the process")
	names := flags.String("workspaces", "team-a,team-b", "comma-separated `ids` of the workspaces; the workspace admin always exists")
	bootstrapFile := flags.String("bootstrap", "", "`file` for the credentials of the first key, which holds every permission; the key is created if it does not exist")
	devLogin := flags.Bool("dev-login", false, "serve the console at /console/, on loopback only, where every user can sign in as any person")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return cmp.Or(err, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}

	st, end, err := openStore(ctx, *storeName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }() // at the end, after all writes
	cached, err := cache.New(st, cache.Config{})     // caches frequent reads for one second at most
	if err != nil {
		return err
	}
	st = cached.Store()
	if *issuer == "" {
		// The store keeps signing keys for one issuer, but the address can change. So these
		// signing keys, and their tokens, end with the process.
		st.SigningKeys = memstore.New().SigningKeys
	}
	file, err := filepath.Abs(*secretsFile)
	if err != nil {
		return err
	}
	if _, missing := os.Stat(file); missing != nil {
		file += ", which did not exist and was created"
	}
	secrets, err := loadSecrets(*secretsFile, *storeName == "memory")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	base := "http://" + strings.Replace(listener.Addr().String(), "[::]", "127.0.0.1", 1)
	ws := parseWorkspaces(*names)
	srv, routes, err := newBackend(st, oauth.Config{
		Issuer: cmp.Or(*issuer, base), Logger: slog.Default(),
		InsecureLoopback: true, // plain http on this machine; an https issuer does not need it
	}, ws, secrets, *devLogin)
	if store.IsOutage(err) {
		return errors.Join(fmt.Errorf("-store: %w", err), listener.Close())
	} else if err != nil {
		// The likely cause is a store that was used with another file of secrets. With this
		// file, no key in it would work.
		return errors.Join(fmt.Errorf("with the secrets in %s: %w", file, err), listener.Close())
	}
	first := "not created; -bootstrap FILE creates one"
	if *bootstrapFile != "" {
		if first, err = bootstrap(ctx, srv.APIKeys(), *bootstrapFile, time.Now()); err != nil {
			return errors.Join(fmt.Errorf("-bootstrap: %w", err), listener.Close())
		}
	}
	if bound, ok := listener.Addr().(*net.TCPAddr); ok && !bound.IP.IsLoopback() {
		fmt.Fprintf(out, "Other machines can reach %s, and it speaks plain HTTP: put a proxy with TLS in front of it, and set -issuer to the proxy's https URL.\n\n", bound)
	}
	fmt.Fprintf(out, `A backend with meshStack's API for keys runs at %s

  login        POST /api/login
  keys         /api/meshobjects/meshapikeys
  management   /api/admin/ (described by GET /api/admin/openapi.json)
  console      GET /console/, with -dev-login
  workspaces   GET /api/meshobjects/meshworkspaces (workspaces: %s)
  documents    GET /.well-known/oauth-authorization-server, /.well-known/jwks.json
  more         GET /mesh/info, GET /health
  store        %s
  first key    %s

Press Ctrl-C to stop.
`, base, strings.Join(ws, ", "), strings.SplitN(*storeName, "://", 2)[0], first)
	return srv.Serve(ctx, &http.Server{
		Handler: routes,
		// Without these, clients that send slowly can block the server.
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: 60 * time.Second,
		MaxHeaderBytes: 32 << 10, // a token names all its permissions
	}, listener, 10*time.Second)
}
