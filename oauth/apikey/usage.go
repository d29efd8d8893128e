package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// maxUsageDays is how many days one call of Usage spans at most.
const maxUsageDays = 400

// Usage returns how often a key logged in and was refused, by day (UTC), with
// from <= day < to, at most 400 days; days without either are left out. A wrong secret for the
// key counts as a refusal, too, unless it cannot be a secret at all (see
// ParseSecret), for then no key is looked up. Counts of this Service are
// included at once, as in LastUsed of the key; those of other replicas after their
// Flush. The actor must be allowed to see the key. Without store.Usage the error is
// errors.ErrUnsupported.
func (s *Service) Usage(ctx context.Context, actor Actor, id string, from, to time.Time) ([]store.Count, error) {
	key, err := s.Get(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	if to.Sub(from) > maxUsageDays*24*time.Hour {
		return nil, invalid("from", fmt.Sprintf("At most %d days can be asked for at once.", maxUsageDays))
	}
	if s.store.Usage == nil {
		return nil, fmt.Errorf("apikey: usage: the store keeps none: %w", errors.ErrUnsupported)
	}
	days, unwritten, err := s.counted(ctx, key.Workspace, id, from, to)
	if err != nil {
		return nil, fmt.Errorf("apikey: read usage: %w", err)
	}
	for _, count := range unwritten {
		i, found := slices.BinarySearchFunc(days, count.Day, func(d store.Count, day time.Time) int { return d.Day.Compare(day) })
		if !found {
			days = slices.Insert(days, i, count)
			continue
		}
		days[i].Logins += count.Logins
		days[i].Refusals += count.Refusals
	}
	return days, nil
}

// counted reads what is written and what is not. A flush that begins meanwhile
// makes it read again, for no reader holds up a flush or another reader.
func (s *Service) counted(ctx context.Context, workspace, id string, from, to time.Time) (written, unwritten []store.Count, err error) {
	for {
		moves, err := s.tally.settled(ctx)
		if err != nil {
			return nil, nil, err
		}
		written, err = s.store.Usage.Days(ctx, workspace, id, from, to)
		if err != nil {
			return nil, nil, err
		}
		unwritten = s.tally.of(id, from, to)
		if s.tally.moves.Load() == moves {
			return written, unwritten, nil
		}
	}
}
