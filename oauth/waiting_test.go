package oauth_test

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
)

// station blocks the first caller that reaches a place, and records the places.
type station struct {
	mu      sync.Mutex
	seen    map[string]bool
	place   string
	entered chan struct{}
	release chan struct{}
}

func (s *station) pass(place string) {
	s.mu.Lock()
	s.seen[place] = true
	held := s.place == place
	if held {
		s.place = ""
	}
	s.mu.Unlock()
	if held {
		close(s.entered)
		<-s.release
	}
}

func (s *station) hold(place string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place, s.entered, s.release = place, make(chan struct{}), make(chan struct{})
}

// TestNoLockDuringCalls tests that a login or a guard holds no lock that others
// need while it calls code outside of Latchkey: if one is blocked there, no other
// is.
func TestNoLockDuringCalls(t *testing.T) {
	t.Parallel()
	at := &station{seen: map[string]bool{}}
	st, tapped := harness.NewTap()
	w := newWorld(t, func(s *setup) {
		s.store = st
		now := s.config.Now
		s.config.Now = func() time.Time { at.pass("Now"); return now() }
		s.config.ClientAddr = func(*http.Request) netip.Addr { at.pass("ClientAddr"); return netip.Addr{} }
		s.config.Claims = func(context.Context, *apikey.Grant) (map[string]any, error) { at.pass("Claims"); return nil, nil }
		s.config.APIKeys.Workspaces = func(context.Context, string) (bool, error) { at.pass("Workspaces"); return true, nil }
		s.config.Observer = func(context.Context, observe.Decision) { at.pass("Observer") }
		s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { at.pass("Policy"); return nil })
	})
	tapped.Before(func(_ context.Context, call string) error { at.pass(call); return nil })
	token := w.login(w.key.ID, w.secret)
	for name, ask := range map[string]func() int{
		"login": func() int { return serve(w.Token(), http.MethodPost, "/api/login", w.grant()).StatusCode },
		"bearer check": func() int {
			_, err := w.Verifier().Verify(context.Background(), token)
			return map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[err == nil]
		},
	} {
		clear(at.seen)
		require.Equal(t, http.StatusOK, ask())
		places := at.seen
		at.seen = map[string]bool{}
		require.Contains(t, places, map[string]string{"login": "Keys.Lookup", "bearer check": "Epochs.Read"}[name])
		for place := range places {
			t.Run(name+" at "+place, func(t *testing.T) {
				at.hold(place)
				first := make(chan int, 1)
				go func() { first <- ask() }()
				<-at.entered
				for range 3 {
					require.Equal(t, http.StatusOK, ask())
				}
				close(at.release)
				require.Equal(t, http.StatusOK, <-first)
			})
		}
	}
}
