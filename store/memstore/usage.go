package memstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// usage implements store.Usage.
type usage struct {
	mu     sync.RWMutex
	byUser map[user][]dayCount // each in order of day
}

type user struct{ workspace, key string }

type dayCount struct {
	day              int64 // days since 1970, UTC
	logins, refusals int64
}

func newUsage() *usage { return &usage{byUser: make(map[user][]dayCount)} }

// Add implements store.Usage.
func (u *usage) Add(ctx context.Context, counts []store.Count) error {
	if err := ctx.Err(); err != nil {
		return fail("add usage", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range counts {
		if c.Logins == 0 && c.Refusals == 0 {
			continue
		}
		who, n := user{c.Workspace, c.Key}, dayOf(c.Day)
		days := u.byUser[who]
		i, found := slices.BinarySearchFunc(days, n, byDay)
		if !found {
			days = slices.Insert(days, i, dayCount{day: n})
			u.byUser[who] = days
		}
		days[i].logins += c.Logins
		days[i].refusals += c.Refusals
	}
	return nil
}

// Days implements store.Usage.
func (u *usage) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail("read usage", err)
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	var counts []store.Count
	for _, d := range u.byUser[user{workspace, key}] {
		at := midnight(d.day)
		if !at.Before(from) && at.Before(to) {
			counts = append(counts, store.Count{
				Workspace: workspace, Key: key, Day: at, Logins: d.logins, Refusals: d.refusals,
			})
		}
	}
	return counts, nil
}

// Prune implements store.Usage.
func (u *usage) Prune(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("prune usage", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	pruned := 0
	for who, days := range u.byUser {
		n := 0
		for n < len(days) && midnight(days[n].day).Before(before) {
			n++
		}
		pruned += n
		if n == len(days) {
			delete(u.byUser, who)
		} else if n > 0 {
			u.byUser[who] = slices.Clone(days[n:])
		}
	}
	return pruned, nil
}

const day = 24 * time.Hour

// dayOf relies on Truncate, which counts from the zero time, a midnight.
func dayOf(t time.Time) int64 { return t.UTC().Truncate(day).Unix() / int64(day/time.Second) }

func midnight(n int64) time.Time { return time.Unix(n*int64(day/time.Second), 0).UTC() }

func byDay(d dayCount, n int64) int { return cmp.Compare(d.day, n) }
