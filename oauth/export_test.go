package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Refuse answers a request of a client with an error.
func (s *Server) Refuse(ctx context.Context, w http.ResponseWriter, err error) { s.refuse(ctx, w, err) }

// Step does what Run does every minute.
func (s *Server) Step() error {
	return errors.Join(s.ring.Step(context.Background()), s.recordSigner(context.Background()))
}

// WithTimeout is the context of a login, and what ends it.
func WithTimeout(request context.Context, d time.Duration) (context.Context, func()) {
	ctx := withTimeout(request, d)
	return ctx, ctx.stop
}
