package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// ErrNotKept says that the store keeps no such records; see store.Store.
var ErrNotKept = errors.New("apikey: the store does not keep this")

// MaxUsageDays is how many days one call of Usage spans at most.
const MaxUsageDays = 400

// Usage returns how often a key logged in and was refused, by day (UTC), with
// from <= day < to; days without either are left out. A wrong secret for the
// key counts as a refusal, too, unless it cannot be a secret at all (see
// ParseSecret), for then no key is looked up. Flush writes the counts, so the
// last seconds are missing. For who may see the key. Without store.Usage it is
// ErrNotKept.
func (s *Service) Usage(ctx context.Context, actor Actor, id string, from, to time.Time) ([]store.Count, error) {
	key, err := s.Get(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	if to.Sub(from) > MaxUsageDays*24*time.Hour {
		return nil, invalid("from", fmt.Sprintf("At most %d days can be asked for at once.", MaxUsageDays))
	}
	if s.store.Usage == nil {
		return nil, ErrNotKept
	}
	days, err := s.store.Usage.Days(ctx, key.Workspace, id, from, to)
	if err != nil {
		return nil, fmt.Errorf("apikey: read usage: %w", err)
	}
	return days, nil
}
