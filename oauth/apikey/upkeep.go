package apikey

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
)

// Prune removes events older than Config.EventRetention, counts older than
// Config.UsageRetention, and the tombstones of keys whose last token has long
// expired. While there are peppers or prefixes besides the first of their lists,
// it counts the secrets that name them, and logs how many are left or that one
// can be taken out of its list. Call it about once an hour. While ClockAgrees is
// false it does nothing.
func (s *Service) Prune(ctx context.Context) error {
	agrees, err := s.ClockAgrees(ctx)
	if err != nil || !agrees {
		return err
	}
	now := s.now()
	var problems []error
	if s.cfg.EventRetention > 0 {
		if _, err := s.store.Events.Prune(ctx, now.Add(-s.cfg.EventRetention)); err != nil {
			problems = append(problems, fmt.Errorf("apikey: prune events: %w", err))
		}
	}
	if s.cfg.UsageRetention > 0 && s.store.Usage != nil {
		if _, err := s.store.Usage.Prune(ctx, now.Add(-s.cfg.UsageRetention)); err != nil {
			problems = append(problems, fmt.Errorf("apikey: prune usage: %w", err))
		}
	}
	// Twice the longest life a token can have, whatever the configuration was
	// when it was issued.
	if _, err := s.store.Upkeep.Purge(ctx, now.Add(-2*hostlist.LongestToken)); err != nil {
		problems = append(problems, fmt.Errorf("apikey: purge tombstones: %w", err))
	}
	if err := s.countLists(ctx, now); err != nil {
		problems = append(problems, fmt.Errorf("apikey: %w", err))
	}
	return errors.Join(problems...)
}

// ClockAgrees reports whether this process's clock is within Config.MaxClockSkew
// of the store's. If it is not, it logs a warning with both times. Nothing may be
// removed by a wrong clock, to which new records may look old. A store without a clock agrees with every process.
func (s *Service) ClockAgrees(ctx context.Context) (bool, error) {
	before := s.now()
	theirs, err := s.store.Upkeep.Clock(ctx)
	if err != nil {
		return false, fmt.Errorf("apikey: read the store's clock: %w", err)
	}
	after := s.now()
	if theirs.IsZero() || !theirs.Before(before.Add(-s.cfg.MaxClockSkew)) && !theirs.After(after.Add(s.cfg.MaxClockSkew)) {
		return true, nil
	}
	s.cfg.Logger.WarnContext(ctx, "the clock of this process differs from the store's: nothing old is removed and no signing key is rotated until they agree",
		"clock", after, "store", theirs, "most", s.cfg.MaxClockSkew)
	return false, nil
}
