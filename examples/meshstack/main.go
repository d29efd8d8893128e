// Command meshstack is a whole system on Latchkey: a backend that speaks the
// part of the meshStack API that deals with keys, so that the meshStack
// Terraform provider, as it is, manages keys here.
//
//	go run -C examples/meshstack . -bootstrap first-key.json
//
// writes the credentials of a key with every permission and serves at
// http://127.0.0.1:8080. The provider takes them from its environment:
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
// A key may grant the permissions that it holds, except those that reach every
// workspace (ADM_...): only a person may grant them. The server refuses with 403,
// and the provider prints the reason.
//
// With -dev-login it serves the console at /console/, too, for everybody on this
// machine.
//
// Read backend.go first; apikeys.go is the largest part, and all of it is
// translation between the provider's JSON and the library's calls.
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
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "meshstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("meshstack", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 lets the system choose")
	storeName := flags.String("store", "sqlite:meshstack.db", "where keys are kept: memory, sqlite:PATH, or a `URL` of postgres, mysql or redis")
	secretsFile := flags.String("secrets", "meshstack-secrets", "`file` with what must not lie in the store, made if it is missing; replicas share it; not used with -store memory")
	issuer := flags.String("issuer", "", "`URL` of this server in tokens, the same for all replicas (default http:// and the address, with signing keys that end with the process)")
	names := flags.String("workspaces", "team-a,team-b", "comma-separated `ids` of the workspaces; admin always exists")
	bootstrapFile := flags.String("bootstrap", "", "`file` to write the credentials of the first key to, which holds every permission; made if there is no such key yet")
	devLogin := flags.Bool("dev-login", false, "serve the console at /console/, on loopback only, and let everybody sign in as anybody")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return cmp.Or(err, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}

	st, end, err := openStore(ctx, *storeName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }() // last: when all is written
	cached, err := cache.New(st, cache.Config{})     // hot reads from memory, a second old at most
	if err != nil {
		return err
	}
	st = cached.Store()
	if *issuer == "" {
		// The store keeps signing keys for one issuer, and an address changes.
		// These end with the process, and its tokens with them.
		st.SigningKeys = memstore.New().SigningKeys
	}
	file, err := filepath.Abs(*secretsFile)
	if err != nil {
		return err
	}
	if _, missing := os.Stat(file); missing != nil {
		file += ", which was not there and was made"
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
		Issuer:           cmp.Or(*issuer, base),
		InsecureLoopback: true, // plain http on this machine; an https issuer does not need it
		Logger:           slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}, ws, secrets, *devLogin)
	if err != nil {
		// Of another file than the one that the store was used with: keys would be refused.
		return errors.Join(fmt.Errorf("with the secrets in %s: %w", file, err), listener.Close())
	}
	first := "none asked for; -bootstrap FILE makes one"
	if *bootstrapFile != "" {
		if first, err = bootstrap(ctx, srv.APIKeys(), *bootstrapFile, time.Now()); err != nil {
			return errors.Join(fmt.Errorf("-bootstrap: %w", err), listener.Close())
		}
	}
	fmt.Fprintf(out, `A backend that speaks meshStack's API for keys runs at %s

  login        POST /api/login
  keys         /api/meshobjects/meshapikeys
  management   /api/admin/ (GET /api/admin/openapi.json describes it)
  console      GET /console/, with -dev-login
  workspaces   GET /api/meshobjects/meshworkspaces (there are: %s)
  documents    GET /.well-known/oauth-authorization-server, /.well-known/jwks.json
  more         GET /mesh/info, GET /health
  store        %s
  first key    %s

Press Ctrl-C to stop.
`, base, strings.Join(ws, ", "), strings.SplitN(*storeName, "://", 2)[0], first)
	return srv.Serve(ctx, &http.Server{
		Handler: routes,
		// A server without these can be held up by clients that send slowly.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10, // a token names every permission it holds
	}, listener, 10*time.Second)
}
