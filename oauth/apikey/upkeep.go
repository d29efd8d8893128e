package apikey

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
)

// Prune removes events older than Config.EventRetention, counts older than
// Config.UsageRetention, and the tombstones of keys whose last token expired long
// ago. If there are peppers or prefixes that are not the first of their list, it
// counts the secrets that name them, and logs the count. When no secret names a recorded
// entry any more, it removes the record and logs, once, that the entry can be removed from
// its list. Call it about once an hour. While CheckClock is false it
// does nothing.
func (s *Service) Prune(ctx context.Context) error {
	agrees, err := s.CheckClock(ctx)
	if err != nil || !agrees {
		return err
	}
	now := s.now()
	var problems []error
	if s.cfg.EventRetention > 0 {
		_, err := s.store.Events.Prune(ctx, now.Add(-s.cfg.EventRetention))
		problems = append(problems, describe("prune events", err))
	}
	if s.cfg.UsageRetention > 0 && s.store.Usage != nil {
		_, err := s.store.Usage.Prune(ctx, now.Add(-s.cfg.UsageRetention))
		problems = append(problems, describe("prune usage", err))
	}
	// Twice the longest lifetime that any configuration can give a token.
	_, err = s.store.Upkeep.Purge(ctx, now.Add(-2*hostlist.LongestToken))
	problems = append(problems, describe("purge tombstones", err))
	if err := s.countLists(ctx, now); err != nil {
		problems = append(problems, fmt.Errorf("apikey: %w", err))
	}
	return errors.Join(problems...)
}

// CheckClock reports whether this process's clock is within Config.MaxClockSkew of
// the store's. If it is not, it logs a warning with both times. Do not remove old
// records while it is false: to a wrong clock new records may look old. If the
// store has no clock, it returns true.
func (s *Service) CheckClock(ctx context.Context) (bool, error) {
	before := s.now()
	theirs, err := s.store.Upkeep.Clock(ctx)
	if err != nil {
		return false, fmt.Errorf("apikey: read the store's clock: %w", err)
	}
	after := s.now()
	if theirs.IsZero() || !theirs.Before(before.Add(-s.cfg.MaxClockSkew)) && !theirs.After(after.Add(s.cfg.MaxClockSkew)) {
		return true, nil
	}
	s.cfg.Logger.WarnContext(ctx, "the clock of this process differs from the store's by more than MaxClockSkew: no old record is removed and no signing key is rotated until they agree; correct the clock",
		"clock", after, "store", theirs, "most", s.cfg.MaxClockSkew)
	return false, nil
}
