package oauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/signing"
)

const (
	flushEvery       = 5 * time.Second
	pruneEvery       = time.Hour
	lastFlushTimeout = 5 * time.Second

	remindEvery = 5 * time.Minute

	upkeepTimeout = 30 * time.Second
)

// Run does the server's background work until ctx ends. It writes what logins and direct
// uses leave in memory: last uses, daily counts, and the events of refused logins. It prunes old
// records; logs which peppers and prefixes are still in use; reads and rotates the
// signing keys, or records that the first of Config.Signers is in use; sends
// reminders of keys that are about to expire; follows the changes of other
// processes, if the store has a Watch; and keeps the keys of Config.TrustedIssuers
// fresh. It runs in the caller's goroutine, and starts goroutines for the reminders,
// the changes and the issuers. When ctx has ended, Run writes what is left, waits for
// these goroutines, and returns the error of that last write.
func (s *Server) Run(ctx context.Context) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	step := time.NewTicker(signing.StepEvery)
	defer step.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	var others sync.WaitGroup
	defer others.Wait() // after the last write
	if s.reminders != nil {
		others.Go(func() { s.remind(ctx) })
	}
	others.Go(func() { s.trusted.Run(ctx) })
	signingKeysChanged := make(chan struct{}, 1)
	if s.store.Watch != nil {
		others.Go(func() {
			s.watch(ctx, func() {
				select {
				case signingKeysChanged <- struct{}{}:
				default: // a step is pending already
				}
			})
		})
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlushTimeout)
			defer cancel()
			err = s.keys.Flush(last)
			if err != nil { // a host that starts Run in a goroutine may ignore its error
				s.cfg.Logger.ErrorContext(last, "the last write of Run failed; last uses, counts and events of the last seconds are lost", "error", err)
			}
			return err
		case <-flush.C:
			err = bounded(ctx, s.keys.Flush)
		case <-step.C:
			err = errors.Join(s.ring.Step(ctx), bounded(ctx, s.recordSigner))
		case <-signingKeysChanged:
			err = s.ring.Step(ctx)
		case <-prune.C:
			err = bounded(ctx, s.keys.Prune)
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.ErrorContext(ctx, "background work failed and will be tried again", "error", err)
		}
	}
}

// bounded calls do with a timeout, so that a store that hangs does not block all
// other work. The ring's Step has a timeout of its own.
func bounded(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	return do(ctx)
}

// remind sends reminders at once and then every few minutes.
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
