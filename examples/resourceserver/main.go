// Command resourceserver is a service that accepts the tokens of an issuer in another
// process. It fetches the issuer's keys, and asks it by introspection whether a token was
// revoked. They share nothing else.
//
//	go run ./examples/resourceserver                  start a quickstart as the issuer, and serve
//	go run ./examples/resourceserver -once            run all steps, then exit with 0 or 1
//	go run ./examples/resourceserver -issuer FILE     FILE is the output of "quickstart -json"; - reads it from standard input
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

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "resourceserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("resourceserver", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the system choose")
	once := flags.Bool("once", false, "run all steps, then exit with 0 or 1")
	from := flags.String("issuer", "", "`file` with the output of quickstart -json, - for standard input; by default a quickstart is started")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	issuer, stop, err := findIssuer(ctx, *from, in)
	if err != nil {
		return err
	}
	defer stop()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handler, refresh, err := newService(issuer)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	refreshed := make(chan error, 1)
	go func() { refreshed <- refresh(ctx) }()
	web := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()

	base := "http://" + listener.Addr().String()
	if *once {
		err = runSteps(ctx, issuer, base, out)
	} else {
		explain(issuer, base, out)
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}
	cancel()
	grace, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	err = errors.Join(err, web.Shutdown(grace))
	if end := <-refreshed; !errors.Is(end, context.Canceled) {
		err = errors.Join(err, end)
	}
	return err
}

// issuer holds the URLs of the issuer, and the credentials for introspection. quickstart
// -json prints them.
type issuer struct {
	Issuer       string `json:"issuer"`
	BaseURL      string `json:"base_url"`
	TokenURL     string `json:"token_url"`
	JWKSURL      string `json:"jwks_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// newService returns the routes of the resource server, and the function that keeps the
// issuer's keys fresh.
func newService(of issuer) (http.Handler, func(context.Context) error, error) {
	keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
		URL:              of.JWKSURL,
		InsecureLoopback: true, // plain http on this machine; in production the issuer is https
	})
	if err != nil {
		return nil, nil, err
	}
	introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
		URL:              of.BaseURL + "/api/introspect",
		InsecureLoopback: true,
		ClientID:         of.ClientID,
		ClientSecret:     bearer.Secret(of.ClientSecret),
		CacheFor:         time.Second, // how long a revoked token may still work here
	})
	if err != nil {
		return nil, nil, err
	}
	verifier, err := bearer.New(bearer.Config{
		Issuer:    of.Issuer,
		Audiences: []string{of.Issuer}, // the audience of the quickstart's tokens; see oauth.Config.Resources
		Keys:      keys,
		Epochs:    introspector,
	})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace}/reports",
		verifier.Require("project.read").InPath("workspace")(http.HandlerFunc(listReports)))
	return mux, keys.Run, nil
}

func listReports(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"workspace": r.PathValue("workspace"), "reports": []string{"2026-10", "2026-11"}}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(os.Stderr, "resourceserver: reply:", err)
	}
}
