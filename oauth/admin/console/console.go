// Package console is the web console: pages on which owners of workspaces and
// administrators manage API keys in a browser.
//
// A Console uses an apikey.Service, like package admin, and has no rules of its
// own: the service decides what a person may do. The host says who the person is,
// from its own sessions:
//
//	pages, err := console.New(srv.APIKeys(), console.Config{Authorize: whoSignedIn, LoginURL: "https://api.example.com/api/login"})
//	mux.Handle("/console/", http.StripPrefix("/console", pages))
//
// On other routers, mount it at /console as well as below /console/.
//
// To try it before there are sessions, copy examples/signin.
//
// The prefix can be any path, because all addresses on the pages are relative. Your own
// pages about a workspace can link to workspaces/{workspace}/keys below the prefix, and
// your pages for administrators can link to settings. Escape the id of the workspace
// with url.PathEscape. Put a tilde before the ids ".", ".." and "/", because
// browsers and routers would treat them as parts of the path: ".." becomes "~..". Put one
// more before an id that is one of these with tildes before it: "~.." becomes "~~..".
//
// # Links to a new key
//
// A link can fill the form of a new key: add name, permissions and expires_at to the
// query of workspaces/{workspace}/keys/new, such as
//
//	keys/new?name=ci+of+the+shop&permissions=project.list+project.save&expires_at=2027-01-31
//
// permissions holds names separated by spaces, or is repeated. expires_at is "never" or
// a date; the key expires at the end of that day, UTC. The page says what is wrong with
// these values. The person sees them and can change them; no link creates a key.
//
// # Rules for every page
//
//   - It works without JavaScript. JavaScript adds buttons that copy, a search for
//     permissions and a list of those selected. If the person goes back to a form, it
//     fills in again what was typed. It prevents a form from being sent twice.
//   - Nothing is loaded from another origin, and nothing is inline: the
//     Content-Security-Policy allows only stylesheets, scripts and images of the
//     same origin, and Trusted Types prevent scripts from turning text into markup.
//   - A page may not be framed or cached, and is not sent in a Referer.
//   - What the person may not see is answered like what does not exist: 404. A person
//     gets 403 for the pages for administrators, and for the form of a new key in a
//     workspace whose keys the person may see but not create.
//   - A form can be sent only from the console's own pages
//     (net/http.CrossOriginProtection), only by the person it was made for, and
//     only for 12 hours. Over plain HTTP, except to loopback addresses, browsers send no
//     Sec-Fetch-Site, and an Origin that is null, because the Referrer-Policy is
//     no-referrer. So the console refuses all forms there.
//   - What is pasted in place of a public key, such as a private key, is in no answer and
//     no log. A public key is kept as a JWK.
//   - A form that creates a secret works once. If it is sent again, by reload or
//     with the back button, the answer names the key, and nothing is created. The
//     secret is only in the first answer. If that answer was lost and no program has
//     logged in with the secret, a button replaces the secret with a new one. (That
//     answer and the button need a store with OnceIDs, see store.Records.)
//   - A change is made only if the record is still the one that the page showed, except
//     that a workspace is suspended and resumed in any case.
//     If it was changed meanwhile, the page names the person, and changes nothing.
//   - A secret that is pasted to find its key is in no answer, no address and no entry
//     of the browser's history.
//   - If a form was not carried out because the session had ended or the store was
//     unavailable, it can be sent again from the answer, except the form that finds a
//     secret's key, and forms of more than 64 KiB if Config.Authorize returned an error,
//     because the session had ended or because of an outage.
//   - Only expiries that the rules in force allow are offered. The form of a key that
//     exists also offers to keep its expiry; if the rules no longer allow that expiry, a
//     rotation that keeps it may be refused. To find out whether a
//     key may live without an expiry, whether it may allow direct use, and whether the
//     values of a link are allowed, a form asks the service's policy about a new key,
//     which is not stored. It is named "preview", or as the link says.
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
	"path"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// Config configures a Console. Authorize is required. The zero value of each other field
