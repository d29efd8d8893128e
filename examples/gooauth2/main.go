// Command gooauth2 shows how a service on go-oauth2 gets API keys. Folder before has the
// service without keys. Folder after has the service with keys, and with the same users and
// clients. change.diff is what changes in server.go; after/keys.go is new.
//
//	go run ./examples/gooauth2            serve, and print curl commands to try
//	go run ./examples/gooauth2 -once      run all steps, then exit with 0 or 1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-oauth2/oauth2/v4"

	server "github.com/latchkey-go/latchkey/examples/gooauth2/after"
	"github.com/latchkey-go/latchkey/examples/gooauth2/host"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/scope"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gooauth2:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("gooauth2", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 lets the system choose")
	once := flags.Bool("once", false, "run all steps, then exit with 0 or 1")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	app, err := newService(ctx, "http://"+listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	web := &http.Server{
		Handler:           app.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	go func() { served <- app.keys.Serve(ctx, web, listener, 5*time.Second) }()

	if *once {
		err = app.runSteps(ctx, out)
		cancel()
	} else {
		app.explain(out)
	}
	return errors.Join(err, <-served)
}

// service is the service of folder after, with a key for team-a and an old client that
// was imported as a key.
type service struct {
	base    string
	keys    *oauth.Server
	clients host.Clients
	tokens  *host.Tokens
	handler http.Handler
	key     apikey.Key
	secret  string
}

func newService(ctx context.Context, base string) (*service, error) {
	s := &service{base: base, clients: host.NewClients(base + "/callback"), tokens: host.NewTokens()}
	var err error
	if s.keys, err = server.NewKeys(base); err != nil {
		return nil, err
	}
	s.handler = server.New(s.clients, s.tokens, s.keys)

	admin := apikey.OrganizationAdmin("example")
	permissions, err := scope.Of("project.list")
	if err != nil {
		return nil, err
	}
	expiry := apikey.Expiry{At: time.Now().Add(30 * 24 * time.Hour)}
	key, secret, err := s.keys.APIKeys().Create(ctx, admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: permissions, Expiry: expiry,
	})
	if err != nil {
		return nil, err
	}
	s.key, s.secret = key, secret.Reveal()

	// Import the client that uses client_credentials. The key has the id and the secret
	// of the client.
	found, err := migrate.GoOAuth2(ctx, s.clients, []string{"nightly"}, func(c oauth2.ClientInfo) (apikey.Spec, error) {
		return apikey.Spec{Workspace: c.GetUserID(), Permissions: permissions, Expiry: expiry}, nil
	})
	if err != nil {
		return nil, err
	}
	for _, client := range found.Keys {
		if _, err := s.keys.APIKeys().Import(ctx, admin, client); err != nil {
			return nil, err
		}
		delete(s.clients, client.ID) // it holds the secret in plain text
	}
	return s, nil
}
