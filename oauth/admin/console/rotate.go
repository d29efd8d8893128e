package console

import (
	"net/http"
	"net/url"
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

// newSecret shows the form that rotates a key.
func (s *call) newSecret() error {
	form, done, err := s.onceForm()
	if done || err != nil {
		return err
	}
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	return s.askRotation(http.StatusOK, form, &key, key.Version, url.Values{}, nil)
}

func (s *call) askRotation(status int, form string, key *apikey.Key, version int64, values url.Values, wrong []problem) error {
	data, err := s.formOf(key, values)
	if err != nil {
		return err
	}
	// The longest life counts from the secret that is about to be made.
	rules, err := s.keys().Rules(s.r.Context(), s.actor(), key.Workspace)
	if err != nil {
		return err
	}
	now := s.keys().Now()
	data.Expiry = offerExpiry(rules, now, now, key, values)
	if rules.MaxLifetime > 0 {
		data.Expiry.Hint = "Keys may live " + spanText(rules.MaxLifetime) + " at most, from this rotation on."
	}
	data.Graces, data.Version = graces(values.Get("grace")), version
	f := s.frame("keys", "Rotate "+key.Name, data)
	f.Form, f.Workspace, f.Problems = form, key.Workspace, wrong
	return s.show(status, "rotate", f)
}

// rotateKey adds a fresh secret and shows it: here and never again.
func (s *call) rotateKey() error {
	ctx, values := s.r.Context(), s.r.PostForm
	form := values.Get("form")
	if done, err := s.spent(form); done || err != nil {
		return err
	}
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	rules, err := s.keys().Rules(ctx, s.actor(), key.Workspace)
	if err != nil {
		return err
	}
	now, version := s.keys().Now(), s.version()
	rotation := apikey.Rotation{Once: s.once(form), Changes: apikey.Changes{Version: version, Address: s.c.clients.Addr(s.r)}}
	wrong := []problem{{"grace", "Grace period: choose how long the other secrets still work."}}
	for _, g := range graces("") {
		if g.Value == values.Get("grace") {
			rotation.Grace, wrong = g.length, nil
		}
	}
	expiry, keep, bad := chosenExpiry(rules, now, now, values)
	switch {
	case bad != nil:
		wrong = append(wrong, *bad)
	case !keep:
		rotation.Changes.Expiry = &expiry
	}
	ask := func(status int, wrong []problem) error {
		return s.askRotation(status, form, &key, version, values, wrong)
	}
	if len(wrong) > 0 {
		return ask(http.StatusUnprocessableEntity, wrong)
	}
	rotated, secret, err := s.keys().Rotate(ctx, s.actor(), key.ID, rotation)
	if err != nil {
		return s.orAgain(form, err, ask)
	}
	return s.showSecret(http.StatusOK, "Key rotated", &rotated, secret)
}
