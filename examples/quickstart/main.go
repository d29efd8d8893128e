// Command quickstart is a small backend that embeds Latchkey: it mounts the login,
// creates a key for workspace team-a, guards two routes and prints how to use them.
//
//	go run ./examples/quickstart            serve, and print curl commands to try
//	go run ./examples/quickstart -once      run all steps, then exit with 0 or 1
//	go run ./examples/quickstart -json      serve, and print one line of JSON for programs
package main

import (
	"context"
	"encoding/json"
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

	"github.com/latchkey-go/latchkey/oauth"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 lets the system choose")
	once := flags.Bool("once", false, "run all steps, then exit with 0 or 1")
	asJSON := flags.Bool("json", false, "print one line of JSON with all URLs and credentials, then serve")
	pem := flags.String("signing-key", "", "PEM `file` with the private key that signs tokens; by default a new key is generated")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	signers, err := signingKeys(*pem)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	app, err := newBackend(ctx, base, signers)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	web := &http.Server{
		Handler: app.mux,
		// Without these, clients that send slowly can block the server.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	go func() { served <- app.server.Serve(ctx, web, listener, 5*time.Second) }()

	switch {
	case *once:
		err = app.runSteps(ctx, out)
	case *asJSON:
		err = json.NewEncoder(out).Encode(app.facts)
	default:
		app.explain(out)
	}
	if err != nil || *once {
		cancel()
	}
	return errors.Join(err, <-served)
}

func signingKeys(file string) ([]oauth.SigningKey, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file) //nolint:gosec // the file is named on the command line
	if err != nil {
		return nil, err
	}
	key, err := oauth.ParseSigningKey(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return []oauth.SigningKey{key}, nil
}