// is its default. In production, set Key, too.
type Config struct {
	// Authorize returns the person who sent a request, or an error to refuse it.
	// Required. It is called once for every page, before the body is read. An
	// error that wraps store.ErrUnavailable, bearer.ErrUnavailable or the error
	// of an ended context is answered with 503, any other error as SignIn says.
	// Its text is not sent to the browser. A person whose actor has no id is
	// refused.
	Authorize func(*http.Request) (Person, error)
	// Key signs the ids of forms and the cursors of lists: at least 32 random bytes, the
	// same in every replica. Default: a random key; then they are valid only until the
	// process ends and only in this replica, and New logs a warning.
	Key []byte
	// LoginURL is the absolute URL of the token endpoint, for the commands that are shown
	// with a new secret, a public key and a trust. Default: no command is shown with a new
	// secret, and the others have the TokenURL of the service.
	LoginURL string
	// SignIn is the address to which a GET is redirected if nobody is signed in: an
	// absolute URL, or a path of the same host, such as /sign-in?next={return}. A form
	// is answered with a page with status 401, from which it can be sent again after the
	// sign-in.
	// "{return}" is replaced by the address of the page that was requested: its path
	// and query as this server received them, escaped. After the sign-in, redirect to
	// that address only if it begins with the prefix of the console, because anybody
	// can make a link to the sign-in with another address. If the prefix is "/", refuse
	// addresses that begin with "//" or "/\". See examples/signin.
	// Default: a page with status 401.
	SignIn string
	// SignOut is a path of the same host, to which the button "Sign out" sends a
	// POST. Default: no button.
	SignOut string
	// SignOutOrigins are all other origins, such as https://login.example.com, to which
	// a sign-out or a sign-in redirects the browser on its way. The
	// Content-Security-Policy allows forms to lead to them. Browsers stop a form that
	// is redirected to any other origin: the sign-out, but also a search that is sent
	// after the session has ended. The origin of SignIn is always added. Default: none.
	SignOutOrigins []string
	// Brand makes the pages those of the host's product.
	Brand Brand
	// Titles, unless nil, returns the titles of workspaces, which pages then show
	// with the ids: the first 100 characters of each. A workspace that the map leaves
	// out is shown with its id only, and so are all after an error. It is called at
	// most once for a page, with the ids of that page. ctx ends after a quarter of
	// Timeout. Titles are only for display: what a person may do is decided by ids.
	// The table of all workspaces, the page of a workspace's settings and the one that
	// suspends it show only the ids. The table of affected keys in the preview of new
	// rules shows titles.
	Titles func(ctx context.Context, ids []string) (map[string]string, error)
	// ClientAddr returns the client's address, for policies and audit events. Default: the
	// address in RemoteAddr, with or without a port. Behind a proxy use
	// oauth.BehindProxies. The first request without an address is logged.
	ClientAddr func(*http.Request) netip.Addr
	// Timeout bounds the time of a page: Authorize, the form, the store, the
	// policies and the hooks. A page that takes longer is answered with 503. The
	// preview of new rules and the list of keys out of policy check keys for at most
	// half of this time, at most about 20,000 for a page, and say so if there are
	// more. Default 2
	// seconds; 10 ms to 5 minutes. If a middleware hides the connection, the console
	// cannot bound the time in which a form arrives, and logs that. Then only
	// http.Server.ReadTimeout of the host bounds it.
	Timeout time.Duration
	// Logger receives warnings and errors and, at level Debug, why nobody is signed in.
	// Default slog.Default().
	Logger *slog.Logger
}

// Person is the person who uses the browser.
type Person struct {
	// Actor says what the person may do: apikey.Owner or
	// apikey.OrganizationAdmin.
	Actor apikey.Actor
	// Name is shown at the top of each page, and in audit events beside the
	// actor's id. Default: the actor's id.
	Name string
	// Workspaces are listed on the first page, in this order. For an owner they
	// are the owner's workspaces, for an administrator some or all. The list
	// grants nothing.
	Workspaces []string
}

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	keys    *apikey.Service
	cfg     Config
	host    *request.Host // reads requests, and logs what the host must correct
	origins *http.CrossOriginProtection
	pages   *template.Template
	assets  map[string][]byte
	version string
	policy  string // the Content-Security-Policy
	mux     *http.ServeMux
}

// New checks cfg and returns a Console that uses keys. All problems are joined
// into one error, each naming its field.
func New(keys *apikey.Service, cfg Config) (*Console, error) {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(keys != nil, "keys is nil: pass an apikey.Service")
	check(cfg.Authorize != nil, "Config.Authorize is required: it returns the person who sent a request")
	cfg.LoginURL = strings.ReplaceAll(cfg.LoginURL, "'", "%27") // the curl command has it in single quotes
	check(cfg.LoginURL == "" || isWebURL(cfg.LoginURL), "Config.LoginURL must be an absolute URL such as https://api.example.com/api/login")
	check(isPath(cfg.SignIn) || isWebURL(cfg.SignIn), "Config.SignIn must be an http or https URL, or a path of this host")
	check(isPath(cfg.SignOut), "Config.SignOut must be a path of this host")
	if u, err := url.Parse(cfg.SignIn); err == nil && u.Host != "" {
		cfg.SignOutOrigins = append(slices.Clip(cfg.SignOutOrigins), u.Scheme+"://"+u.Host)
	}
	for _, origin := range cfg.SignOutOrigins {
		u, err := url.Parse(origin)
		check(err == nil && isWebURL(origin) && origin == u.Scheme+"://"+u.Host && !strings.ContainsAny(u.Host, "*,;' "),
			"Config.SignOutOrigins: %q must be an origin such as https://login.example.com", origin)
	}
	colours := cfg.Brand.validate(check)
	var badTimeout, badKey error
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	cfg.Timeout, badTimeout = request.Timeout(cfg.Timeout)
	cfg.Key, badKey = request.SealKey(cfg.Key, "Key", "forms of the console", cfg.Logger)
	problems = append(problems, badTimeout, badKey)
	c := &Console{keys: keys, cfg: cfg, origins: http.NewCrossOriginProtection(), host: request.NewHost(cfg.ClientAddr, cfg.Logger)}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c.policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
		"form-action " + strings.Join(append([]string{"'self'"}, cfg.SignOutOrigins...), " ") + "; frame-ancestors 'none'; base-uri 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
	c.load(colours)
	c.mux = c.routes()
	return c, nil
}

// isWebURL reports whether text is an absolute http or https URL.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// isPath reports whether text is empty or the address of a path on the same host.
func isPath(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "" && u.Host == ""
}

// ServeHTTP implements http.Handler. The request's path must not include the
// prefix: see http.StripPrefix. The first page is at the prefix itself, with a
// slash at its end or without. The first path without a page is logged, since a
// wrong prefix is the likely cause.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.protect(w.Header())
	ctx, cancel := context.WithTimeout(r.Context(), c.cfg.Timeout)
	defer cancel()
	r = r.WithContext(ctx)
	switch at := r.URL.EscapedPath(); at {
	case "":
		c.serve(w, r, route{serve: (*call).home})
	case path.Clean("/" + at):
		c.mux.ServeHTTP(w, r)
	default: // the path is not clean: ServeMux would redirect to an address without the prefix
		c.missing(w, r)
	}
}

// protect sets the headers that limit what a page may do in the browser.
func (c *Console) protect(header http.Header) {
	header.Set("Content-Security-Policy", c.policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
}
