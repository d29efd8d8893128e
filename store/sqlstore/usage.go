package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// usage implements store.Usage.
type usage struct{ d *Database }

type usageDay struct {
	workspace, key string
	day            int64 // since 1970, UTC
}

type usageCount struct{ logins, refusals int64 }

// Add implements store.Usage.
func (u *usage) Add(ctx context.Context, counts []store.Count) error {
	sums := make(map[usageDay]usageCount)
	for _, c := range counts {
		if c.Logins == 0 && c.Refusals == 0 {
			continue
		}
		if err := errors.Join(checkWorkspace(c.Workspace), checkText("a key's id", c.Key, maxID)); err != nil {
			return fail(ctx, "add usage", err)
		}
		day := usageDay{c.Workspace, c.Key, dayOf(c.Day)}
		sum := sums[day]
		sums[day] = usageCount{sum.logins + c.Logins, sum.refusals + c.Refusals}
	}
	days := make([]usageDay, 0, len(sums))
	for day := range sums {
		days = append(days, day)
	}
	// One order for all, so that no two calls wait for one another.
	slices.SortFunc(days, func(a, b usageDay) int {
		return cmp.Or(cmp.Compare(a.workspace, b.workspace), cmp.Compare(a.key, b.key), cmp.Compare(a.day, b.day))
	})
	err := u.d.write(ctx, func(r runner) error {
		for _, day := range days {
			sum := sums[day]
			_, err := r.exec(ctx, u.d.text.addDay, u.d.arg(day.workspace), u.d.arg(day.key), day.day, sum.logins, sum.refusals)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fail(ctx, "add usage", err)
	}
	return nil
}

// Days implements store.Usage.
func (u *usage) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if !storable(workspace + key) {
		workspace, key = "", "" // no counts have what cannot be kept
	}
	var counts []store.Count
	err := u.d.read(ctx, func(r runner) error {
		counts = nil
		rows, err := r.rows(ctx, u.d.text.days, u.d.arg(workspace), u.d.arg(key), firstDay(from), firstDay(to))
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			c := store.Count{Workspace: workspace, Key: key}
			var day int64
			if err := rows.Scan(&day, &c.Logins, &c.Refusals); err != nil {
				return err
			}
			c.Day = time.Unix(day*secondsADay, 0).UTC()
			counts = append(counts, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fail(ctx, "read usage", err)
	}
	return counts, nil
}

// Prune implements store.Usage.
func (u *usage) Prune(ctx context.Context, before time.Time) (int, error) {
	pruned := 0
	err := u.d.single(ctx, func(r runner) (err error) {
		pruned, err = affected(r.exec(ctx, u.d.text.pruneDays, firstDay(before)))
		return err
	})
	if err != nil {
		return 0, fail(ctx, "prune usage", err)
	}
	return pruned, nil
}

const secondsADay = 24 * 60 * 60

// dayOf relies on Truncate, which counts from the zero time, a midnight.
func dayOf(t time.Time) int64 { return t.UTC().Truncate(24*time.Hour).Unix() / secondsADay }

// firstDay is the first day whose midnight is not before t.
func firstDay(t time.Time) int64 {
	day := dayOf(t)
	if time.Unix(day*secondsADay, 0).Before(t) {
		day++
	}
	return day
}
