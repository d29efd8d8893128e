package console

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// formLives is how long a form can be sent after its page was shown. A form
// that makes a secret is remembered longer, so that none works twice.
const (
	formLives = 12 * time.Hour
	onceLives = 2 * formLives
)

// newForm makes the id of a form: the time and chance, sealed for the person.
func (s *call) newForm() string {
	id := strconv.FormatInt(s.keys().Now().Unix(), 10) + " " + rand.Text()
	return request.Seal(s.c.cfg.Key, []byte(id), s.bound("form")...)
}

// validForm reports whether an id is of this person, and young enough.
func (s *call) validForm(text string) bool {
	id, ok := request.Open(s.c.cfg.Key, text, s.bound("form")...)
	made, _, _ := strings.Cut(string(id), " ")
	seconds, err := strconv.ParseInt(made, 10, 64)
	age := s.keys().Now().Sub(time.Unix(seconds, 0))
	return ok && err == nil && age > -time.Hour && age < formLives // replicas' clocks differ a little
}

// bound is what sealed texts are bound to: this person, and further texts.
func (s *call) bound(purpose string, texts ...string) []string {
	actor := s.actor().Ref()
	return append([]string{"latchkey console", purpose, actor.Kind, actor.ID}, texts...)
}

// once is the one-time id that a form stands for, in one place and for one
// person.
func (s *call) once(form string) *store.OnceID {
	id := request.Digest(s.bound("once", s.workspace(), s.key(), form)...)
	return &store.OnceID{Space: "admin.console", ID: id, Expires: s.keys().Now().Add(onceLives)}
}

// errAnswered says that the request has its answer already.
var errAnswered = errors.New("console: answered")

// onceForm returns the id of a form that makes a secret, unless it was sent before. It
// stands in the page's address, so that going back finds the same form and can tell
// what became of it.
func (s *call) onceForm() (id string, err error) {
	id = cmp.Or(s.r.PostForm.Get("form"), s.r.URL.Query().Get("form")) // FormValue would read a body of GET, too
	if !s.validForm(id) {
		s.w.Header().Set("Location", "?form="+s.newForm())
		s.w.WriteHeader(http.StatusSeeOther)
		return "", errAnswered
	}
	return id, s.spent(id)
}

// spent answers for a form that was sent before: with what it did.
func (s *call) spent(form string) error {
	id, _, err := s.keys().Spent(s.r.Context(), *s.once(form))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	title := "Already created"
	if s.key() != "" {
		title = "Already rotated"
	}
	key, err := s.keys().Get(s.r.Context(), s.actor(), id)
	if err != nil { // it may have been deleted since
		key.Workspace = s.workspace()
	}
	shown := s.show(http.StatusConflict, "again", frame{Here: "keys", Title: title, Workspace: key.Workspace, Data: id})
	return cmp.Or(shown, errAnswered)
}

// orAgain answers for a form that failed: where the same form was carried out
// meanwhile, that is why; what can be mended is asked again.
func (f *keyForm) orAgain(err error) error {
	if errors.Is(err, store.ErrExists) {
		if again := f.call.spent(f.id); again != nil {
			return again
		}
	}
	return f.call.orAsk(err, f.ask)
}

// version is that of the record that the form was made from. A form without
// one matches no record.
func (s *call) version() int64 {
	version, err := strconv.ParseInt(s.r.PostForm.Get("version"), 10, 64)
	if err != nil || version <= 0 {
		return -1
	}
	return version
}
