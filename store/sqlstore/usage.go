package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
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
	// All calls use one order, so that two calls do not deadlock.
	days := slices.SortedFunc(maps.Keys(sums), func(a, b usageDay) int {
		return cmp.Or(cmp.Compare(a.workspace, b.workspace), cmp.Compare(a.key, b.key), cmp.Compare(a.day, b.day))
	})
	err := u.d.write(ctx, func(r *runner) error {
		for _, day := range days {
			sum := sums[day]
			_, err := r.exec(ctx, `INSERT INTO {p}days (workspace, key_id, day, logins, refusals) VALUES (?, ?, ?, ?, ?) ON CONFLICT (workspace, key_id, day)
				DO UPDATE SET logins = {p}days.logins + excluded.logins, refusals = {p}days.refusals + excluded.refusals`,
				day.workspace, day.key, day.day, sum.logins, sum.refusals)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return fail(ctx, "add usage", err)
}

// ByDay implements store.Usage.
func (u *usage) ByDay(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if !storable(workspace + key) {
		workspace, key = "", "" // no counts have ids that cannot be stored
	}
	type row struct{ day, logins, refusals int64 }
	rows, err := all(ctx, u.d, func(r *row) []any { return []any{&r.day, &r.logins, &r.refusals} },
		`SELECT day, logins, refusals FROM {p}days WHERE workspace = ? AND key_id = ? AND day >= ? AND day < ? ORDER BY day`,
		workspace, key, firstDay(from), firstDay(to))
	if err != nil {
		return nil, fail(ctx, "read usage", err)
	}
	var counts []store.Count
	for _, r := range rows {
		day := time.Unix(r.day*secondsADay, 0).UTC()
		counts = append(counts, store.Count{Workspace: workspace, Key: key, Day: day, Logins: r.logins, Refusals: r.refusals})
	}
	return counts, nil
}

// Prune implements store.Usage.
func (u *usage) Prune(ctx context.Context, before time.Time) (int, error) {
	pruned, err := u.d.remove(ctx, `DELETE FROM {p}days WHERE day < ?`, firstDay(before))
	return pruned, fail(ctx, "prune usage", err)
}

const secondsADay = 24 * 60 * 60

// dayOf returns the UTC day since 1970. It relies on Truncate, which counts from the
// zero time, which is a midnight.
func dayOf(t time.Time) int64 { return t.UTC().Truncate(24*time.Hour).Unix() / secondsADay }

// firstDay returns the first day whose midnight is not before t.
func firstDay(t time.Time) int64 {
	day := dayOf(t)
	if time.Unix(day*secondsADay, 0).Before(t) {
		day++
	}
	return day
}
