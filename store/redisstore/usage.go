package redisstore

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// usage implements store.Usage. The counts of a key are in one of 16 parts. A part has a
// hash for each day, with a field for each key, and a set of its days.
type usage struct{ db *Driver }

func (l layout) day(part int, day int64) string {
	return l.usage(part, "day:"+strconv.FormatInt(day, 10))
}

// Add implements store.Usage. If the client resends a count within a minute, it is added
// once. If Add fails, some counts may have been added; a caller that calls Add again adds
// them twice.
func (u *usage) Add(ctx context.Context, counts []store.Count) error {
	l := u.db.layout
	var calls []*call
	for _, c := range counts {
		if c.Logins == 0 && c.Refusals == 0 {
			continue
		}
		field, day := encode(&c.Workspace, &c.Key), dayOf(c.Day)
		part := partOf(field)
		keys := []string{l.usage(part, "days"), l.day(part, day), l.usage(part, "done:"+rand.Text())}
		calls = append(calls, evaluate(u.db.scripts.count, keys, day, field, c.Logins, c.Refusals))
	}
	return fail("add usage", u.db.sendByKey(ctx, calls...))
}

// ByDay implements store.Usage.
func (u *usage) ByDay(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	counts, err := u.counts(ctx, workspace, key, from, to)
	return counts, fail("read usage", err)
}

func (u *usage) counts(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	field := encode(&workspace, &key)
	part := partOf(field)
	days, err := u.days(ctx, part, from, to)
	if err != nil {
		return nil, err
	}
	reads := make([]*call, len(days))
	for i, n := range days {
		reads[i] = command("hget", u.db.layout.day(part, n), field)
	}
	if err := u.db.sendByKey(ctx, reads...); err != nil {
		return nil, err
	}
	var counts []store.Count
	for i, n := range days {
		if reads[i].missing() {
			continue
		}
		c := store.Count{Workspace: workspace, Key: key, Day: midnight(n)}
		if err := decode(reads[i].text(), &c.Logins, &c.Refusals); err != nil {
			return nil, err
		}
		counts = append(counts, c)
	}
	return counts, nil
}

// days returns the days of a part that begin at or after from and before to, in order.
func (u *usage) days(ctx context.Context, part int, from, to time.Time) ([]int64, error) {
	c := command("smembers", u.db.layout.usage(part, "days"))
	if err := u.db.sendByKey(ctx, c); err != nil {
		return nil, err
	}
	var days []int64
	for _, text := range c.texts() {
		var n int64
		if err := decode(text, &n); err != nil {
			return nil, err
		}
		if at := midnight(n); !at.Before(from) && at.Before(to) {
			days = append(days, n)
		}
	}
	slices.Sort(days)
	return days, nil
}

// Prune implements store.Usage. Days that were removed by a call whose answer was lost are
// not counted.
func (u *usage) Prune(ctx context.Context, before time.Time) (int, error) {
	pruned := 0
	for part := range parts {
		old, err := u.days(ctx, part, time.Time{}, before)
		if err != nil {
			return pruned, fail("prune usage", err)
		}
		var calls []*call
		for _, n := range old {
			calls = append(calls, evaluate(u.db.scripts.pruneDay, []string{u.db.layout.usage(part, "days"), u.db.layout.day(part, n)}, n))
		}
		if err := u.db.sendByKey(ctx, calls...); err != nil {
			return pruned, fail("prune usage", err)
		}
		for _, c := range calls {
			pruned += int(c.int())
		}
	}
	return pruned, nil
}

const day = 24 * time.Hour

// dayOf returns the UTC day since 1970. It relies on Truncate, which counts from the
// zero time, which is a midnight.
func dayOf(t time.Time) int64 { return t.UTC().Truncate(day).Unix() / int64(day/time.Second) }

func midnight(n int64) time.Time { return time.Unix(n*int64(day/time.Second), 0).UTC() }
