package console

import (
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// grace is how long the other secrets still work after a rotation.
type grace struct {
	Value, Label, Note string
	Checked            bool
	length             time.Duration
}

func graces(chosen string) []grace {
	list := []grace{
		{"0", "Not at all", "they and their tokens end at once: for a secret that leaked", false, 0},
		{"1h", "1 hour", "", false, time.Hour},
		{"24h", "24 hours", "time to bring the new secret to every program", false, day},
		{"7d", "7 days", "", false, 7 * day},
		{"30d", "30 days", "", false, 30 * day},
	}
	if !slices.ContainsFunc(list, func(g grace) bool { return g.Value == chosen }) {
		chosen = "24h"
	}
	for i := range list {
		list[i].Checked = list[i].Value == chosen
	}
	return list
}

// rotateKey adds a fresh secret and shows it: here and never again.
func (s *call) rotateKey() error {
	f, done, err := s.onceForm("rotate")
	if done || err != nil {
		return err
	}
	rotation := apikey.Rotation{Once: s.once(f.id), Changes: apikey.Changes{Version: f.Version, Address: s.c.clients.Addr(s.r)}}
	wrong := []problem{{"grace", "Grace period: choose how long the other secrets still work."}}
	for _, g := range graces("") {
		if g.Value == f.Values.Get("grace") {
			rotation.Grace, wrong = g.length, nil
		}
	}
	expiry, bad := f.expiry()
	rotation.Changes.Expiry = expiry
	if wrong = append(wrong, bad...); len(wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, wrong)
	}
	rotated, secret, err := s.keys().Rotate(s.r.Context(), s.actor(), f.key.ID, rotation)
	if err != nil {
		return f.orAgain(err)
	}
	return s.showSecret(http.StatusOK, "Key rotated", &rotated, secret)
}
