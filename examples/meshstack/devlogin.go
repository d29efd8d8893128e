package main

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// devLogin stands in for a host's sign-in, so that the console can be tried:
// whoever asks is let in as whom he likes. That is for a loopback address only.
type devLogin struct {
	people []devPerson
	page   *template.Template

	mu       sync.Mutex
	sessions map[string]devSession
}

type devPerson struct {
	ID, Role string
	console.Person
}

type devSession struct {
	person devPerson
	ends   time.Time
}

const (
	// The prefix __Host- keeps other hosts and paths from setting the cookie.
	sessionCookie = "__Host-meshstack-session"
	sessionLives  = 12 * time.Hour
)

// withConsole adds the console, and a way to sign in to it, to the routes.
func withConsole(routes http.Handler, srv *oauth.Server, ws workspaces, s *secrets, base string) (http.Handler, error) {
	first := adminWorkspace
	for _, id := range ws {
		if id != adminWorkspace {
			first = id
			break
		}
	}
	login := &devLogin{page: template.Must(template.New("").Parse(signInPage)), sessions: map[string]devSession{}, people: []devPerson{
		{"ada", "administrator of everything", console.Person{Actor: apikey.OrganizationAdmin("ada"), Name: "Ada", Workspaces: ws}},
		{"olga", "owner of " + first, console.Person{Actor: apikey.Member("olga", apikey.Owner, first), Name: "Olga", Workspaces: []string{first}}},
		{"max", "manager of " + first, console.Person{Actor: apikey.Member("max", apikey.Manager, first), Name: "Max", Workspaces: []string{first}}},
		{"sam", "no part in any workspace", console.Person{Actor: apikey.Member("sam", "visitor"), Name: "Sam"}},
	}}
	pages, err := console.New(srv.Keys(), console.Config{
		Authorize: login.whoSignedIn,
		Key:       s.cursorKey(),
		LoginURL:  base + "/api/login",
		SignIn:    "/dev-login",
		SignOut:   "/dev-logout",
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", routes)
	mux.Handle("/console/", http.StripPrefix("/console", pages))
	origins := http.NewCrossOriginProtection()
	mux.HandleFunc("GET /dev-login", login.ask)
	mux.Handle("POST /dev-login", origins.Handler(http.HandlerFunc(login.signIn)))
	mux.Handle("POST /dev-logout", origins.Handler(http.HandlerFunc(login.signOut)))
	return mux, nil
}

// whoSignedIn is console.Config.Authorize.
func (l *devLogin) whoSignedIn(r *http.Request) (console.Person, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return console.Person{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	session, found := l.sessions[cookie.Value]
	if !found || time.Now().After(session.ends) {
		return console.Person{}, errors.New("no such session")
	}
	return session.person.Person, nil
}

const signInPage = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign in</title>
<link rel="icon" href="/console/icon.svg"><link rel="stylesheet" href="/console/console.css"></head>
<body><main><h1>Sign in</h1><p class="note warn">This is for trying things out on one's own machine: whoever asks is let in.</p>
<form method="post"><ul class="plain actions">{{range .}}<li><button name="person" value="{{.ID}}">{{.Name}}, {{.Role}}</button></li>{{end}}</ul></form></main></body></html>
`

func (l *devLogin) ask(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	_ = l.page.Execute(w, l.people) //nolint:errcheck // the browser is gone; nobody to tell
}

func (l *devLogin) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	id := r.PostFormValue("person")
	for _, person := range l.people {
		if person.ID != id {
			continue
		}
		// Always a new session: one that somebody else chose is worth nothing.
		token := rand.Text()
		l.mu.Lock()
		l.sessions[token] = devSession{person, time.Now().Add(sessionLives)}
		l.mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, "/console/", http.StatusSeeOther)
		return
	}
	http.Error(w, "There is no such person.", http.StatusBadRequest)
}

func (l *devLogin) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		l.mu.Lock()
		delete(l.sessions, cookie.Value)
		l.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/dev-login", http.StatusSeeOther)
}

// onlyHere refuses -dev-login on an address that others reach.
func onlyHere(listener net.Listener) error {
	if addr, ok := listener.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		return errors.New("-dev-login lets everybody in: it needs a loopback -addr such as 127.0.0.1:8080")
	}
	return nil
}
