package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve runs web on l together with Run, and shuts both down in the order that
// loses nothing. When ctx ends, web accepts no more requests and finishes the open
// ones, for at most grace. Then Run writes what the last requests left in memory, and
// Serve returns. If web fails or the host shuts it down, the same follows at once.
// web's handler is the host's and must include Routes. For TLS use a listener of
// tls.NewListener. Call Serve once, and do not call Run.
//
// Serve returns nil if ctx ended or the host shut web down, and nothing was lost. If
// requests take longer than grace, their connections are closed and the error wraps
// context.DeadlineExceeded.
func (s *Server) Serve(ctx context.Context, web *http.Server, l net.Listener, grace time.Duration) error {
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- s.Run(upkeep) }()
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()

	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
	}
	last, end := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer end()
	if late := web.Shutdown(last); late != nil {
		err = errors.Join(err, fmt.Errorf("oauth: serve: requests were cut off: %w", late), web.Close())
	}
	stop()
	return errors.Join(err, <-ran)
}
