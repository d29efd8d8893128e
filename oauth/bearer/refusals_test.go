package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// TestRefusals: if epochs or keys cannot be read, the answer is an outage and
// says nothing about the token.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())
	token := w.token()
	send := func(ctx context.Context) harness.Answer {
		return harness.Serve(route.handler, harness.Incoming(http.MethodGet, "/", "", "Authorization", "Bearer "+token).WithContext(ctx))
	}
	_, refused := w.verifier().Verify(t.Context(), w.token(func(c *jose.Claims) { c.Issuer = "https://another.example" }))
	require.ErrorIs(t, refused, bearer.ErrInvalid)
	list := append(harness.Refusals(),
		harness.Refusal{Name: "what another verifier says", Err: refused},
		harness.Refusal{Name: "an unknown key, and an outage", Err: errors.Join(bearer.ErrUnknownKey, bearer.ErrUnavailable)},
	)
	for _, tc := range list {
		tc.RetryAfter = "1"
		for name, hook := range map[string]*error{"epochs: ": &w.epochs.err, "keys: ": &w.keys.err} {
			t.Run(name+tc.Name, func(t *testing.T) {
				*hook = tc.Err
				defer func() { *hook = nil }()
				a := send(t.Context())
				tc.Check(t, a, http.StatusServiceUnavailable)
				require.Equal(t, "temporarily_unavailable", a.Code())
				require.Empty(t, a.Header.Get("WWW-Authenticate"))
			})
		}
	}
	require.Contains(t, w.log.String(), "the check of a credential failed because the store or another service is unavailable")

	t.Run("a caller that disconnected", func(t *testing.T) {
		ended, hangUp := context.WithCancel(t.Context())
		hangUp()
		before := len(w.log.String())
		w.epochs.err = context.Canceled
		defer func() { w.epochs.err = nil }()
		require.Equal(t, http.StatusServiceUnavailable, send(ended).StatusCode)
		require.Len(t, w.log.String(), before)
	})
	t.Run("one that waited too long", func(t *testing.T) {
		late, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		before := len(w.log.String())
		w.epochs.err = context.DeadlineExceeded
		defer func() { w.epochs.err = nil }()
		require.Equal(t, http.StatusServiceUnavailable, send(late).StatusCode)
		require.Contains(t, w.log.String()[before:], "level=ERROR", "a timeout of the store is an error")
	})
}
