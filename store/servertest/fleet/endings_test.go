package fleet_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// revocations are the changes that revoke tokens.
var revocations = []struct {
	change string
	// login is the status of a login with the key's old secret after the change.
	login int
	// undo, unless empty, is the change that reverts it.
	undo string
}{
	{"disable", http.StatusUnauthorized, "enable"},
	{"delete", http.StatusUnauthorized, ""},
	{"rotate", http.StatusUnauthorized, ""},
	{"narrow", http.StatusOK, ""},
	{"suspend", http.StatusUnauthorized, ""},
	{"delete-workspace", http.StatusUnauthorized, ""},
	{"keys-off", http.StatusUnauthorized, "keys-on"},
}

// TestRevocations makes each change in one process, and checks that all processes refuse the
// token, also after the change was reverted.
func TestRevocations(t *testing.T) {
	parallelUnlessTimed(t)
	s := onBoth.spec(t)
	fleet := launch(t, s, s)
	for _, e := range revocations {
		t.Run("B07 "+e.change, func(t *testing.T) {
			m := fleet[0].create(t, newName())
			token := fleet[0].login(t, m)
			for _, r := range fleet {
				require.Equal(t, http.StatusOK, r.call(t, m, token))
			}
			o := order{Workspace: m.Workspace, Key: m.Key}
			fleet[0].order(t, e.change, o)
			requireRefused(t, fleet, m, token)
			settled(t, fleet, "the login", func(r *replica) bool { return r.loginStatus(t, m) == e.login })
			requireRefused(t, fleet, m, token)
			if e.undo == "" {
				return
			}
			fleet[0].order(t, e.undo, o)
			settled(t, fleet, "a login", func(r *replica) bool { return r.loginStatus(t, m) == http.StatusOK })
			requireRefused(t, fleet, m, token)
			fresh := fleet[1].login(t, m)
			for _, r := range fleet {
				require.Equal(t, http.StatusOK, r.call(t, m, fresh), "a new token")
			}
		})
	}
}

// settled waits until holds returns true for all processes.
func settled(t *testing.T, fleet []*replica, what string, holds func(r *replica) bool) {
	t.Helper()
	for i, r := range fleet {
		require.Eventually(t, func() bool { return holds(r) }, patience, 5*time.Millisecond, "%s at process %d", what, i)
	}
}

// requireRefused waits until all processes refuse a token, and checks that they keep
// refusing it.
func requireRefused(t *testing.T, fleet []*replica, m made, token string) {
	t.Helper()
	settled(t, fleet, "the refusal of the token", func(r *replica) bool { return r.call(t, m, token) == http.StatusUnauthorized })
	for _, r := range fleet {
		require.Equal(t, http.StatusUnauthorized, r.call(t, m, token), "the token was refused and then accepted again")
	}
}
