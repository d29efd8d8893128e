package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// maxUsageDays is how many days one call of Usage may span.
const maxUsageDays = 400

// Usage returns how often a key logged in or was used directly, and how often it was
// refused, by day (UTC), with from <= day < to, at most 400 days. Days without logins and refusals
// are left out. A wrong secret or assertion for the key counts as a refusal. A secret that does not have
// the form of a secret (see ParseSecret) counts only if Config.Imported is true:
// otherwise the key is not looked up.
// Logins and refusals count once Flush has written them, as for the key's LastUsed.
// The actor must be allowed to see the key. If the store has no Usage, the error is
// errors.ErrUnsupported.
func (s *Service) Usage(ctx context.Context, actor Actor, id string, from, to time.Time) ([]store.Count, error) {
	key, err := s.Get(ctx, actor, id)
	if err != nil {
		return nil, err
	}
	if to.Sub(from) > maxUsageDays*24*time.Hour {
		return nil, invalid("from", fmt.Sprintf("At most %d days can be requested at once.", maxUsageDays))
	}
	if s.store.Usage == nil {
		return nil, fmt.Errorf("apikey: usage: Store.Usage is not set: %w", errors.ErrUnsupported)
	}
	days, err := s.store.Usage.ByDay(ctx, key.Workspace, id, from, to)
	return days, describe("read usage", err)
}
