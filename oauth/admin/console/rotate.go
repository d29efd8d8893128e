package console

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// rotateKey adds a fresh secret and shows it: here and never again.
func (s *call) rotateKey() error {
	f, err := s.keyForm("rotate")
	if err != nil {
		return err
	}
	rotation := apikey.Rotation{Once: s.once(f.id), Changes: apikey.Changes{Version: f.Version, Address: s.c.clients.Addr(s.r), Expiry: f.expiry()}}
	if rotation.Grace, err = time.ParseDuration(f.Get("grace")); err != nil {
		f.fail("grace", "Choose how long the other secrets still work.")
	}
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	key, secret, err := s.keys().Rotate(s.r.Context(), s.actor(), f.Key.ID, rotation)
	if err != nil {
		return f.orAgain(err)
	}
	return s.showSecret(http.StatusOK, "Key rotated", key, secret)
}
