package console

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// formLives is how long a form can be sent after its page was shown. The id of a
// form that creates a secret is stored longer, so that no form works twice.
const (
	formLives = 12 * time.Hour
	onceLives = 2 * formLives
)

// newForm returns the id of a new form: the time and a random text, sealed for the
// person.
func (s *call) newForm() string {
	id := strconv.FormatInt(s.keys().Now().Unix(), 10) + " " + rand.Text()
	return request.Seal(s.c.cfg.Key, []byte(id), s.bound("form")...)
}

// validForm reports whether an id was made for this person and has not expired.
func (s *call) validForm(text string) bool {
	id, ok := request.Open(s.c.cfg.Key, text, s.bound("form")...)
	made, _, _ := strings.Cut(string(id), " ")
	seconds, err := strconv.ParseInt(made, 10, 64)
	age := s.keys().Now().Sub(time.Unix(seconds, 0))
	return ok && err == nil && age > -time.Hour && age < formLives // clocks of replicas differ
}

// bound returns the texts that a sealed text is bound to: the person and others.
func (s *call) bound(purpose string, texts ...string) []string {
	actor := s.actor().Ref()
	return append([]string{"latchkey console", purpose, actor.Kind, actor.ID}, texts...)
}

// once returns the one-time id for a form, which depends on the person and on the
// workspace and key in the path.
func (s *call) once(form string) *store.OnceID {
	id := request.Digest(s.bound("once", s.workspace(), s.key(), form)...)
	return &store.OnceID{Space: "admin.console", ID: id, Expires: s.keys().Now().Add(onceLives)}
}

// errAnswered means that the answer was already written.
var errAnswered = errors.New("console: answered")

// onceForm returns the id of a form that creates a secret. If the form was sent
// before, it answers the request and returns errAnswered. The id is in the page's
// address, so that the back button leads to the same form.
func (s *call) onceForm() (id string, err error) {
	id = cmp.Or(s.r.PostForm.Get("form"), s.r.URL.Query().Get("form")) // FormValue would also read the body of a GET
	if !s.validForm(id) {
		query := s.r.URL.Query()
		query.Set("form", s.newForm())
		s.w.Header().Set("Location", "?"+query.Encode())
		s.w.WriteHeader(http.StatusSeeOther)
		return "", errAnswered
	}
	return id, s.spent(id)
}

// sentBefore is the data of the page for a form that was sent before.
type sentBefore struct {
	ID   string
	Key  apikey.Key // empty if it was deleted
	Lost string     // the id of the secret that the form gave, if it can be replaced
}

// spent answers the request if the form was sent before: the page names the key
// that it created or rotated. Until a program has logged in with the form's secret,
// or somebody has changed the key, the page offers to replace the secret.
func (s *call) spent(form string) error {
	id, version, err := s.keys().FindOnce(s.r.Context(), *s.once(form))
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
	again, unwritten := sentBefore{ID: id}, s.keys().Flush(s.r.Context()) // LastUsed is as of the last Flush
	again.Key, _ = s.keys().Get(s.r.Context(), s.actor(), id)             //nolint:errcheck // the key may have been deleted
	if last := len(again.Key.Secrets) - 1; unwritten == nil && last >= 0 && strconv.FormatInt(again.Key.Version, 10) == version &&
		again.Key.Standing.Live() && again.Key.Secrets[last].LastUsed.IsZero() {
		again.Lost = again.Key.Secrets[last].ID
	}
	shown := s.show(http.StatusConflict, "again", frame{Here: "keys", Title: title, Workspace: cmp.Or(again.Key.Workspace, s.workspace()), Data: again})
	return cmp.Or(shown, errAnswered)
}

// once returns the one-time id of the form. With it the store keeps the version that
// the form gives the key.
func (f *keyForm) once() *store.OnceID {
	once := f.call.once(f.id)
	once.Value = strconv.FormatInt(max(f.Version, 0)+1, 10)
	return once
}

// orAgain handles the error of a form. If the form creates a secret and a concurrent
// request carried it out, that may be the reason for any error, such as a reached
// limit: then it shows the page for that. If the person can correct the form, it shows
// the form again.
func (f *keyForm) orAgain(err error) error {
	if err != nil && f.id != "" && errors.Is(f.call.spent(f.id), errAnswered) {
		return errAnswered
	}
	return f.call.orAsk(err, f.ask)
}

// version returns the version of the record when the form was made. The lowest one is 1
// for a key, and 0 for settings that were never saved. A form without a version matches
// no record.
func (s *call) version(lowest int64) int64 {
	version, err := strconv.ParseInt(s.r.PostForm.Get("version"), 10, 64)
	if err != nil || version < lowest {
		return -1
	}
	return version
}
