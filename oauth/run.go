package oauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/signing"
)

const (
	flushEvery = 5 * time.Second
	pruneEvery = time.Hour
	lastFlush  = 5 * time.Second

	remindEvery = 5 * time.Minute

	upkeepTimeout = 30 * time.Second
)

// Run does what cannot wait for a request: it writes last uses, counts and
// events, prunes what is old, logs which peppers and prefixes are still in use,
// reads and rotates the signing keys, sends reminders of keys about to expire, and
// follows the changes that other processes make, if the store has a Watch. It runs
// in the caller's goroutine. The reminders, which wait for the host's hook, and the
// changes have a goroutine each. Run returns when ctx
// has ended, the last use is written and these two have returned; the error is that
// of the last writing.
func (s *Server) Run(ctx context.Context) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	step := time.NewTicker(signing.StepEvery)
	defer step.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	if s.reminders != nil {
		var reminders sync.WaitGroup
		defer reminders.Wait() // after the last writing
		reminders.Go(func() { s.remind(ctx) })
	}
	changed := make(chan struct{}, 1)
	if s.store.Watch != nil {
		var changes sync.WaitGroup
		defer changes.Wait()
		changes.Go(func() {
			s.watch(ctx, func() {
				select {
				case changed <- struct{}{}:
				default: // one is noted already
				}
			})
		})
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
			err = bounded(ctx, s.keys.Flush)
		case <-step.C:
			err = errors.Join(s.ring.Step(ctx), bounded(ctx, s.recordSigner))
		case <-changed:
			err = s.ring.Step(ctx)
		case <-prune.C:
			err = bounded(ctx, s.keys.Prune)
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "upkeep failed and will be tried again", "error", err)
		}
	}
}

// bounded keeps one piece of upkeep from waiting, and all other with it, as
// long as a store that hangs.
func bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	return do(ctx)
}

// remind reminds of keys about to expire, at once and every few minutes.
func (s *Server) remind(ctx context.Context) {
	again := time.NewTicker(remindEvery)
	defer again.Stop()
	for {
		if err := s.reminders.Remind(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "reminders failed and will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}
