// Command operating is a backend with API keys on PostgreSQL, of which any number of
// replicas may run.
//
//	operating migrate              makes or updates the tables, then ends
//	operating first-key            makes a key for workspace team-a and prints it
//	operating revoke-tokens        revokes all tokens, after a backup was restored
//	operating revoke-signing-keys  makes a new signing key and revokes all tokens, after a leak
//	operating export               prints settings, keys and audit events as lines of JSON
//	operating                      serves
package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		return errors.New("DATABASE_URL is malformed") // err could show the password
	}
	defer db.Close()
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20) // the default is 2: the others would be opened again and again
	database, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	if err != nil {
		return err
	}
	if slices.Equal(args, []string{"migrate"}) {
		return database.Migrate(ctx)
	}

	pepper, badPepper := secretOf("PEPPER_1")
	sealKey, badSealKey := secretOf("SEAL_KEY_1")
	proxies, badProxies := netip.ParsePrefix(cmp.Or(os.Getenv("PROXIES"), "127.0.0.0/8"))
	if err := errors.Join(badPepper, badSealKey, badProxies); err != nil {
		return err
	}
	cached, err := cache.New(database.Store(), cache.Config{})
	if err != nil {
		return err
	}
	srv, err := oauth.New(cached.Store(), oauth.Config{
		Issuer:      os.Getenv("ISSUER"),
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list", Title: "List projects"}}}),
		SealKeys:    []oauth.SealKey{{Version: 1, Key: sealKey}},
		ClientAddr:  oauth.BehindProxies(proxies),
		APIKeys:     apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: pepper}}},
	})
	if err != nil {
		return err
	}
	operator := apikey.OrganizationAdmin("operator")
	switch command := strings.Join(args, " "); command {
	case "": // serve
	case "first-key":
		key, secret, err := srv.APIKeys().Create(ctx, operator, apikey.Spec{
			Workspace: "team-a", Name: "first", Permissions: scope.MustParse("project.list"),
		})
		if err == nil {
			fmt.Println(key.ID, secret.Reveal())
		}
		return err
	case "revoke-tokens":
		return srv.APIKeys().RevokeAllTokens(ctx, operator)
	case "revoke-signing-keys":
		return srv.RevokeSigningKeys(ctx)
	case "export":
		return backup.Export(ctx, srv.APIKeys(), operator, os.Stdout)
	default:
		return fmt.Errorf("unknown command: %s", command)
	}

	mux := http.NewServeMux()
	for pattern, handler := range srv.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "no projects yet") })))
	mux.HandleFunc("GET /live", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { // for the load balancer
		if ctx.Err() != nil {
			http.Error(w, "ending", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { // for an alert
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if _, err := database.Store().Settings.Instance(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8080"))
	if err != nil {
		return err
	}
	// After SIGTERM, /ready fails, and the load balancer gets time to notice it.
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	context.AfterFunc(ctx, func() { time.AfterFunc(5*time.Second, end) })
	return srv.Serve(serving, &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       75 * time.Second, // longer than the load balancer's
		MaxHeaderBytes:    16 << 10,
	}, listener, 20*time.Second)
}

// secretOf reads 32 bytes in hexadecimal digits from the environment.
func secretOf(name string) ([]byte, error) {
	key, err := hex.DecodeString(strings.TrimSpace(os.Getenv(name)))
	if err != nil || len(key) != 32 {
		return nil, errors.New(name + " must be 64 hexadecimal digits: openssl rand -hex 32")
	}
	return key, nil
}
