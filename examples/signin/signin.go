// Package signin lets every user of this machine sign in to the console as any person.
// Use it to try the console before your backend has a sign-in. It is an example and not a
// part of the library: copy what you need.
package signin

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// pages are the pages to sign in and out, and the sessions. A session ends when the
// person signs out, after 12 hours, at the end of the process, and after a hundred newer
// sessions.
type pages struct {
	prefix string
	people []console.Person
	now    func() time.Time

	mu       sync.Mutex
	sessions []session // the oldest first
}

type session struct {
	token  string
	person console.Person
	ends   time.Time
}

const (
	// With the prefix, browsers refuse this cookie from other hosts, for other paths and
	// over plain HTTP (RFC 6265bis, section 4.1.3.2). Browsers other than Safari accept a
	// Secure cookie from loopback without TLS.
	cookieName   = "__Host-latchkey-console"
	sessionLives = 12 * time.Hour
	maxSessions  = 100
)

var errNoSession = errors.New("signin: no such session")

// Console returns a console below a prefix such as "/console", with pages to sign in as
// any of these people. Each person needs an actor with an id of their own. Console sets
// Authorize, SignIn and SignOut of cfg. Requests from other machines are answered with 403.
func Console(prefix string, keys *apikey.Service, people []console.Person, cfg console.Config) (http.Handler, error) {
	ids := map[string]bool{"": true}
	for i, person := range people {
		id := person.Actor.Ref().ID
		if ids[id] {
			return nil, fmt.Errorf("signin: person %d (the first is 0) needs an actor with an id that no other person has", i)
		}
		ids[id] = true
	}
	p := &pages{prefix: prefix, people: slices.Clone(people), now: keys.Now}
	cfg.Authorize, cfg.SignIn, cfg.SignOut = p.authorize, prefix+"/sign-in?return={return}", prefix+"/sign-out"
	inner, err := console.New(keys, cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"/sign-in", p.ask)
	mux.HandleFunc("POST "+prefix+"/sign-in", p.signIn)
	mux.HandleFunc("POST "+cfg.SignOut, p.signOut)
	mux.Handle(prefix+"/", http.StripPrefix(prefix, inner))
	return onLoopback(http.NewCrossOriginProtection().Handler(mux)), nil
}

// authorize is Config.Authorize of the console.
func (p *pages) authorize(r *http.Request) (console.Person, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.sessionIndex(r)
	if at < 0 || !p.now().Before(p.sessions[at].ends) {
		return console.Person{}, errNoSession
	}
	return p.sessions[at].person, nil
}

//nolint:gochecknoglobals // read only
var page = template.Must(template.New("sign-in").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in</title>
<link rel="stylesheet" href="console.css">
</head>
<body>
<main>
<h1>Sign in</h1>
<p class="note warn">Use this page only to try the console on your own machine: everyone can sign in without a password.</p>
<form method="post"><ul class="plain actions">{{range .}}<li><button name="person" value="{{.Actor.Ref.ID}}"><bdi>{{or .Name .Actor.Ref.ID}}</bdi></button></li>{{end}}</ul></form>
</main>
</body>
</html>
`))

// ask shows the people to choose from.
func (p *pages) ask(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Cache-Control", "no-store")
	_ = page.Execute(w, p.people) //nolint:errcheck // fails only if the browser has disconnected
}

// signIn starts a new session for the chosen person, and ends the session of the request. So
// a session id that someone else has put into the browser is of no use (session fixation).
func (p *pages) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	id := r.PostFormValue("person")
	at := slices.IndexFunc(p.people, func(person console.Person) bool { return person.Actor.Ref().ID == id })
	if at < 0 {
		http.Error(w, "Choose one of the people on the page.", http.StatusUnprocessableEntity)
		return
	}
	token := rand.Text()
	p.endSession(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sessions) >= maxSessions {
		p.sessions = slices.Delete(p.sessions, 0, 1)
	}
	p.sessions = append(p.sessions, session{token, p.people[at], p.now().Add(sessionLives)})
	setCookie(w, token, 0)
	http.Redirect(w, r, p.consoleAddress(r.URL.Query().Get("return")), http.StatusSeeOther) //nolint:gosec // back allows pages of the console only
}

// consoleAddress returns where the sign-in leads: the given address if it is a page of
// the console, and otherwise the console's first page. Anybody can make a link to the
// sign-in with another address (an open redirect). An address that leaves the console by
// ".." is refused as well: browsers resolve "..", also if it is escaped.
func (p *pages) consoleAddress(to string) string {
	at, err := url.Parse(to)
	if err != nil || at.Scheme != "" || at.Host != "" || !strings.HasPrefix(at.EscapedPath(), p.prefix+"/") || !strings.HasPrefix(path.Clean(at.Path)+"/", p.prefix+"/") {
		return p.prefix + "/"
	}
	return at.RequestURI()
}

// signOut ends the session, here and in the browser.
func (p *pages) signOut(w http.ResponseWriter, r *http.Request) {
	p.endSession(r)
	setCookie(w, "", -1)
	http.Redirect(w, r, p.prefix+"/sign-in", http.StatusSeeOther)
}

func (p *pages) endSession(r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.sessionIndex(r); at >= 0 {
		p.sessions = slices.Delete(p.sessions, at, at+1)
	}
}

// sessionIndex returns the index of a request's session, or -1.
func (p *pages) sessionIndex(r *http.Request) int {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(p.sessions, func(s session) bool {
		return subtle.ConstantTimeCompare([]byte(s.token), []byte(cookie.Value)) == 1
	})
}

func setCookie(w http.ResponseWriter, token string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: token, MaxAge: maxAge, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
