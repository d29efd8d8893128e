package redisstore

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// usage implements store.Usage: one hash a day and part, with one field a key.
type usage struct{ db *database }

func useField(workspace, key string) string { return escape(workspace) + " " + escape(key) }

// countedFor is how long a request's mark keeps it from being counted twice if
// the client sends it again.
const countedFor = time.Minute

// Add implements store.Usage.
func (u *usage) Add(ctx context.Context, counts []store.Count) error {
	if err := ctx.Err(); err != nil {
		return fail("add usage", err)
	}
	l, request := u.db.layout, newRequest()
	byPart := make(map[int]*call)
	var calls []*call
	for _, c := range counts {
		if c.Logins == 0 && c.Refusals == 0 {
			continue
		}
		field := useField(c.Workspace, c.Key)
		part := partOf(field)
		if byPart[part] == nil {
			byPart[part] = evaluate(u.db.scripts.count, []string{l.usage(part, "days"), l.usage(part, "counted:"+request)},
				l.usage(part, "day:"), countedFor.Milliseconds())
			calls = append(calls, byPart[part])
		}
		byPart[part].args = append(byPart[part].args, dayOf(c.Day), field, c.Logins, c.Refusals)
	}
	if err := u.db.run(ctx, calls...); err != nil {
		return fail("add usage", err)
	}
	return nil
}

// Days implements store.Usage.
func (u *usage) Days(ctx context.Context, workspace, key string, from, to time.Time) ([]store.Count, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail("read usage", err)
	}
	field := useField(workspace, key)
	part := partOf(field)
	c := evaluate(u.db.scripts.days, []string{u.db.layout.usage(part, "days")}, u.db.layout.usage(part, "day:"), field,
		firstDay(from), firstDay(to))
	if err := u.db.run(ctx, c); err != nil {
		return nil, fail("read usage", err)
	}
	var counts []store.Count
	list := c.list()
	for i := 0; i+1 < len(list); i += 2 {
		n, _ := list[i].(string)
		both, _ := list[i+1].(string)
		w := words{text: n + " " + both}
		count := store.Count{Workspace: workspace, Key: key, Day: midnight(w.number()), Logins: w.number(), Refusals: w.number()}
		if w.failed {
			return nil, fail("read usage", errRecord)
		}
		counts = append(counts, count)
	}
	slices.SortFunc(counts, func(a, b store.Count) int { return cmp.Compare(a.Day.Unix(), b.Day.Unix()) })
	return counts, nil
}

// Prune implements store.Usage.
func (u *usage) Prune(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("prune usage", err)
	}
	calls := make([]*call, parts)
	for i := range calls {
		calls[i] = evaluate(u.db.scripts.pruneDays, []string{u.db.layout.usage(i, "days")}, u.db.layout.usage(i, "day:"), firstDay(before))
	}
	if err := u.db.run(ctx, calls...); err != nil {
		return 0, fail("prune usage", err)
	}
	pruned := 0
	for _, c := range calls {
		pruned += int(c.int())
	}
	return pruned, nil
}

const day = 24 * time.Hour

// dayOf is the UTC day since 1970. It relies on Truncate, which counts from
// the zero time, a midnight.
func dayOf(t time.Time) int64 { return t.UTC().Truncate(day).Unix() / int64(day/time.Second) }

// firstDay is the first day that begins at or after the instant.
func firstDay(t time.Time) string {
	n := dayOf(t)
	if midnight(n).Before(t) {
		n++
	}
	return strconv.FormatInt(n, 10)
}

func midnight(n int64) time.Time { return time.Unix(n*int64(day/time.Second), 0).UTC() }
