package console

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// grace is how long the other secrets still work after a rotation.
type grace struct {
	Value, Label, Note string
	Checked            bool
}

// graces offers what was chosen or, at first, a day.
func graces(chosen string) []grace {
	list := []grace{
		{Value: "0", Label: "Not at all", Note: "they and their tokens end at once: for a secret that leaked"},
		{Value: "1h", Label: "1 hour"},
		{Value: "24h", Label: "24 hours", Note: "time to bring the new secret to every program", Checked: true},
		{Value: "168h", Label: "7 days"},
		{Value: "720h", Label: "30 days"},
	}
	if chosen != "" {
		for i := range list {
			list[i].Checked = list[i].Value == chosen
		}
	}
	return list
}

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
