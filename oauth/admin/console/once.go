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

// A form can be sent for formLifetime after its page was shown. The one-time id of a
// form that creates a secret is stored longer, so that no form works twice.
const (
	formLifetime   = 12 * time.Hour
	onceIDLifetime = 2 * formLifetime
)

// newFormID returns the id of a new form: the time and a random text, signed for the
// person.
func (s *call) newFormID() string {
	id := strconv.FormatInt(s.keys().Now().Unix(), 10) + " " + rand.Text()
	return request.Seal(s.c.cfg.Key, []byte(id), s.signedContext("form")...)
}

// validFormID reports whether an id was made for this person and has not expired.
func (s *call) validFormID(text string) bool {
	id, ok := request.Open(s.c.cfg.Key, text, s.signedContext("form")...)
	made, _, _ := strings.Cut(string(id), " ")
	seconds, err := strconv.ParseInt(made, 10, 64)
	age := s.keys().Now().Sub(time.Unix(seconds, 0))
	return ok && err == nil && age > -time.Hour && age < formLifetime // clocks of replicas may differ
}

// signedContext returns the context that a text is signed with: its purpose, the person and
// further texts.
func (s *call) signedContext(purpose string, texts ...string) []string {
	actor := s.actor().Ref()
	return append([]string{"latchkey console", purpose, actor.Kind, actor.ID}, texts...)
}

// onceID returns the one-time id for a form. It depends on the form's id, the person,
// and the workspace and key in the path.
func (s *call) onceID(form string) *store.OnceID {
	id := request.Digest(s.signedContext("once", s.workspace(), s.key(), form)...)
	return &store.OnceID{Space: "admin.console", ID: id, Expires: s.keys().Now().Add(onceIDLifetime)}
}

// errAnswered means that the answer was already written.
var errAnswered = errors.New("console: answered")

// onceFormID returns the id of a form that creates a secret. If the form was sent
// before, it answers the request and returns errAnswered. The id is in the page's
// address, so that the back button leads to the same form.
func (s *call) onceFormID() (id string, err error) {
	id = cmp.Or(s.r.PostForm.Get("form"), s.r.URL.Query().Get("form")) // FormValue would also read the body of a GET
	if !s.validFormID(id) {
		query := s.r.URL.Query()
		query.Set("form", s.newFormID())
		s.w.Header().Set("Location", "?"+query.Encode())
		s.w.WriteHeader(http.StatusSeeOther)
		return "", errAnswered
	}
	return id, s.answerRepeated(id)
}

// sentBefore is the data of the page for a form that was sent before.
type sentBefore struct {
	ID   string
	Key  apikey.Key // empty if it was deleted, or the person may no longer see it
	Lost string     // the id of the secret that the form gave, if it can be replaced
}

// answerRepeated answers the request if its form was sent before, and then returns
// errAnswered. The page names the key that the form created or rotated. It offers to
// replace the secret if the key works, nobody has changed the key since, no login with
// the secret is recorded, and Flush succeeded, so that this process's logins are recorded.
func (s *call) answerRepeated(form string) error {
	id, version, err := s.keys().FindOnce(s.r.Context(), *s.onceID(form))
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
	again, flushErr := sentBefore{ID: id}, s.keys().Flush(s.r.Context()) // LastUsed is written by Flush
	again.Key, err = s.keys().Get(s.r.Context(), s.actor(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	secrets := ofKind("secret", again.Key.Credentials)
	if last := len(secrets) - 1; flushErr == nil && last >= 0 && strconv.FormatInt(again.Key.Version, 10) == version &&
		again.Key.Standing.Live() && secrets[last].LastUsed.IsZero() {
		again.Lost = secrets[last].ID
	}
	showErr := s.show(http.StatusConflict, "again", frame{Here: "keys", Title: title, Workspace: cmp.Or(again.Key.Workspace, s.workspace()), Data: again})
	return cmp.Or(showErr, errAnswered)
}

// onceID returns the one-time id of the form. Its Value is the version that the key will
// have: answerRepeated compares it to see whether the key was changed since.
func (f *keyForm) onceID() *store.OnceID {
	once := f.call.onceID(f.id)
	once.Value = strconv.FormatInt(max(f.Version, 0)+1, 10)
	return once
}

// handleFormError handles the error of a form. If the form creates a secret and a
// concurrent request has carried it out, that may be the reason for the error, such as a
// reached limit: then it answers as to a repeated form. Otherwise it shows the form again
// if the person can correct it.
func (f *keyForm) handleFormError(err error) error {
	if err != nil && f.id != "" && errors.Is(f.call.answerRepeated(f.id), errAnswered) {
		return errAnswered
	}
	return f.call.handleFormError(err, f.ask)
}

// version returns the version that the record had when the form was made. The lowest
// version is 1 for a key, and 0 for settings that were never saved. If the form has no
// valid version, it returns -1, which no record has.
func (s *call) version(lowest int64) int64 {
	version, err := strconv.ParseInt(s.r.PostForm.Get("version"), 10, 64)
	if err != nil || version < lowest {
		return -1
	}
	return version
}
