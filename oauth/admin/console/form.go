package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// formLives is how long a form can be sent after its page was shown. A form
// that makes a secret is remembered longer, so that none works twice.
const (
	formLives = 12 * time.Hour
	onceLives = 2 * formLives
)

const (
	formNonce = 16
	formTime  = 8
	formMAC   = 16
	formSize  = formNonce + formTime + formMAC
)

// newForm makes the id of a form: chance, the time, and a signature that ties
// both to the person.
func (s *call) newForm() string {
	id := make([]byte, formNonce+formTime, formSize)
	_, _ = rand.Read(id[:formNonce]) // never fails
	binary.BigEndian.PutUint64(id[formNonce:], uint64(max(0, s.keys().Now().Unix())))
	return base64.RawURLEncoding.EncodeToString(append(id, s.seal("form", string(id))...))
}

// validForm reports whether an id is of this person, and young enough.
func (s *call) validForm(text string) bool {
	id, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(id) != formSize {
		return false
	}
	signed := id[:formNonce+formTime]
	if !hmac.Equal(id[len(signed):], s.seal("form", string(signed))) {
		return false
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(signed[formNonce:])&(1<<62-1)), 0)
	age := s.keys().Now().Sub(made)
	return age > -time.Hour && age < formLives // replicas' clocks differ a little
}

// seal signs texts for this person.
func (s *call) seal(purpose string, texts ...string) []byte {
	actor := s.actor().Ref()
	mac := hmac.New(sha256.New, s.c.cfg.Key)
	writeAll(mac, append([]string{"latchkey console", purpose, actor.Kind, actor.ID}, texts...)...)
	return mac.Sum(nil)[:formMAC]
}

// once is the one-time id that a form stands for, in one place and for one
// person.
func (s *call) once(form string) *store.OnceID {
	actor := s.actor().Ref()
	id := sha256.New()
	writeAll(id, "latchkey console", actor.Kind, actor.ID, s.workspace(), s.key(), form)
	return &store.OnceID{
		Space: "admin.console", ID: hex.EncodeToString(id.Sum(nil)), Expires: s.keys().Now().Add(onceLives),
	}
}

// spent shows what a form has done if it was sent before.
func (s *call) spent(form string) (done bool, err error) {
	id, _, err := s.keys().Spent(s.r.Context(), *s.once(form))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	f := s.frame("keys", "Already done", id)
	if key, err := s.keys().Get(s.r.Context(), s.actor(), id); err == nil {
		f.Workspace = key.Workspace
	}
	if s.key() == "" {
		f.Title = "Already created"
	} else {
		f.Title = "Already rotated"
	}
	return true, s.show(http.StatusConflict, "again", f)
}

// onceForm is the id of the form of a page that makes a secret. It stands in
// the page's address, so that going back finds the same form and can tell what
// became of it.
func (s *call) onceForm() (form string, done bool, err error) {
	form = s.r.URL.Query().Get("form")
	if !s.validForm(form) {
		s.w.Header().Set("Location", "?form="+s.newForm())
		s.w.WriteHeader(http.StatusSeeOther)
		return "", true, nil
	}
	done, err = s.spent(form)
	return form, done, err
}

// writeAll writes texts so that no two lists of texts are written alike.
func writeAll(to hash.Hash, texts ...string) {
	var length [8]byte
	for _, text := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		_, _ = to.Write(length[:]) // a hash takes everything
		_, _ = to.Write([]byte(text))
	}
}
