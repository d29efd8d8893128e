package oauth

import (
	"context"
	"time"
)

// Step does what Run does every minute.
func (s *Server) Step() error { return s.ring.Step(context.Background()) }

// WithTimeout is the context of a login, and what ends it.
func WithTimeout(request context.Context, d time.Duration) (context.Context, func()) {
	ctx := withTimeout(request, d)
	return ctx, ctx.stop
}
