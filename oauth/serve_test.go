package oauth_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// serving is a server that runs Serve. Its requests wait until the test releases
// them.
type serving struct {
	t       *testing.T
	store   store.Store
	key     string
	address string
	web     *http.Server
	came    chan struct{}
	letGo   chan struct{}
	cancel  func()
	ended   chan error
}

func startServing(t *testing.T, grace time.Duration) *serving {
	t.Helper()
	s := &serving{t: t, store: memstore.New(), came: make(chan struct{}), letGo: make(chan struct{}), ended: make(chan error, 1)}
	srv, err := oauth.New(s.store, oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog})
	require.NoError(t, err)
	key, secret, err := srv.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list")})
	require.NoError(t, err)
	s.key = key.ID
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = l.Addr().String()
	s.web = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.came <- struct{}{}
		<-s.letGo
		ctx := context.WithoutCancel(r.Context())
		login, err := srv.APIKeys().Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		if err == nil {
			_, err = srv.APIKeys().Issue(ctx, login, apikey.Request{})
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() { s.ended <- srv.Serve(ctx, s.web, l, grace) }()
	t.Cleanup(cancel)
	return s
}

// ask sends a request and returns when it has arrived. The result arrives later.
func (s *serving) ask() <-chan int {
	s.t.Helper()
	status := make(chan int, 1)
	go func() {
		answer, err := http.Get("http://" + s.address)
		if err != nil {
			status <- 0
			return
		}
		_ = answer.Body.Close()
		status <- answer.StatusCode
	}()
	<-s.came
	return status
}

// closed returns when no connection is accepted any more.
func (s *serving) closed() {
	for {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

func (s *serving) used() bool {
	s.t.Helper()
	found, err := s.store.Keys.Lookup(s.t.Context(), s.key)
	require.NoError(s.t, err)
	return !found.Key.LastUsed.IsZero()
}

func TestServe(t *testing.T) {
	t.Run("a login that came before the end is finished and its use is written", func(t *testing.T) {
		s := startServing(t, time.Minute)
		status := s.ask()
		s.cancel()
		s.closed()
		require.Empty(t, s.ended, "it waits for the open requests")
		close(s.letGo)
		require.NoError(t, <-s.ended)
		require.Equal(t, http.StatusOK, <-status)
		require.True(t, s.used())
	})
	t.Run("a request that takes longer than the grace is cut off", func(t *testing.T) {
		s := startServing(t, time.Millisecond)
		status := s.ask()
		s.cancel()
		require.ErrorIs(t, <-s.ended, context.DeadlineExceeded)
		require.Zero(t, <-status)
		close(s.letGo)
	})
	t.Run("a web server that the host shuts down has not failed", func(t *testing.T) {
		s := startServing(t, time.Minute)
		status := s.ask()
		down := make(chan error, 1)
		go func() { down <- s.web.Shutdown(context.WithoutCancel(t.Context())) }()
		s.closed()
		close(s.letGo)
		require.NoError(t, <-s.ended)
		require.NoError(t, <-down)
		require.Equal(t, http.StatusOK, <-status)
		require.True(t, s.used())
	})
	t.Run("a web server that fails ends it", func(t *testing.T) {
		srv, err := oauth.New(memstore.New(), oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog})
		require.NoError(t, err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.ErrorIs(t, srv.Serve(t.Context(), &http.Server{ReadHeaderTimeout: time.Minute}, l, time.Minute), net.ErrClosed)
	})
}
