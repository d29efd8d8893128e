package redisstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// usage implements store.Usage: one hash a day and part, with one field a key,
// and one set of the days of each part.
type usage struct{ db *database }

func (l layout) days(part int) string { return l.usage(part, "days") }

func (l layout) day(part int, day string) string { return l.usage(part, "day:"+day) }

func useField(workspace, key string) string { return escape(workspace) + " " + escape(key) }

// countedFor is how long a request's mark keeps it from being counted twice if
// the client sends it again.
const countedFor = time.Minute

// Add implements store.Usage.
func (u *usage) Add(ctx context.Context, counts []store.Count) error {
	if err := ctx.Err(); err != nil {
		return fail("add usage", err)
	}
	l := u.db.layout
	byPart := make(map[int]*call)
	var calls []*call
	for _, c := range counts {
		if c.Logins == 0 && c.Refusals == 0 {
			continue
		}
		field := useField(c.Workspace, c.Key)
		part, day := partOf(field), strconv.FormatInt(dayOf(c.Day), 10)
		add := byPart[part]
		if add == nil || len(add.args) > 5*batch {
			add = evaluate(u.db.scripts.count, []string{l.days(part), l.usage(part, "counted:"+newRequest())}, countedFor.Milliseconds())
			byPart[part] = add
			calls = append(calls, add)
		}
		key := slices.Index(add.keys, l.day(part, day))
		if key < 0 {
			key = len(add.keys)
			add.keys = append(add.keys, l.day(part, day))
		}
		add.args = append(add.args, key+1, day, field, c.Logins, c.Refusals)
	}
	if err := u.db.spread(ctx, calls...); err != nil {
		return fail("add usage", err)
	}
	return nil
}

// Days implements store.Usage.
func (u *usage) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail("read usage", err)
	}
	counts, err := u.days(ctx, workspace, key, dayAt(from), dayAt(to))
	if err != nil {
		return nil, fail("read usage", err)
	}
	return counts, nil
}

func (u *usage) days(ctx context.Context, workspace, key string, from, to int64) ([]store.Count, error) {
	field := useField(workspace, key)
	part := partOf(field)
	known, err := u.known(ctx, []int{part})
	if err != nil {
		return nil, err
	}
	days := slices.DeleteFunc(known[0], func(n int64) bool { return n < from || n >= to })
	slices.Sort(days)
	reads := make([]*call, len(days))
	for i, n := range days {
		reads[i] = command("hget", u.db.layout.day(part, strconv.FormatInt(n, 10)), field)
	}
	if err := u.db.spread(ctx, reads...); err != nil {
		return nil, err
	}
	var counts []store.Count
	for i, n := range days {
		if reads[i].missing() {
			continue
		}
		w := words{text: reads[i].text()}
		counts = append(counts, store.Count{Workspace: workspace, Key: key, Day: midnight(n), Logins: w.number(), Refusals: w.number()})
		if w.failed {
			return nil, errRecord
		}
	}
	return counts, nil
}

// known reads which days the given parts have counts of.
func (u *usage) known(ctx context.Context, of []int) ([][]int64, error) {
	calls := make([]*call, len(of))
	for i, part := range of {
		calls[i] = command("smembers", u.db.layout.days(part))
	}
	if err := u.db.spread(ctx, calls...); err != nil {
		return nil, err
	}
	known := make([][]int64, len(of))
	for i, c := range calls {
		for _, member := range c.list() {
			text, _ := member.(string)
			w := words{text: text}
			known[i] = append(known[i], w.number())
			if w.failed {
				return nil, errRecord
			}
		}
	}
	return known, nil
}

// Prune implements store.Usage.
func (u *usage) Prune(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("prune usage", err)
	}
	pruned, err := u.prune(ctx, dayAt(before))
	if err != nil {
		return pruned, fail("prune usage", err)
	}
	return pruned, nil
}

func (u *usage) prune(ctx context.Context, first int64) (pruned int, err error) {
	all := make([]int, parts)
	for i := range all {
		all[i] = i
	}
	known, err := u.known(ctx, all)
	if err != nil {
		return 0, err
	}
	var calls []*call
	for part, days := range known {
		for _, n := range days {
			if n < first {
				day := strconv.FormatInt(n, 10)
				calls = append(calls, evaluate(u.db.scripts.pruneDay, []string{u.db.layout.days(part), u.db.layout.day(part, day)}, day))
			}
		}
	}
	err = u.db.spread(ctx, calls...)
	for _, c := range calls {
		pruned += int(c.int())
	}
	return pruned, err
}

const day = 24 * time.Hour

// dayOf is the UTC day since 1970. It relies on Truncate, which counts from
// the zero time, a midnight.
func dayOf(t time.Time) int64 { return t.UTC().Truncate(day).Unix() / int64(day/time.Second) }

// dayAt is the first day that begins at or after the instant.
func dayAt(t time.Time) int64 {
	n := dayOf(t)
	if midnight(n).Before(t) {
		n++
	}
	return n
}

func midnight(n int64) time.Time { return time.Unix(n*int64(day/time.Second), 0).UTC() }
