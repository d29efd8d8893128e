// Package console is the web console: pages on which the owner of a workspace
// and an administrator manage API keys in a browser.
//
// A Console stands on an apikey.Service, like package admin, and holds no rules
// of its own: whatever it does, the service decides whether this person may.
// The host says who sits at the browser, by its own sessions:
//
//	pages, err := console.New(srv.APIKeys(), console.Config{Authorize: whoSignedIn, LoginURL: "https://api.example.com/api/login"})
//	mux.Handle("/console/", http.StripPrefix("/console", pages))
//
// To try it before there are sessions, copy examples/signin.
//
// Any prefix will do, for all addresses on the pages are relative. Link to
// workspaces/{workspace}/keys below it from a workspace's own pages, and to
// settings from those of administrators. The workspace's id is escaped by
// url.PathEscape; the ids ".", ".." and "/" get a tilde before them ("~.."), for
// otherwise they would be taken for parts of the path.
//
// # What holds for every page
//
//   - It works without JavaScript. With it, there are buttons to copy, and the
//     list of permissions can be filtered.
//   - Nothing comes from another origin, and nothing is inline: the
//     Content-Security-Policy allows the console's own stylesheet, script and
//     icon, and Trusted Types allow no text to become markup.
//   - No page may be framed, kept by a cache or named in a Referer.
//   - What the person has no part in looks like what does not exist: 404.
//   - A form can be sent from the console's own pages only
//     (net/http.CrossOriginProtection), by the person it was made for, and for
//     12 hours. Browsers say where a form came from on HTTPS and on loopback
//     only; on other plain HTTP the console refuses forms.
//   - A form that makes a secret works once. Sent again, by reload or by going
//     back, it names the key that it made and makes no other. The secret is in
//     the one answer that made it and is never shown again. (A store that keeps
//     no OnceIDs cannot promise this; see store.Store.)
//   - A change is made only to the record that the page showed. If somebody was
//     faster, the page says so and nothing has changed.
//
// The host's session cookie should be HttpOnly, Secure and SameSite=Lax or
// stricter.
package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// Config adjusts a Console. The zero value of each field is the production
// default, but for Authorize, which is required.
type Config struct {
	// Authorize names the person who sent a request, or refuses it. Required.
	// It is asked once for every page, before the body is read. An error that
	// wraps store.ErrUnavailable, bearer.ErrUnavailable or
	// that of an ended context is answered with 503, any other with SignIn;
	// its text reaches nobody. A person whose actor has no id is refused.
	Authorize func(*http.Request) (Person, error)
	// Key signs forms and the places in lists: at least 32 random bytes, the
	// same in every replica. Default: random, so that forms end with the
	// process and are refused by its neighbours, of which New warns.
	Key []byte
	// LoginURL is the absolute address of the token endpoint, for the curl line
	// beside a new secret. Default: no such line.
	LoginURL string
	// SignIn is the address that a browser is sent to if nobody is signed in:
	// absolute, or a path of the same host. Default: a page with status 401
	// that says so.
	SignIn string
	// SignOut is the path, on the same host, that the button "Sign out" posts
	// to. Default: no button.
	SignOut string
	// ClientAddr names the client's address, for policies. Default:
	// that in RemoteAddr, with a port or without. Behind a proxy use
	// oauth.BehindProxies. The first request without an address is logged.
	ClientAddr func(*http.Request) netip.Addr
	// Timeout bounds how long a page takes: Authorize, the form, the store, the
	// policies and the hooks; what takes longer is answered as an outage. The
	// preview of new rules and the list of keys out of policy look at as many
	// keys as half of it is enough for, and say so if there are more.
	// Default 2 seconds; 10 ms to 5 minutes.
	Timeout time.Duration
	// Logger takes warnings and errors. Default slog.Default().
	Logger *slog.Logger
}

// Person is who sits at the browser.
type Person struct {
	// Actor says what the person may do: apikey.Owner or
	// apikey.OrganizationAdmin.
	Actor apikey.Actor
	// Name is shown at the top of each page. Default: the actor's id.
	Name string
	// Workspaces are offered on the first page, in this order: for a member
	// his own, for an administrator some or all. It grants nothing.
	Workspaces []string
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	keys    *apikey.Service
	cfg     Config
	clients *request.Clients
	origins *http.CrossOriginProtection
	pages   map[string]*template.Template
	version string
	mux     *http.ServeMux
}

// New checks cfg and returns a Console on keys. All problems are joined into
// one error, each naming its field.
func New(keys *apikey.Service, cfg Config) (*Console, error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if keys == nil {
		add("the service is missing")
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	c := &Console{keys: keys, origins: http.NewCrossOriginProtection()}
	if cfg.Authorize == nil {
		add("Config.Authorize is missing: it says who sits at the browser")
	}
	cfg.LoginURL = strings.ReplaceAll(cfg.LoginURL, "'", "%27") // it stands between such marks in a shell's line
	if u, err := url.Parse(cfg.LoginURL); cfg.LoginURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		add("Config.LoginURL is not an absolute address such as https://api.example.com/api/login")
	}
	if u, err := url.Parse(cfg.SignIn); err != nil || u.Scheme != "" && u.Scheme != "https" && u.Scheme != "http" {
		add("Config.SignIn is not an address of the web")
	}
	if u, err := url.Parse(cfg.SignOut); err != nil || u.Scheme != "" || u.Host != "" {
		add("Config.SignOut is not a path of this host")
	}
	var badTimeout, badKey error
	cfg.Timeout, badTimeout = request.Timeout(cfg.Timeout)
	cfg.Key, badKey = request.SealKey(cfg.Key, "Key", "forms of the console", cfg.Logger)
	problems = append(problems, badTimeout, badKey)
	c.cfg, c.clients = cfg, request.NewClients(cfg.ClientAddr, cfg.Logger)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.load()
	c.mux = c.routes()
	return c, nil
}

// ServeHTTP implements http.Handler. The request's path is that below the
// prefix: see http.StripPrefix.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	ctx, cancel := context.WithTimeout(r.Context(), c.cfg.Timeout)
	defer cancel()
	c.mux.ServeHTTP(w, r.WithContext(ctx))
}

// protect says to the browser what a page may do: nothing but show itself.
func protect(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "+
		"require-trusted-types-for 'script'; trusted-types 'none'")
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}
