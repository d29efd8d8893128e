package fleet_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tokenLifetime and rotateEvery are chosen so that the full form also retires keys whose
// last token has expired.
func tokenLifetime() time.Duration {
	if soak() {
		return 24 * time.Hour
	}
	return 40 * time.Minute
}

func rotateEvery() time.Duration {
	if soak() {
		return 20 * time.Hour
	}
	return time.Hour
}

// rotations checks that processes share and rotate signing keys while their clocks differ
// by seconds, and that all of them accept the tokens that one of them signs.
func rotations(t *testing.T, fleet []*replica) {
	t.Helper()
	w := &ringWatch{T: t, fleet: fleet, kids: map[string]int{}}
	w.key = fleet[0].create(t, "team-a")
	first := kid(t, fleet[0].login(t, w.key))
	now := start
	for w.rotations() < 3 || soak() && slices.Contains(w.published(), first) {
		require.Less(t, now.Sub(start), 10*rotateEvery(), "rotations in that time: %d", w.rotations())
		now = now.Add(7 * time.Minute) // less than the time for which a new key is published before it signs
		w.step(now)
	}
	require.Zero(t, w.refused, "tokens refused")
	t.Logf("%s: %d tokens signed by %d keys, %d checks, %d refused", now.Sub(start), w.issued, len(w.kids), w.checks, w.refused)
}

// ringWatch issues tokens at all processes and checks them at all processes.
type ringWatch struct {
	*testing.T
	fleet []*replica
	key   made
	kids  map[string]int // how many tokens each key signed
	aside []set          // tokens that no process has seen yet, oldest first
	steps int

	issued, checks, refused int
}

// set is the tokens that the processes issued at one time.
type set struct {
	at     time.Time
	tokens []string
}

// rotations returns how many rotations every process has taken part in.
func (w *ringWatch) rotations() int {
	rotations := -1
	for _, n := range w.kids {
		if n >= len(w.fleet) {
			rotations++
		}
	}
	return rotations
}

// step moves the clocks, makes one process check the signing keys, as each does once a
// minute, and checks new tokens and tokens that are about to expire.
func (w *ringWatch) step(now time.Time) {
	w.Helper()
	for i, r := range w.fleet {
		r.order(w.T, "clock", order{Now: now.Add(time.Duration(i) * 20 * time.Second)})
	}
	// Each step uses a new key, since the limit of logins may use a clock that the test
	// does not move.
	w.key = w.fleet[0].create(w.T, "team-a")
	w.fleet[w.steps%len(w.fleet)].order(w.T, "prompt", order{})
	w.steps++
	later := set{at: now}
	for _, r := range w.fleet {
		token := r.login(w.T, w.key)
		w.kids[kid(w.T, token)]++
		w.issued++
		w.check(token)
		later.tokens = append(later.tokens, r.login(w.T, w.key))
		w.issued++
	}
	w.aside = append(w.aside, later)
	// The clocks differ by less than a minute.
	for len(w.aside) > 0 && now.Sub(w.aside[0].at) > tokenLifetime()-8*time.Minute {
		for _, token := range w.aside[0].tokens {
			w.check(token)
		}
		w.aside = w.aside[1:]
	}
}

func (w *ringWatch) check(token string) {
	w.Helper()
	for i, r := range w.fleet {
		w.checks++
		if status := r.call(w.T, w.key, token); status != http.StatusOK {
			w.refused++
			w.Errorf("process %d answers %d to a token of %s", i, status, kid(w.T, token))
		}
	}
}

// published returns the key ids of the first process's key set.
func (w *ringWatch) published() []string {
	w.Helper()
	res, err := http.Get("http://" + w.fleet[0].Public + "/.well-known/jwks.json")
	require.NoError(w, err)
	defer res.Body.Close()
	var jwks struct{ Keys []struct{ Kid string } }
	require.NoError(w, json.NewDecoder(res.Body).Decode(&jwks))
	var kids []string
	for _, key := range jwks.Keys {
		kids = append(kids, key.Kid)
	}
	return kids
}

func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	require.NoError(t, err)
	var header struct{ Kid string }
	require.NoError(t, json.Unmarshal(text, &header))
	return header.Kid
}
