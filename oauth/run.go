package oauth

import (
	"context"
	"sync"
	"time"
)

const (
	flushEvery = 5 * time.Second
	stepEvery  = time.Minute
	pruneEvery = time.Hour
	lastFlush  = 5 * time.Second

	remindEvery = 5 * time.Minute
)

// Run does what cannot wait for a request: it writes last uses, counts and
// events, prunes what is old, reads and rotates the signing keys, and reminds
// of keys about to expire. It runs in the caller's goroutine, but for the
// reminders, which wait for the host's hook and have the package's only other
// one. It returns when ctx has ended, the last use is written and the hook has
// returned; the error is that of the last writing.
func (s *Server) Run(ctx context.Context) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	step := time.NewTicker(stepEvery)
	defer step.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	if s.cfg.Keys.Reminders.Send != nil {
		var reminders sync.WaitGroup
		defer reminders.Wait() // after the last writing
		reminders.Go(func() { s.remind(ctx) })
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			err = s.keys.Flush(last)
			if err != nil { // who starts Run in a goroutine may not look at its error
				s.cfg.Logger.ErrorContext(last, "the last upkeep failed; what it had to write is lost", "error", err)
			}
			return err
		case <-flush.C:
			err = s.keys.Flush(ctx)
		case <-step.C:
			err = s.ring.step(ctx, s.cfg.Now())
		case <-prune.C:
			err = s.keys.Prune(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "upkeep failed and will be tried again", "error", err)
		}
	}
}

// remind reminds of keys about to expire, at once and every few minutes.
func (s *Server) remind(ctx context.Context) {
	again := time.NewTicker(remindEvery)
	defer again.Stop()
	for {
		if err := s.keys.Remind(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "reminders failed and will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}
