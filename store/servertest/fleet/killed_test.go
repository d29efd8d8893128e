package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// ending is a change that ends tokens.
type ending struct {
	change string
	// login is what the key's old secret gets once the change was made.
	login int
	// undo, unless empty, takes the change back.
	undo string
}

var endings = []ending{
	{"disable", http.StatusUnauthorized, "enable"},
	{"delete", http.StatusUnauthorized, ""},
	{"rotate", http.StatusUnauthorized, ""},
	{"narrow", http.StatusOK, ""},
	{"suspend", http.StatusUnauthorized, ""},
	{"delete-workspace", http.StatusUnauthorized, ""},
	{"keys-off", http.StatusUnauthorized, "keys-on"},
}

// killing is a fleet with keys in SQL and epochs in Redis, one of whose
// processes is killed in the middle of a change.
type killing struct {
	*testing.T
	ending
	spec  spec
	store store.Store
	fleet []*replica // those that live on
	m     made
	token string
	order order
}

// TestKilled kills the process that makes a change, before and after its
// record is written. The order is: an epoch, the record, another epoch.
func TestKilled(t *testing.T) {
	beside(t)
	s := onBoth.spec(t)
	st := s.open(t)
	fleet := launch(t, s, s)
	for _, e := range endings {
		for _, at := range []struct {
			name string
			test func(k *killing)
		}{
			{"before the record", (*killing).beforeRecord},
			{"after the record", (*killing).afterRecord},
			{"held", (*killing).held},
		} {
			t.Run(fmt.Sprintf("B07 %s, killed %s", e.change, at.name), func(t *testing.T) {
				k := &killing{T: t, ending: e, spec: s, store: st, fleet: fleet}
				k.spec.KillAt = at.name
				k.m = fleet[0].create(t, newName())
				k.token = fleet[0].login(t, k.m)
				k.order = order{Workspace: k.m.Workspace, Key: k.m.Key}
				for _, r := range fleet {
					require.Equal(t, http.StatusOK, r.call(t, k.m, k.token))
				}
				at.test(k)
				if k.undo != "" {
					fleet[0].order(t, k.undo, k.order)
					k.settled("a login", func(r *replica) bool { return r.loginStatus(t, k.m) == http.StatusOK })
					k.over(k.token)
				}
			})
		}
	}
}

// settled waits until something holds for all that live on.
func (k *killing) settled(what string, holds func(r *replica) bool) {
	k.Helper()
	for i, r := range k.fleet {
		require.Eventually(k, func() bool { return holds(r) }, patience, 5*time.Millisecond, "%s at process %d", what, i)
	}
}

// over waits until a token is refused everywhere, and sees that it stays so.
func (k *killing) over(token string) {
	k.Helper()
	k.settled("the token's end", func(r *replica) bool { return r.call(k.T, k.m, token) == http.StatusUnauthorized })
	for _, r := range k.fleet {
		require.Equal(k, http.StatusUnauthorized, r.call(k.T, k.m, token), "ended once, and taken again")
	}
}

// dies has a process of its own make the change, and be killed over it.
// meanwhile runs while that process stands still, if it is one that is held.
func (k *killing) dies(meanwhile func()) {
	k.Helper()
	victim := launch(k.T, k.spec)[0]
	answered := make(chan error, 1)
	go func() {
		var done bool
		_, err := victim.tell(context.Background(), k.change, k.order, &done)
		answered <- err
	}()
	if k.spec.KillAt == "held" {
		victim.order(k.T, "held", order{})
		meanwhile()
		victim.order(k.T, "proceed", order{})
	}
	require.Error(k, <-answered, "nobody was told that it was done")
	require.ErrorContains(k, <-victim.exited, "killed")
}

// record is all that the change could have written.
func (k *killing) record() (found store.Found, instance store.Instance) {
	k.Helper()
	found, err := k.store.Keys.Lookup(k.Context(), k.m.Key)
	if err != nil {
		require.ErrorIs(k, err, store.ErrNotFound)
	}
	instance, err = k.store.Settings.Instance(k.Context())
	require.NoError(k, err)
	found.Key.LastUsed = start // which is written with delay
	for i := range found.Key.Secrets {
		found.Key.Secrets[i].LastUsed = start
	}
	return found, instance
}

// repeated makes the change once more, as who got no answer would.
func (k *killing) repeated() {
	k.Helper()
	var done bool
	status, err := k.fleet[1].tell(k.Context(), k.change, k.order, &done)
	if status != http.StatusNotFound { // which is what a second deletion is answered
		require.NoError(k, err)
	}
}

// beforeRecord: the epoch was raised for nothing. That forces a login, and no
// more.
func (k *killing) beforeRecord() {
	before, settings := k.record()
	k.dies(nil)
	after, settingsAfter := k.record()
	require.Equal(k, before, after, "the record")
	require.Equal(k, settings, settingsAfter)
	k.over(k.token)
	for _, r := range k.fleet {
		fresh := r.login(k.T, k.m)
		for _, r := range k.fleet {
			require.Equal(k, http.StatusOK, r.call(k.T, k.m, fresh), "a new token")
		}
		k.over(k.token)
	}
	fresh := k.fleet[0].login(k.T, k.m)
	k.repeated()
	k.over(fresh)
	k.settled("the login", func(r *replica) bool { return r.loginStatus(k.T, k.m) == k.login })
	k.over(k.token)
}

// afterRecord: the change is made, though nobody was told so.
func (k *killing) afterRecord() {
	before, settings := k.record()
	k.dies(nil)
	after, settingsAfter := k.record()
	require.False(k, after.Key.Version == before.Key.Version && after.Workspace.Version == before.Workspace.Version &&
		settingsAfter.Version == settings.Version, "the change was not written")
	k.over(k.token)
	k.settled("the login", func(r *replica) bool { return r.loginStatus(k.T, k.m) == k.login })
	k.over(k.token)
}

// held: somebody logs in between the first epoch and the record. That token
// has the first epoch: it is the second one that ends it.
func (k *killing) held() {
	var between string
	k.dies(func() {
		k.over(k.token)
		between = k.fleet[0].login(k.T, k.m)
		for _, r := range k.fleet {
			require.Equal(k, http.StatusOK, r.call(k.T, k.m, between), "the change is not made yet")
		}
	})
	k.over(k.token)
	k.repeated()
	k.over(between)
	k.over(k.token)
}
