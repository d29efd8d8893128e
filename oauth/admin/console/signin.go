package console

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// signIn is what Config.InsecureSignIn asks for: pages on which everybody
// may choose any person to sign in as, and the sessions that they begin.
type signIn struct {
	people []Person
	now    func() time.Time

	mu       sync.Mutex
	sessions []session // the oldest first
}

type session struct {
	token  string
	person Person
	ends   time.Time
}

const (
	// The prefix keeps other hosts, other paths and plain HTTP from setting the
	// cookie (RFC 6265bis, section 4.1.3.2).
	sessionCookie = "__Host-latchkey-console"
	sessionLives  = 12 * time.Hour
	maxSessions   = 100
)

var errNoSession = errors.New("console: no such session")

// newSignIn checks the people of Config.InsecureSignIn.
func newSignIn(people []Person, now func() time.Time) (*signIn, error) {
	ids := map[string]bool{}
	for i, person := range people {
		id := person.Actor.Ref().ID
		if id == "" || ids[id] {
			return nil, fmt.Errorf("Config.InsecureSignIn[%d] needs an actor with an id of its own", i)
		}
		ids[id] = true
	}
	return &signIn{people: slices.Clone(people), now: now}, nil
}

// authorize is Config.Authorize.
func (l *signIn) authorize(r *http.Request) (Person, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.find(r)
	if at < 0 || !l.now().Before(l.sessions[at].ends) {
		return Person{}, errNoSession
	}
	return l.sessions[at].person, nil
}

// begin makes a session and forgets that of the request: one that somebody
// else chose is worth nothing.
func (l *signIn) begin(r *http.Request, person Person) (token string) {
	token = rand.Text()
	l.end(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions) >= maxSessions {
		l.sessions = slices.Delete(l.sessions, 0, 1)
	}
	l.sessions = append(l.sessions, session{token, person, l.now().Add(sessionLives)})
	return token
}

func (l *signIn) end(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.find(r); at >= 0 {
		l.sessions = slices.Delete(l.sessions, at, at+1)
	}
}

// find is the place of a request's session, or -1.
func (l *signIn) find(r *http.Request) int {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(l.sessions, func(s session) bool {
		return subtle.ConstantTimeCompare([]byte(s.token), []byte(cookie.Value)) == 1
	})
}

// address is that of a page to sign in or out: the console's own, or the host's.
func (s *call) address(own, hosts string) string {
	if s.c.signIn != nil {
		return join(s.root(), own)
	}
	return hosts
}

// askWho shows the people to choose from.
func (s *call) askWho() error {
	return s.show(http.StatusOK, "signin", frame{Title: "Sign in", Data: s.c.signIn.people})
}

// signIn begins the session of the person that was chosen.
func (s *call) signIn() error {
	if err := s.readForm(4 << 10); err != nil {
		return err
	}
	id := s.r.PostForm.Get("person")
	for _, person := range s.c.signIn.people {
		if person.Actor.Ref().ID == id {
			s.setSession(s.c.signIn.begin(s.r, person), 0)
			return s.redirect("")
		}
	}
	return errNobody
}

// signOut ends the session, here and in the browser.
func (s *call) signOut() error {
	s.c.signIn.end(s.r)
	s.setSession("", -1)
	return s.redirect("", "sign-in")
}

func (s *call) setSession(token string, maxAge int) {
	http.SetCookie(s.w, &http.Cookie{
		Name: sessionCookie, Value: token, MaxAge: maxAge, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// overLoopback reports whether a request was sent on this machine, to this
// machine, under a name that no other has: by a proxy or a page whose own name
// was bound to this address it was not. If that is not known, it was not.
func overLoopback(r *http.Request) bool {
	local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !known {
		return false
	}
	// An address without a port is not net/http's: a middleware took it from a
	// header, which anybody can write.
	to, err := netip.ParseAddrPort(local.String())
	from, unknown := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || unknown != nil || !to.Addr().Unmap().IsLoopback() || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	return request.IsLoopback(strings.Trim(name, "[]"))
}
