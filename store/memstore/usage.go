package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// usage implements store.Usage.
type usage struct{ db *database }

// usageKey identifies the counts of one key.
type usageKey struct{ workspace, key string }

// dayAt returns the index of the first count whose day is t or later, and whether it is t.
func dayAt(counts []store.Count, t time.Time) (index int, found bool) {
	return slices.BinarySearchFunc(counts, t, func(c store.Count, t time.Time) int { return c.Day.Compare(t) })
}

// Add implements store.Usage.
func (u *usage) Add(ctx context.Context, counts []store.Count) error {
	return u.db.write(ctx, "add usage", func() error {
		for _, c := range counts {
			if c.Logins == 0 && c.Refusals == 0 {
				continue
			}
			// Truncate rounds relative to the zero time, which is a midnight.
			day := c.Day.UTC().Truncate(24 * time.Hour)
			id := usageKey{c.Workspace, c.Key}
			days := u.db.usage[id]
			i, found := dayAt(days, day)
			if !found {
				days = slices.Insert(days, i, store.Count{Workspace: c.Workspace, Key: c.Key, Day: day})
				u.db.usage[id] = days
			}
			days[i].Logins += c.Logins
			days[i].Refusals += c.Refusals
		}
		return nil
	})
}

// ByDay implements store.Usage.
func (u *usage) ByDay(ctx context.Context, workspace, key string, from, to time.Time) (counts []store.Count, err error) {
	err = u.db.read(ctx, "read usage", func() error {
		days := u.db.usage[usageKey{workspace, key}]
		first, _ := dayAt(days, from)
		end, _ := dayAt(days, to)
		counts = slices.Clone(days[first:max(first, end)])
		return nil
	})
	return counts, err
}

// Prune implements store.Usage.
func (u *usage) Prune(ctx context.Context, before time.Time) (pruned int, err error) {
	err = u.db.write(ctx, "prune usage", func() error {
		for id, days := range u.db.usage {
			n, _ := dayAt(days, before)
			pruned += n
			if n == len(days) {
				delete(u.db.usage, id)
			} else if n > 0 {
				u.db.usage[id] = slices.Clone(days[n:])
			}
		}
		return nil
	})
	return pruned, err
}
