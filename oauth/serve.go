package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve is Run and a web server together, ended in the order that loses
// nothing: web answers the requests of l until ctx ends; then it takes no more
// and finishes those that came, for at most grace; then Run writes what the
// last of them left behind. web's handler is the host's, with Routes among its
// own; for TLS l is one of tls.NewListener. Call it once, and do not call Run.
//
// It returns when all of that is done, or when web fails: nil if ctx ended, or
// the host shut web down, and nothing was lost. Requests that outlast grace
// are cut off, and the error wraps context.DeadlineExceeded.
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
